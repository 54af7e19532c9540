// SPDX-License-Identifier: Apache-2.0
// AVX-512: 64 words as eight vectors of bytes of equal weight, and back.
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace jali {
namespace {

constexpr size_t limbs = 8;

// The 8 x 8 bytes of a vector, transposed; its own inverse.
inline __m512i transpose_bytes(__m512i v) {
#if defined(__AVX512VBMI__)
  alignas(64) static constexpr u8 transposed[64] = {
      0, 8,  16, 24, 32, 40, 48, 56, 1, 9,  17, 25, 33, 41, 49, 57, 2, 10, 18, 26, 34, 42,
      50, 58, 3, 11, 19, 27, 35, 43, 51, 59, 4, 12, 20, 28, 36, 44, 52, 60, 5, 13, 21, 29,
      37, 45, 53, 61, 6, 14, 22, 30, 38, 46, 54, 62, 7, 15, 23, 31, 39, 47, 55, 63};
  return _mm512_permutexvar_epi8(_mm512_load_si512(transposed), v);
#else
  // Pairs the bytes of the two words of each lane, brings the pairs of equal weight together, and the same for words.
  alignas(16) static constexpr u8 paired[16] = {0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15};
  alignas(64) static constexpr std::uint16_t together[32] = {0, 8,  16, 24, 1, 9,  17, 25, 2, 10, 18,
                                                             26, 3, 11, 19, 27, 4, 12, 20, 28, 5, 13,
                                                             21, 29, 6, 14, 22, 30, 7, 15, 23, 31};
  const __m512i in_lanes = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(paired)));
  return _mm512_permutexvar_epi16(_mm512_load_si512(together), _mm512_shuffle_epi8(v, in_lanes));
#endif
}

// Word i of vector j becomes word j of vector i; its own inverse.
inline void transpose_words(__m512i v[limbs]) {
  __m512i pairs[limbs];
  for (size_t i = 0; i < limbs; i += 2) {
    pairs[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
  }
  __m512i fours[limbs];  // fours[h + i]: words i and i + 4 of vectors h .. h + 3, in the order i, i + 4, i, i + 4
  for (size_t h = 0; h < limbs; h += 4) {
    for (size_t i = 0; i < 2; ++i) {
      fours[h + i] = _mm512_shuffle_i64x2(pairs[h + i], pairs[h + i + 2], 0x88);
      fours[h + i + 2] = _mm512_shuffle_i64x2(pairs[h + i], pairs[h + i + 2], 0xdd);
    }
  }
  for (size_t i = 0; i < 4; ++i) {
    v[i] = _mm512_shuffle_i64x2(fours[i], fours[4 + i], 0x88);
    v[i + 4] = _mm512_shuffle_i64x2(fours[i], fours[4 + i], 0xdd);
  }
}

// From 64 words, eight a vector, to eight vectors: byte w of v[i] is byte i of word w.
inline void split_limbs(__m512i v[limbs]) {
  for (size_t i = 0; i < limbs; ++i) v[i] = transpose_bytes(v[i]);
  transpose_words(v);
}

// The inverse of split_limbs.
inline void join_limbs(__m512i v[limbs]) {
  transpose_words(v);
  for (size_t i = 0; i < limbs; ++i) v[i] = transpose_bytes(v[i]);
}

}  // namespace
}  // namespace jali
