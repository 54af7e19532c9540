// SPDX-License-Identifier: Apache-2.0
// AES-128 with SSSE3, which permutes the bytes of a slice at once.
#include "aes_sliced.h"
#include "levels.h"

namespace jali {

void prg_aes_ssse3(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n) {
  prg<Sliced>(keys, nonce, start, mask, x, out, n);
}

}  // namespace jali
