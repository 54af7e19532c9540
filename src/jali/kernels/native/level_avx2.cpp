// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "level.h"

namespace jali {
namespace {

// With a = a0 + 2^32 a1 and b likewise, a b = a0 b0 + 2^32 (a0 b1 + a1 b0) mod 2^64: three 32-bit products, the last
// two summed apart and shifted once at the end.
struct Avx2Block : PlainPacking<2, 8> {
  static void multiply(const u64* a, const u64* b, size_t depth, u64* product) {
    __m256i low[rows][2];
    __m256i cross[rows][2];
    for (size_t i = 0; i < rows; ++i) {
      for (int h = 0; h < 2; ++h) low[i][h] = cross[i][h] = _mm256_setzero_si256();
    }
    for (size_t l = 0; l < depth; ++l, a += rows, b += columns) {
      __m256i b0[2];
      __m256i b1[2];
      for (int h = 0; h < 2; ++h) {
        b0[h] = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + 4 * h));
        b1[h] = _mm256_srli_epi64(b0[h], 32);
      }
      for (size_t i = 0; i < rows; ++i) {
        const __m256i a0 = _mm256_set1_epi64x(static_cast<long long>(a[i]));
        const __m256i a1 = _mm256_set1_epi32(static_cast<int>(a[i] >> 32));
        for (int h = 0; h < 2; ++h) {
          low[i][h] = _mm256_add_epi64(low[i][h], _mm256_mul_epu32(a0, b0[h]));
          const __m256i sum = _mm256_add_epi64(_mm256_mul_epu32(a0, b1[h]), _mm256_mul_epu32(a1, b0[h]));
          cross[i][h] = _mm256_add_epi64(cross[i][h], sum);
        }
      }
    }
    for (size_t i = 0; i < rows; ++i) {
      for (int h = 0; h < 2; ++h) {
        const __m256i sum = _mm256_add_epi64(low[i][h], _mm256_slli_epi64(cross[i][h], 32));
        _mm256_store_si256(reinterpret_cast<__m256i*>(product + i * columns + 4 * h), sum);
      }
    }
  }
};

}  // namespace

Kernels avx2_kernels() { return compiled_for<Avx2Block>("avx2"); }

}  // namespace jali
