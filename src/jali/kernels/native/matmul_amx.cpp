// SPDX-License-Identifier: Apache-2.0
// Matrix product mod 2^64 on the 8-bit tile multiplier (AMX, TDPBUUD).
//
// With limbs a = sum_i 2^(8 i) a_i and b = sum_j 2^(8 j) b_j, a b = sum_s 2^(8 s) sum_(i + j = s) a_i b_j, and only s < 8
// counts mod 2^64: 36 products of byte matrices. A tile sums in 32 bits, which is exact for s < 4 as long as
// (s + 1) 255^2 depth < 2^32, so for depth <= 16,512; for s >= 4 no more than 32 bits are wanted.
#include <immintrin.h>

#include "levels.h"
#include "limbs.h"
#include "scratch.h"

namespace jali {
namespace {

constexpr size_t side = 16;                    // rows of a tile of A, columns of one of B
constexpr size_t tile_depth = 64;              // bytes of a row
constexpr size_t tile_bytes = side * tile_depth;
constexpr size_t depth_block = 512;
constexpr size_t height_block = 256;           // A: 256 x 512 words, 1 MiB of L2
constexpr size_t steps_limit = depth_block / tile_depth;
// From limb to limb of one strip of 16 rows or columns; the line more keeps limbs out of each other's cache sets.
constexpr size_t limb_stride = steps_limit * tile_bytes + 64;
constexpr size_t strip_bytes = limbs * limb_stride;

struct alignas(64) TileConfig {
  u8 palette = 1;
  u8 start_row = 0;
  u8 reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  u8 rows[16] = {};

  TileConfig() {
    for (int t = 0; t < 8; ++t) {
      row_bytes[t] = 64;
      rows[t] = 16;
    }
  }
};

inline __m512i load_up_to(const u64* p, size_t count) {
  if (count >= 8) return _mm512_loadu_si512(p);
  return _mm512_maskz_loadu_epi64(static_cast<__mmask8>((1U << count) - 1), p);
}

inline size_t rest(size_t total, size_t from) { return total > from ? total - from : 0; }

// Limb i, step s of a strip of A: tile[r] = bytes i of a[r][64 s ...].
void pack_strip_of_a(const u64* a, size_t stride, size_t height, size_t depth, u8* strip) {
  for (size_t s = 0; s * tile_depth < depth; ++s) {
    for (size_t r = 0; r < side; ++r) {
      __m512i v[limbs];
      for (size_t part = 0; part < limbs; ++part) {
        const size_t l = s * tile_depth + 8 * part;
        v[part] = load_up_to(a + r * stride + l, r < height ? rest(depth, l) : 0);
      }
      split_limbs(v);
      for (size_t i = 0; i < limbs; ++i) {
        _mm512_store_si512(strip + i * limb_stride + s * tile_bytes + r * tile_depth, v[i]);
      }
    }
  }
}

// Limb j, step s of a strip of B: tile[r][c][q] = byte j of b[64 s + 4 r + q][c], as TDPBUUD wants it.
void pack_strip_of_b(const u64* b, size_t stride, size_t width, size_t depth, u8* strip) {
  alignas(64) static constexpr u8 interleave[64] = {  // from (q, c) to (c, q)
      0, 16, 32, 48, 1, 17, 33, 49, 2,  18, 34, 50, 3,  19, 35, 51, 4,  20, 36, 52, 5,  21,
      37, 53, 6, 22, 38, 54, 7, 23, 39, 55, 8,  24, 40, 56, 9,  25, 41, 57, 10, 26, 42, 58,
      11, 27, 43, 59, 12, 28, 44, 60, 13, 29, 45, 61, 14, 30, 46, 62, 15, 31, 47, 63};
  const __m512i order = _mm512_load_si512(interleave);
  for (size_t s = 0; s * tile_depth < depth; ++s) {
    for (size_t r = 0; r < side; ++r) {
      __m512i v[limbs];
      for (size_t q = 0; q < 4; ++q) {
        const size_t l = s * tile_depth + 4 * r + q;
        const size_t here = l < depth ? width : 0;
        v[2 * q] = load_up_to(b + l * stride, here);
        v[2 * q + 1] = load_up_to(b + l * stride + 8, rest(here, 8));
      }
      split_limbs(v);
      for (size_t j = 0; j < limbs; ++j) {
        _mm512_store_si512(strip + j * limb_stride + s * tile_bytes + r * tile_depth,
                           _mm512_permutexvar_epi8(order, v[j]));
      }
    }
  }
}

// sums[s]: the sums of weight 2^(8 s) of a 32 x 32 block, tile after tile (row, column) = (0, 0), (0, 1), (1, 0), (1, 1).
using Sums = u32[limbs][4][side * side];

// The sums of the products of two strips of A with two of B.
void multiply_strips(const u8* a, const u8* b, size_t steps, Sums& sums) {
  for (size_t s = 0; s < limbs; ++s) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t i = 0; i <= s; ++i) {
      const u8* a0 = a + i * limb_stride;
      const u8* b0 = b + (s - i) * limb_stride;
      for (size_t t = 0; t < steps * tile_bytes; t += tile_bytes) {
        _tile_loadd(4, a0 + t, 64);
        _tile_loadd(6, b0 + t, 64);
        _tile_loadd(7, b0 + strip_bytes + t, 64);
        _tile_dpbuud(0, 4, 6);
        _tile_loadd(5, a0 + strip_bytes + t, 64);
        _tile_dpbuud(1, 4, 7);
        _tile_dpbuud(2, 5, 6);
        _tile_dpbuud(3, 5, 7);
      }
    }
    _tile_stored(0, sums[s][0], 64);
    _tile_stored(1, sums[s][1], 64);
    _tile_stored(2, sums[s][2], 64);
    _tile_stored(3, sums[s][3], 64);
  }
}

