// SPDX-License-Identifier: Apache-2.0
// Four points at a time with 32-bit multiplications: ten limbs of 26 and 25 bits in turn (Bernstein 2006, section 4).
#include <immintrin.h>

#include "curve.h"
#include "levels.h"

namespace jali {
namespace {

// Products have limbs below 2^26 + 2^20. Sums and differences are not carried: factors may be below 2^27.8, so that
// 19 times one fits 32 bits, and what is subtracted below 2^27 - 38.
struct FieldAvx2 {
  using Limb = u64;
  using Choice = __m256i;
  static constexpr size_t lanes = 4;
  static constexpr size_t limbs = 10;
  static constexpr unsigned width(size_t k) { return k % 2 == 0 ? 26 : 25; }
  __m256i v[limbs];

  static FieldAvx2 load(const Limb* limb) {
    FieldAvx2 x;
    for (size_t k = 0; k < limbs; ++k) x.v[k] = _mm256_load_si256(reinterpret_cast<const __m256i*>(limb + lanes * k));
    return x;
  }
  void store(Limb* limb) const {
    for (size_t k = 0; k < limbs; ++k) _mm256_store_si256(reinterpret_cast<__m256i*>(limb + lanes * k), v[k]);
  }
  static FieldAvx2 number(u64 small) {
    FieldAvx2 x;
    for (size_t k = 0; k < limbs; ++k) x.v[k] = _mm256_set1_epi64x(k == 0 ? static_cast<long long>(small) : 0);
    return x;
  }
  static Choice choice(unsigned bit) { return _mm256_set1_epi64x(-static_cast<long long>(bit)); }
  static Choice differ(Choice a, Choice b) { return _mm256_xor_si256(a, b); }
  static Choice choice(const bool* bits) {
    return _mm256_set_epi64x(-bits[3], -bits[2], -bits[1], -bits[0]);
  }
};

inline __m256i repeat(u64 x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }

inline FieldAvx2 carried(__m256i t[10]) {
  const auto pass = [t](size_t k, size_t next) __attribute__((always_inline)) {
    const int width = static_cast<int>(FieldAvx2::width(k));
    __m256i over = _mm256_srli_epi64(t[k], width);
    t[k] = _mm256_and_si256(t[k], repeat((u64{1} << width) - 1));
    if (next == 0) {  // 19 times
      const __m256i three = _mm256_add_epi64(over, _mm256_slli_epi64(over, 1));
      over = _mm256_add_epi64(three, _mm256_slli_epi64(over, 4));
    }
    t[next] = _mm256_add_epi64(t[next], over);
  };
#pragma GCC unroll 4
  for (size_t k = 0; k < 4; ++k) {  // two chains
    pass(k, k + 1);
    pass(k + 4, k + 5);
  }
  pass(8, 9);
  pass(4, 5);
  pass(9, 0);
  pass(0, 1);
  FieldAvx2 r;
  for (size_t k = 0; k < 10; ++k) r.v[k] = t[k];
  return r;
}

inline FieldAvx2 add(const FieldAvx2& a, const FieldAvx2& b) {
  FieldAvx2 r;
  for (size_t k = 0; k < 10; ++k) r.v[k] = _mm256_add_epi64(a.v[k], b.v[k]);
  return r;
}

inline FieldAvx2 sub(const FieldAvx2& a, const FieldAvx2& b) {  // a + 2 p - b
  FieldAvx2 r;
  for (size_t k = 0; k < 10; ++k) {
    const __m256i twice = repeat((u64{2} << FieldAvx2::width(k)) - (k == 0 ? 38 : 2));
    r.v[k] = _mm256_sub_epi64(_mm256_add_epi64(a.v[k], twice), b.v[k]);
  }
  return r;
}

inline FieldAvx2 choose(__m256i first, const FieldAvx2& a, const FieldAvx2& b) {
  FieldAvx2 r;
  for (size_t k = 0; k < 10; ++k) r.v[k] = _mm256_blendv_epi8(b.v[k], a.v[k], first);
  return r;
}

inline FieldAvx2 mul(const FieldAvx2& a, const FieldAvx2& b) {
  __m256i b19[10];
  __m256i twice[10];  // odd limbs: the product of two counts twice, as each starts half a bit late
#pragma GCC unroll 10
  for (size_t k = 0; k < 10; ++k) {
    b19[k] = _mm256_mul_epu32(b.v[k], repeat(19));
    twice[k] = _mm256_add_epi64(a.v[k], a.v[k]);
  }
  __m256i t[10];
#pragma GCC unroll 10
  for (size_t k = 0; k < 10; ++k) {
    t[k] = _mm256_setzero_si256();
#pragma GCC unroll 10
    for (size_t i = 0; i < 10; ++i) {
      const size_t j = (k + 10 - i) % 10;
      const __m256i left = i % 2 == 1 && j % 2 == 1 ? twice[i] : a.v[i];
      t[k] = _mm256_add_epi64(t[k], _mm256_mul_epu32(left, i > k ? b19[j] : b.v[j]));
    }
  }
  return carried(t);
}

inline FieldAvx2 square(const FieldAvx2& a) {
  __m256i a19[10];
  __m256i twice[10];
#pragma GCC unroll 10
  for (size_t k = 0; k < 10; ++k) {
    a19[k] = _mm256_mul_epu32(a.v[k], repeat(19));
    twice[k] = _mm256_add_epi64(a.v[k], a.v[k]);
  }
  __m256i t[10];
#pragma GCC unroll 10
  for (size_t k = 0; k < 10; ++k) {
    __m256i once = _mm256_setzero_si256();
    t[k] = _mm256_setzero_si256();
#pragma GCC unroll 10
    for (size_t i = 0; i < 10; ++i) {
      const size_t j = (k + 10 - i) % 10;
      if (i > j) continue;
      const __m256i right = i > k || j > k ? a19[j] : a.v[j];
      const __m256i product = _mm256_mul_epu32(i % 2 == 1 && j % 2 == 1 ? twice[i] : a.v[i], right);
      __m256i& sum = i == j ? once : t[k];
      sum = _mm256_add_epi64(sum, product);
    }
    t[k] = _mm256_add_epi64(_mm256_add_epi64(t[k], t[k]), once);
  }
  return carried(t);
}

// small a + c, for small < 2^20
inline FieldAvx2 mul_small_add(const FieldAvx2& a, u64 small, const FieldAvx2& c) {
  __m256i t[10];
  for (size_t k = 0; k < 10; ++k) t[k] = _mm256_add_epi64(c.v[k], _mm256_mul_epu32(a.v[k], repeat(small)));
  return carried(t);
}

}  // namespace

void curve_multiply_avx2(const u8* points, const u8 scalar[32], u8* out, size_t n) {
  curve_multiply<FieldAvx2>(points, scalar, out, n);
}

void curve_map_avx2(const u8* uniform, u8* out, size_t n) { curve_map<FieldAvx2>(uniform, out, n); }

void curve_multiply_each_avx2(const u8* points, const u8* scalars, u8* out, size_t n) {
  curve_multiply_each<FieldAvx2>(points, scalars, out, n);
}

void curve_unmap_avx2(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n) {
  curve_unmap<FieldAvx2>(points, choices, out, mapped, n);
}

}  // namespace jali
