// SPDX-License-Identifier: Apache-2.0
// AES-128 with what every processor has.
#include "aes_sliced.h"
#include "levels.h"

namespace jali {

// FIPS 197, section 5.2.
void expand_aes_portable(const u8 key[16], AesKeys& keys) {
  std::memcpy(keys.round[0], key, 16);
  unsigned constant = 1;  // x^(r - 1) in GF(2^8)
  for (int r = 1; r < 11; ++r) {
    const u8* before = keys.round[r - 1];
    u8* after = keys.round[r];
    u8 word[16] = {before[13], before[14], before[15], before[12]};
    Slice q[8];
    slice(place(word, 0), q);
    substitute(q);
    unslice(q);
    std::memcpy(word, &q[0], sizeof word);
    word[0] ^= static_cast<u8>(constant);
    for (int i = 0; i < 4; ++i) after[i] = static_cast<u8>(before[i] ^ word[i] ^ 0x63);
    for (int i = 4; i < 16; ++i) after[i] = static_cast<u8>(before[i] ^ after[i - 4]);
    constant = (constant << 1) ^ (constant >> 7) * 0x11b;
    wipe(word);
    wipe(q);
  }
}

void prg_aes_portable(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n) {
  prg<Sliced>(keys, nonce, start, mask, x, out, n);
}

}  // namespace jali