inline __m512i load_sums(const u32* p) { return _mm512_load_si512(p); }

template <int half>
inline __m512i widen(__m512i sums) {
  return _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(sums, half));
}

// One half of a row of a tile: 2^32 high + sum_(s < 4) 2^(8 s) low[s].
template <int half>
inline __m512i weigh(const __m512i low[4], __m512i high) {
  __m512i word = _mm512_slli_epi64(widen<half>(high), 32);
  word = _mm512_add_epi64(word, widen<half>(low[0]));
  word = _mm512_add_epi64(word, _mm512_slli_epi64(widen<half>(low[1]), 8));
  word = _mm512_add_epi64(word, _mm512_slli_epi64(widen<half>(low[2]), 16));
  return _mm512_add_epi64(word, _mm512_slli_epi64(widen<half>(low[3]), 24));
}

inline void add_up_to(u64* p, size_t count, __m512i words) {
  const auto mask = static_cast<__mmask8>(count >= 8 ? 0xff : (1U << count) - 1);
  _mm512_mask_storeu_epi64(p, mask, _mm512_add_epi64(_mm512_maskz_loadu_epi64(mask, p), words));
}

void add_block(const Sums& sums, u64* out, size_t stride, size_t height, size_t width) {
  for (size_t i = 0; i < up_to(2 * side, height); ++i) {
    for (size_t right = 0; right < 2; ++right) {
      const size_t left = right * side;
      if (left >= width) break;
      __m512i v[limbs];
      for (size_t s = 0; s < limbs; ++s) v[s] = load_sums(&sums[s][2 * (i / side) + right][i % side * side]);
      __m512i high = _mm512_add_epi32(v[4], _mm512_slli_epi32(v[5], 8));
      high = _mm512_add_epi32(high, _mm512_slli_epi32(v[6], 16));
      high = _mm512_add_epi32(high, _mm512_slli_epi32(v[7], 24));
      u64* to = out + i * stride + left;
      add_up_to(to, width - left, weigh<0>(v, high));
      if (width - left > 8) add_up_to(to + 8, width - left - 8, weigh<1>(v, high));
    }
  }
}

bool matmul_tiles(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n) {
  const size_t most_strips = (up_to(height_block, m) + 2 * side - 1) / (2 * side) * 2;
  const Scratch rows = scratch(most_strips * strip_bytes / sizeof(u64));
  const Scratch columns = scratch(2 * strip_bytes / sizeof(u64));
  if (!rows || !columns) return false;
  auto* strips = reinterpret_cast<u8*>(rows.get());
  auto* panel = reinterpret_cast<u8*>(columns.get());
  alignas(64) Sums sums;
  const TileConfig config;
  _tile_loadconfig(&config);
  for (size_t l = 0; l < k; l += depth_block) {
    const size_t depth = up_to(depth_block, k - l);
    const size_t steps = (depth + tile_depth - 1) / tile_depth;
    for (size_t top = 0; top < m; top += height_block) {
      const size_t height = up_to(height_block, m - top);
      for (size_t i = 0; i < height + side; i += side) {  // one strip more, of zeros, where their number is odd
        if (i >= height && i / side % 2 == 0) break;
        pack_strip_of_a(a + (top + i) * k + l, k, rest(height, i), depth, strips + i / side * strip_bytes);
      }
      for (size_t left = 0; left < n; left += 2 * side) {
        const u64* from = b + l * n + left;
        pack_strip_of_b(from, n, up_to(side, n - left), depth, panel);
        pack_strip_of_b(from + side, n, up_to(side, rest(n - left, side)), depth, panel + strip_bytes);
        for (size_t i = 0; i < height; i += 2 * side) {
          multiply_strips(strips + i / side * strip_bytes, panel, steps, sums);
          add_block(sums, out + (top + i) * n + left, n, height - i, n - left);
        }
      }
    }
  }
  _tile_release();
  return true;
}

}  // namespace

bool matmul_amx(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n) {
  constexpr size_t too_small = 16;  // padding to tiles would cost more than they save
  if (m < too_small || k < too_small || n < too_small) return matmul_ifma(a, b, out, m, k, n);
  return matmul_tiles(a, b, out, m, k, n);
}

}  // namespace jali
