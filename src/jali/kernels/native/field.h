// SPDX-License-Identifier: Apache-2.0
// GF(2^128) modulo X^128 + X^7 + X^2 + X + 1; bit i of 16 little-endian bytes counts X^i. No branch and no address
// depends on an element.
#pragma once

#if defined(__PCLMUL__)
#include <immintrin.h>
#endif

#include <cstring>

#include "kernels.h"

namespace jali {
namespace {

#if defined(__PCLMUL__)

// The product of two elements has two upper words; each, times X^7 + X^2 + X + 1, is added one word further down. What
// the upper one then has beyond a word, some bits, goes to the lower one.
inline void field_multiply(const u8* x, const u8 factor[16], u8* out, size_t n) {
  const __m128i f = _mm_loadu_si128(reinterpret_cast<const __m128i*>(factor));
  const __m128i modulus = _mm_set_epi64x(0, 0x87);
  for (size_t i = 0; i < n; ++i) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 16 * i));
    __m128i low = _mm_clmulepi64_si128(a, f, 0x00);
    __m128i high = _mm_clmulepi64_si128(a, f, 0x11);
    const __m128i middle = _mm_xor_si128(_mm_clmulepi64_si128(a, f, 0x01), _mm_clmulepi64_si128(a, f, 0x10));
    low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
    high = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
    const __m128i upper = _mm_clmulepi64_si128(high, modulus, 0x01);
    low = _mm_xor_si128(low, _mm_slli_si128(upper, 8));
    high = _mm_xor_si128(high, _mm_srli_si128(upper, 8));
    low = _mm_xor_si128(low, _mm_clmulepi64_si128(high, modulus, 0x00));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * i), low);
  }
}

#else

// The sum of factor X^j over the bits j of x.
inline void field_multiply(const u8* x, const u8 factor[16], u8* out, size_t n) {
  u64 powers[128][2];
  std::memcpy(powers[0], factor, sizeof powers[0]);
  for (size_t j = 1; j < 128; ++j) {
    const u64 low = powers[j - 1][0];
    const u64 high = powers[j - 1][1];
    powers[j][0] = low << 1 ^ ((u64{0} - (high >> 63)) & 0x87);
    powers[j][1] = high << 1 | low >> 63;
  }
  for (size_t i = 0; i < n; ++i) {
    u64 words[2];
    std::memcpy(words, x + 16 * i, sizeof words);
    u64 sum[2] = {0, 0};
    for (size_t j = 0; j < 128; ++j) {
      const u64 mask = u64{0} - (words[j / 64] >> j % 64 & 1);
      sum[0] ^= powers[j][0] & mask;
      sum[1] ^= powers[j][1] & mask;
    }
    std::memcpy(out + 16 * i, sum, sizeof sum);
  }
}

#endif

}  // namespace
}  // namespace jali
