// SPDX-License-Identifier: Apache-2.0
// Packing of bits and transposition between words and bit planes.
#pragma once

#include <cstring>

#include "kernels.h"
#include "scratch.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif
#if defined(__AVX512BW__)
#include "limbs.h"
#endif

namespace jali {
namespace {

// Eight 64 x 64 bit matrices side by side: rows[r][t] is row r of matrix t. Eight words of a plane make a cache line.
using Tiles = u64[64][8];

#if defined(__AVX512BW__)

inline __m512i all_bytes(int bit) { return _mm512_set1_epi8(static_cast<char>(1 << bit)); }

// Bits of bytes of equal weight are read off as masks.
void slice(const u64* x, Tiles& rows) {
  for (size_t t = 0; t < 8; ++t) {
    __m512i v[limbs];
    for (size_t i = 0; i < limbs; ++i) v[i] = _mm512_loadu_si512(x + 64 * t + 8 * i);
    split_limbs(v);
    for (size_t i = 0; i < limbs; ++i) {
      for (int b = 0; b < 8; ++b) rows[8 * i + b][t] = _mm512_test_epi8_mask(v[i], all_bytes(b));
    }
  }
}

void join(Tiles& rows, u64* x) {
  for (size_t t = 0; t < 8; ++t) {
    __m512i v[limbs];
    for (size_t i = 0; i < limbs; ++i) {
      v[i] = _mm512_setzero_si512();
      for (int b = 0; b < 8; ++b) v[i] = _mm512_mask_add_epi8(v[i], rows[8 * i + b][t], v[i], all_bytes(b));
    }
    join_limbs(v);
    for (size_t i = 0; i < limbs; ++i) _mm512_storeu_si512(x + 64 * t + 8 * i, v[i]);
  }
}

#else

// Transposes by swapping ever smaller off-diagonal squares, 32 to 1 bits wide; steps vectorise over the matrices.
template <int width>
inline void swap_squares(Tiles& rows, u64 low) {
  for (int top = 0; top < 64; top += 2 * width) {
    for (int r = top; r < top + width; ++r) {
      for (int t = 0; t < 8; ++t) {
        const u64 swap = ((rows[r][t] >> width) ^ rows[r + width][t]) & low;
        rows[r][t] ^= swap << width;
        rows[r + width][t] ^= swap;
      }
    }
  }
}

inline void transpose(Tiles& rows) {
  swap_squares<32>(rows, 0x00000000ffffffff);
  swap_squares<16>(rows, 0x0000ffff0000ffff);
  swap_squares<8>(rows, 0x00ff00ff00ff00ff);
  swap_squares<4>(rows, 0x0f0f0f0f0f0f0f0f);
  swap_squares<2>(rows, 0x3333333333333333);
  swap_squares<1>(rows, 0x5555555555555555);
}

void slice(const u64* x, Tiles& rows) {
  for (int r = 0; r < 64; ++r) {
    for (int t = 0; t < 8; ++t) rows[r][t] = x[64 * t + r];
  }
  transpose(rows);
}

void join(Tiles& rows, u64* x) {
  transpose(rows);
  for (int t = 0; t < 8; ++t) {
    for (int r = 0; r < 64; ++r) x[64 * t + r] = rows[r][t];
  }
}

#endif

constexpr size_t group_words = 512;  // of eight blocks

void bit_planes(const u64* x, u64* planes, size_t n) {
  const size_t blocks = (n + 63) / 64;
  alignas(64) Tiles rows;
  for (size_t done = 0; done < n; done += group_words) {
    if (n - done >= group_words) {
      slice(x + done, rows);
    } else {
      u64 padded[group_words] = {};
      std::memcpy(padded, x + done, (n - done) * sizeof(u64));
      slice(padded, rows);
    }
    const size_t many = up_to(8, blocks - done / 64);
    for (size_t j = 0; j < 64; ++j) std::memcpy(planes + j * blocks + done / 64, rows[j], many * sizeof(u64));
  }
}

void from_bit_planes(const u64* planes, u64* x, size_t n) {
  const size_t blocks = (n + 63) / 64;
  alignas(64) Tiles rows = {};
  for (size_t done = 0; done < n; done += group_words) {
    const size_t many = up_to(8, blocks - done / 64);
    for (size_t j = 0; j < 64; ++j) std::memcpy(rows[j], planes + j * blocks + done / 64, many * sizeof(u64));
    if (n - done >= group_words) {
      join(rows, x + done);
    } else {
      u64 padded[group_words];
      join(rows, padded);
      std::memcpy(x + done, padded, (n - done) * sizeof(u64));
    }
  }
}

#if defined(__AVX2__)  // without vector registers numpy is faster

inline u64 pack_word(const u8* bits) {
#if defined(__AVX512BW__)
  const __m512i bytes = _mm512_loadu_si512(bits);
  return _mm512_test_epi8_mask(bytes, bytes);
#else
  const auto half = [](const u8* p) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return ~static_cast<u32>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
  };
  return half(bits) | (static_cast<u64>(half(bits + 32)) << 32);
#endif
}

inline void unpack_word(u64 word, u8* bits) {
#if defined(__AVX512BW__)
  _mm512_storeu_si512(bits, _mm512_maskz_set1_epi8(word, 1));
#else
  // Copies each byte of a half word to eight bytes and keeps bit j in byte j.
  const __m256i spread = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i place = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  for (int h = 0; h < 2; ++h) {
    const __m256i half = _mm256_set1_epi32(static_cast<int>(word >> (32 * h)));
    const __m256i kept = _mm256_and_si256(_mm256_shuffle_epi8(half, spread), place);
    const __m256i ones = _mm256_min_epu8(kept, _mm256_set1_epi8(1));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bits + 32 * h), ones);
  }
#endif
}

void pack_bits(const u8* bits, u64* words, size_t n) {
  for (size_t i = 0; i < n / 64; ++i) words[i] = pack_word(bits + 64 * i);
  if (n % 64 != 0) {
    u8 rest[64] = {};
    std::memcpy(rest, bits + n / 64 * 64, n % 64);
    words[n / 64] = pack_word(rest);
  }
}

void unpack_bits(const u64* words, u8* bits, size_t n) {
  for (size_t i = 0; i < n / 64; ++i) unpack_word(words[i], bits + 64 * i);
  if (n % 64 != 0) {
    u8 rest[64];
    unpack_word(words[n / 64], rest);
    std::memcpy(bits + n / 64 * 64, rest, n % 64);
  }
}

#endif

}  // namespace
}  // namespace jali
