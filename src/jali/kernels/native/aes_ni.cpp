// SPDX-License-Identifier: Apache-2.0
// AES-128 with AES-NI, one block a register. Key schedule: FIPS 197, section 5.2.
#include <immintrin.h>

#include "aes_stream.h"
#include "levels.h"

namespace jali {
namespace {

struct AesNi {
  using Vector = __m128i;
  static constexpr size_t blocks = 1;
  static Vector load(const u64* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static void store(u64* p, Vector v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }
  static Vector key(const u8* p) { return _mm_load_si128(reinterpret_cast<const __m128i*>(p)); }
  static Vector counters(u64 nonce, u64 block) {
    return _mm_set_epi64x(static_cast<long long>(block), static_cast<long long>(nonce));
  }
  static Vector step() { return _mm_set_epi64x(1, 0); }
  static Vector add(Vector a, Vector b) { return _mm_add_epi64(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm_sub_epi64(a, b); }
  static Vector exclusive_or(Vector a, Vector b) { return _mm_xor_si128(a, b); }
  static Vector round(Vector a, Vector k) { return _mm_aesenc_si128(a, k); }
  static Vector last_round(Vector a, Vector k) { return _mm_aesenclast_si128(a, k); }
};

template <int constant>
__m128i next_key(__m128i k) {
  const __m128i word = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(k, constant), 0xff);
  k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
  k = _mm_xor_si128(k, _mm_slli_si128(k, 8));
  return _mm_xor_si128(k, word);
}

}  // namespace

void expand_aes_ni(const u8 key[16], AesKeys& keys) {
  __m128i k[11];
  k[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  k[1] = next_key<0x01>(k[0]);
  k[2] = next_key<0x02>(k[1]);
  k[3] = next_key<0x04>(k[2]);
  k[4] = next_key<0x08>(k[3]);
  k[5] = next_key<0x10>(k[4]);
  k[6] = next_key<0x20>(k[5]);
  k[7] = next_key<0x40>(k[6]);
  k[8] = next_key<0x80>(k[7]);
  k[9] = next_key<0x1b>(k[8]);
  k[10] = next_key<0x36>(k[9]);
  for (int r = 0; r < 11; ++r) _mm_store_si128(reinterpret_cast<__m128i*>(keys.round[r]), k[r]);
}

void prg_aes_ni(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n) {
  prg<AesNi>(keys, nonce, start, mask, x, out, n);
}

}  // namespace jali
