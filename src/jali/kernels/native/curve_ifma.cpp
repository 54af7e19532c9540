// SPDX-License-Identifier: Apache-2.0
// Eight points at a time on the 52-bit multiplier (AVX-512 IFMA): five limbs of 51 bits.
#include <immintrin.h>

#include "curve.h"
#include "levels.h"

namespace jali {
namespace {

// Loose limbs are below 2^51 + 2^15. A factor must be below 2^52, which a sum is only after a carry.
struct FieldIfma {
  using Limb = u64;
  using Choice = __mmask8;
  static constexpr size_t lanes = 8;
  static constexpr size_t limbs = 5;
  static constexpr unsigned width(size_t) { return 51; }
  __m512i v[limbs];

  struct Wide {  // limbs below 2^60
    __m512i v[limbs];
  };

  static FieldIfma load(const Limb* limb) {
    FieldIfma x;
    for (size_t k = 0; k < limbs; ++k) x.v[k] = _mm512_load_si512(limb + lanes * k);
    return x;
  }
  void store(Limb* limb) const {
    for (size_t k = 0; k < limbs; ++k) _mm512_store_si512(limb + lanes * k, v[k]);
  }
  static FieldIfma number(u64 small) {
    FieldIfma x;
    for (size_t k = 0; k < limbs; ++k) x.v[k] = _mm512_set1_epi64(k == 0 ? static_cast<long long>(small) : 0);
    return x;
  }
  static Choice choice(unsigned bit) { return static_cast<Choice>(0U - bit); }
  static Choice differ(Choice a, Choice b) { return a ^ b; }
  static Choice choice(const bool* bits) {
    unsigned mask = 0;
    for (unsigned lane = 0; lane < lanes; ++lane) mask |= static_cast<unsigned>(bits[lane]) << lane;
    return static_cast<Choice>(mask);
  }
};

inline __m512i repeat(u64 x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
inline __m512i sum(__m512i a, __m512i b) { return _mm512_add_epi64(a, b); }

// All limbs pass on what is above 51 bits at once; from below 2^61 to loose.
inline FieldIfma carried(const __m512i t[5]) {
  const __m512i mask = repeat((u64{1} << 51) - 1);
  FieldIfma r;
  __m512i over[5];
  for (size_t k = 0; k < 5; ++k) {
    over[k] = _mm512_srli_epi64(t[k], 51);
    r.v[k] = _mm512_and_si512(t[k], mask);
  }
  r.v[0] = _mm512_madd52lo_epu64(r.v[0], over[4], repeat(19));
  for (size_t k = 1; k < 5; ++k) r.v[k] = _mm512_add_epi64(r.v[k], over[k - 1]);
  return r;
}

inline FieldIfma narrow(const FieldIfma::Wide& a) { return carried(a.v); }

inline FieldIfma::Wide wide(const FieldIfma& a) {
  FieldIfma::Wide r;
  for (size_t k = 0; k < 5; ++k) r.v[k] = a.v[k];
  return r;
}

template <class Element>
FieldIfma add(const Element& a, const Element& b) {
  __m512i t[5];
  for (size_t k = 0; k < 5; ++k) t[k] = sum(a.v[k], b.v[k]);
  return carried(t);
}

template <class Element>
FieldIfma sub(const Element& a, const Element& b) {  // a + 2^9 p - b
  __m512i t[5];
  for (size_t k = 0; k < 5; ++k) {
    const __m512i multiple = repeat((u64{1} << 60) - (k == 0 ? u64{19} << 9 : u64{1} << 9));
    t[k] = _mm512_sub_epi64(sum(a.v[k], multiple), b.v[k]);
  }
  return carried(t);
}

template <class Element>
Element choose(__mmask8 first, const Element& a, const Element& b) {
  Element r;
  for (size_t k = 0; k < 5; ++k) r.v[k] = _mm512_mask_blend_epi64(first, b.v[k], a.v[k]);
  return r;
}

// From sums of the low halves at 2^(51 k) and of the high halves, which count twice, at 2^(51 (k + 1)); `above` has both
// from 2^255 on, which counts 19 times. Of factors with loose limbs, the results are below 131 times 2^52 and a bit.
inline FieldIfma::Wide folded(const __m512i low[5], const __m512i high[4], const __m512i above[5]) {
  FieldIfma::Wide r;
  for (size_t k = 0; k < 5; ++k) {
    const __m512i x = above[k];
    const __m512i once = k == 0 ? x : sum(x, high[k - 1]);
    r.v[k] = sum(sum(low[k], sum(once, once)), sum(_mm512_slli_epi64(x, 4), x));
  }
  return r;
}

// The highs come first, so that the lows above 2^255 can begin with them, and nine sums at a time are under way.
inline FieldIfma::Wide wide_mul(const FieldIfma& a, const FieldIfma& b) {
  __m512i low[9];
  __m512i high[9];
  for (size_t k = 0; k < 9; ++k) low[k] = high[k] = _mm512_setzero_si512();
  for (size_t i = 0; i < 5; ++i) {
    for (size_t j = 0; j < 5; ++j) high[i + j] = _mm512_madd52hi_epu64(high[i + j], a.v[i], b.v[j]);
  }
  for (size_t k = 5; k < 9; ++k) low[k] = sum(high[k - 1], high[k - 1]);
  for (size_t i = 0; i < 5; ++i) {
    for (size_t j = 0; j < 5; ++j) low[i + j] = _mm512_madd52lo_epu64(low[i + j], a.v[i], b.v[j]);
  }
  const __m512i above[5] = {low[5], low[6], low[7], low[8], sum(high[8], high[8])};
  return folded(low, high, above);
}

inline FieldIfma::Wide wide_square(const FieldIfma& a) {
  __m512i low[9];
  __m512i high[9];
  for (size_t k = 0; k < 9; ++k) low[k] = high[k] = _mm512_setzero_si512();
  for (size_t i = 0; i < 5; ++i) {
    for (size_t j = i + 1; j < 5; ++j) high[i + j] = _mm512_madd52hi_epu64(high[i + j], a.v[i], a.v[j]);
  }
  for (size_t k = 1; k < 8; ++k) high[k] = sum(high[k], high[k]);
  for (size_t i = 0; i < 5; ++i) high[2 * i] = _mm512_madd52hi_epu64(high[2 * i], a.v[i], a.v[i]);
  for (size_t k = 5; k < 9; ++k) low[k] = high[k - 1];
  for (size_t i = 0; i < 5; ++i) {
    for (size_t j = i + 1; j < 5; ++j) low[i + j] = _mm512_madd52lo_epu64(low[i + j], a.v[i], a.v[j]);
  }
  for (size_t k = 1; k < 9; ++k) low[k] = sum(low[k], low[k]);
  for (size_t i = 0; i < 5; ++i) low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], a.v[i], a.v[i]);
  const __m512i above[5] = {low[5], low[6], low[7], low[8], sum(high[8], high[8])};
  return folded(low, high, above);
}

inline FieldIfma mul(const FieldIfma& a, const FieldIfma& b) { return narrow(wide_mul(a, b)); }

inline FieldIfma square(const FieldIfma& a) { return narrow(wide_square(a)); }

// small a + c, for small < 2^20
inline FieldIfma mul_small_add(const FieldIfma& a, u64 small, const FieldIfma& c) {
  __m512i t[5];
  __m512i high[5];
  for (size_t k = 0; k < 5; ++k) {
    t[k] = _mm512_madd52lo_epu64(c.v[k], a.v[k], repeat(small));
    high[k] = _mm512_madd52hi_epu64(_mm512_setzero_si512(), a.v[k], repeat(small));
  }
  for (size_t k = 1; k < 5; ++k) t[k] = sum(t[k], sum(high[k - 1], high[k - 1]));
  t[0] = _mm512_madd52lo_epu64(t[0], high[4], repeat(38));
  return carried(t);
}

}  // namespace

void curve_multiply_ifma(const u8* points, const u8 scalar[32], u8* out, size_t n) {
  curve_multiply<FieldIfma>(points, scalar, out, n);
}

void curve_map_ifma(const u8* uniform, u8* out, size_t n) { curve_map<FieldIfma>(uniform, out, n); }

void curve_multiply_each_ifma(const u8* points, const u8* scalars, u8* out, size_t n) {
  curve_multiply_each<FieldIfma>(points, scalars, out, n);
}

void curve_unmap_ifma(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n) {
  curve_unmap<FieldIfma>(points, choices, out, mapped, n);
}

}  // namespace jali
