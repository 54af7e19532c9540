// SPDX-License-Identifier: Apache-2.0
// Matrix product mod 2^64 on the 52-bit multiplier (AVX-512 IFMA), for Intel, where `vpmullq` takes three steps.
//
// With a = a0 + 2^52 a1 and b likewise, a b = low(a0 b0) + 2^52 (high(a0 b0) + a0 b1 + a1 b0) mod 2^64, where low and high
// are the 52-bit halves. The bracket counts mod 2^12 only, so VNNI sums its cross terms from 16-bit pieces: one instruction
// for two steps of depth.
#include <immintrin.h>

#include "levels.h"
#include "matmul.h"

namespace jali {
namespace {

constexpr int half_bits = 52;

// The 16-bit pieces of two words whose products are the cross terms; `swapped` for the words of B.
inline u64 pieces(u64 first, u64 second, bool swapped) {
  const auto pair = [swapped](u64 x) {
    const u64 low = x & 0xffff;
    const u64 high = x >> half_bits;
    return swapped ? high | low << 16 : low | high << 16;
  };
  return pair(first) | pair(second) << 32;
}

struct IfmaBlock {
  static constexpr size_t rows = 4;
  static constexpr size_t columns = 16;
  static constexpr size_t strip_words = 3 * rows / 2;  // for two steps: the words of each, and their pieces
  static constexpr size_t panel_words = 3 * columns / 2;

  static void pack_panel(const u64* b, size_t stride, size_t depth, size_t width, u64* panel) {
    for (size_t l = 0; l < depth; l += 2, panel += 3 * columns) {
      for (size_t j = 0; j < columns; ++j) {
        const u64 first = j < width ? b[l * stride + j] : 0;
        const u64 second = j < width && l + 1 < depth ? b[(l + 1) * stride + j] : 0;
        panel[j] = first;
        panel[columns + j] = second;
        panel[2 * columns + j] = pieces(first, second, true);
      }
    }
  }

  static void pack_strip(const u64* a, size_t stride, size_t depth, size_t height, u64* strip) {
    for (size_t l = 0; l < depth; l += 2, strip += 3 * rows) {
      for (size_t i = 0; i < rows; ++i) {
        const u64 first = i < height ? a[i * stride + l] : 0;
        const u64 second = i < height && l + 1 < depth ? a[i * stride + l + 1] : 0;
        strip[i] = first;
        strip[rows + i] = second;
        strip[2 * rows + i] = pieces(first, second, false);
      }
    }
  }

  static void multiply(const u64* a, const u64* b, size_t depth, u64* product) {
    __m512i low[rows][2];
    __m512i high[rows][2];
    __m512i cross[rows][2];
    for (size_t i = 0; i < rows; ++i) {
      for (int h = 0; h < 2; ++h) low[i][h] = high[i][h] = cross[i][h] = _mm512_setzero_si512();
    }
    for (size_t l = 0; l < depth; l += 2, a += 3 * rows, b += 3 * columns) {
      for (size_t step = 0; step < 2; ++step) {
        const __m512i word[2] = {_mm512_load_si512(b + step * columns), _mm512_load_si512(b + step * columns + 8)};
        for (size_t i = 0; i < rows; ++i) {
          const __m512i element = _mm512_set1_epi64(static_cast<long long>(a[step * rows + i]));
          for (int h = 0; h < 2; ++h) {
            low[i][h] = _mm512_madd52lo_epu64(low[i][h], element, word[h]);
            high[i][h] = _mm512_madd52hi_epu64(high[i][h], element, word[h]);
          }
        }
      }
      const __m512i piece[2] = {_mm512_load_si512(b + 2 * columns), _mm512_load_si512(b + 2 * columns + 8)};
      for (size_t i = 0; i < rows; ++i) {
        const __m512i element = _mm512_set1_epi64(static_cast<long long>(a[2 * rows + i]));
        for (int h = 0; h < 2; ++h) cross[i][h] = _mm512_dpwssd_epi32(cross[i][h], element, piece[h]);
      }
    }
    for (size_t i = 0; i < rows; ++i) {
      for (int h = 0; h < 2; ++h) {
        const __m512i both = _mm512_add_epi32(cross[i][h], _mm512_srli_epi64(cross[i][h], 32));
        const __m512i top = _mm512_slli_epi64(_mm512_add_epi64(high[i][h], both), half_bits);
        _mm512_store_si512(product + i * columns + 8 * h, _mm512_add_epi64(low[i][h], top));
      }
    }
  }
};

}  // namespace

bool matmul_ifma(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n) {
  return matmul<IfmaBlock>(a, b, out, m, k, n);
}

}  // namespace jali
