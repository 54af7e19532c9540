// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "level.h"

namespace jali {
namespace {

struct Avx512Block : PlainPacking<8, 16> {
  static void multiply(const u64* a, const u64* b, size_t depth, u64* product) {
    __m512i sum[rows][2];
    for (size_t i = 0; i < rows; ++i) sum[i][0] = sum[i][1] = _mm512_setzero_si512();
    for (size_t l = 0; l < depth; ++l, a += rows, b += columns) {
      const __m512i left = _mm512_load_si512(b);
      const __m512i right = _mm512_load_si512(b + 8);
      for (size_t i = 0; i < rows; ++i) {
        const __m512i element = _mm512_set1_epi64(static_cast<long long>(a[i]));
        sum[i][0] = _mm512_add_epi64(sum[i][0], _mm512_mullo_epi64(element, left));
        sum[i][1] = _mm512_add_epi64(sum[i][1], _mm512_mullo_epi64(element, right));
      }
    }
    for (size_t i = 0; i < rows; ++i) {
      _mm512_store_si512(product + i * columns, sum[i][0]);
      _mm512_store_si512(product + i * columns + 8, sum[i][1]);
    }
  }
};

}  // namespace

Kernels avx512_kernels() { return compiled_for<Avx512Block>("avx512"); }

}  // namespace jali
