// SPDX-License-Identifier: Apache-2.0
// Curve25519 on several lanes at a time, over a field F = integers mod p = 2^255 - 19 that a level provides.
//
// F has `lanes`, the bits of each limb (`width(k)`, which add up to 255), an array of limbs of all lanes, and add, sub,
// mul, square and mul_small. Arguments and results are "loose": limbs may be slightly wider than `width`. No branch and
// no address depends on an element or on a scalar, but in `same`, which looks at what is about to be published.
#pragma once

#include <cstring>

#include "kernels.h"

namespace jali {
namespace {

constexpr u64 montgomery_j = 486662;  // y^2 = x^3 + J x^2 + x
constexpr size_t point_bytes = 32;
constexpr size_t uniform_bytes = 48;
constexpr size_t most_groups = 32;  // whose inversions become one

template <class F>
constexpr unsigned start_of(size_t limb) {
  unsigned bits = 0;
  for (size_t k = 0; k < limb; ++k) bits += F::width(k);
  return bits;
}

// Limbs of a number below 2^255 in four words; `limbs[k * stride]`.
template <class F>
void split(const u64 words[4], typename F::Limb* limbs, size_t stride) {
  for (size_t k = 0; k < F::limbs; ++k) {
    const unsigned start = start_of<F>(k);
    const unsigned word = start / 64;
    const unsigned shift = start % 64;
    u64 bits = words[word] >> shift;
    if (shift != 0 && word < 3) bits |= words[word + 1] << (64 - shift);
    limbs[k * stride] = static_cast<typename F::Limb>(bits & ((u64{1} << F::width(k)) - 1));
  }
}

// The one number below p that loose limbs stand for.
template <class F>
void join(const typename F::Limb* limbs, size_t stride, u64 words[4]) {
  u64 t[F::limbs];
  for (size_t k = 0; k < F::limbs; ++k) t[k] = limbs[k * stride];
  const auto carry = [&t] {
    for (size_t k = 0; k + 1 < F::limbs; ++k) {
      t[k + 1] += t[k] >> F::width(k);
      t[k] &= (u64{1} << F::width(k)) - 1;
    }
    const u64 over = t[F::limbs - 1] >> F::width(F::limbs - 1);
    t[F::limbs - 1] &= (u64{1} << F::width(F::limbs - 1)) - 1;
    return over;
  };
  t[0] += 19 * carry();
  t[0] += 19 * carry();
  u64 above = t[0] + 19;  // whether 19 more reach 2^255
  for (size_t k = 0; k + 1 < F::limbs; ++k) above = t[k + 1] + (above >> F::width(k));
  t[0] += 19 * (above >> F::width(F::limbs - 1));
  carry();
  words[0] = words[1] = words[2] = words[3] = 0;
  for (size_t k = 0; k < F::limbs; ++k) {
    const unsigned start = start_of<F>(k);
    words[start / 64] |= t[k] << start % 64;
    if (start % 64 + F::width(k) > 64) words[start / 64 + 1] |= t[k] >> (64 - start % 64);
  }
}

inline u64 load_word(const u8* bytes) {
  u64 word = 0;
  for (unsigned i = 0; i < 8; ++i) word |= u64{bytes[i]} << 8 * i;
  return word;
}

inline void store_word(u64 word, u8* bytes) {
  for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<u8>(word >> 8 * i);
}

// Rows of 32 little-endian bytes; lanes beyond `count` are 0.
template <class F>
F load_points(const u8* rows, size_t count) {
  alignas(64) typename F::Limb limbs[F::limbs * F::lanes] = {};
  for (size_t lane = 0; lane < count; ++lane) {
    u64 words[4];
    for (size_t i = 0; i < 4; ++i) words[i] = load_word(rows + point_bytes * lane + 8 * i);
    words[3] &= ~u64{0} >> 1;  // RFC 7748, section 5
    split<F>(words, limbs + lane, F::lanes);
  }
  return F::load(limbs);
}

template <class F>
void store_points(const F& x, u8* rows, size_t count) {
  alignas(64) typename F::Limb limbs[F::limbs * F::lanes];
  x.store(limbs);
  for (size_t lane = 0; lane < count; ++lane) {
    u64 words[4];
    join<F>(limbs + lane, F::lanes, words);
    for (size_t i = 0; i < 4; ++i) store_word(words[i], rows + point_bytes * lane + 8 * i);
  }
}

// Rows of 48 big-endian bytes, reduced.
template <class F>
F load_uniform(const u8* rows, size_t count) {
  alignas(64) typename F::Limb limbs[F::limbs * F::lanes] = {};
  for (size_t lane = 0; lane < count; ++lane) {
    u64 words[6];
    for (size_t i = 0; i < 6; ++i) {
      words[i] = 0;
      for (size_t j = 0; j < 8; ++j) words[i] = words[i] << 8 | rows[uniform_bytes * lane + 8 * (5 - i) + j];
    }
    using Wide = unsigned __int128;
    Wide sum = 0;
    for (size_t i = 0; i < 4; ++i) {  // 2^256 = 38
      sum += Wide{words[i]} + Wide{i < 2 ? words[4 + i] : 0} * 38;
      words[i] = static_cast<u64>(sum);
      sum >>= 64;
    }
    for (unsigned times = 0; times < 2; ++times) {
      const u64 over = static_cast<u64>(sum << 1) | words[3] >> 63;
      words[3] &= ~u64{0} >> 1;
      sum = Wide{over} * 19;
      for (size_t i = 0; i < 4; ++i) {
        sum += words[i];
        words[i] = static_cast<u64>(sum);
        sum >>= 64;
      }
    }
    split<F>(words, limbs + lane, F::lanes);
  }
  return F::load(limbs);
}

// All ones in the lanes where a = b.
template <class F>
typename F::Choice same(const F& a, const F& b) {
  alignas(64) typename F::Limb limbs[F::limbs * F::lanes];
  sub(a, b).store(limbs);
  bool zero[F::lanes];
  for (size_t lane = 0; lane < F::lanes; ++lane) {
    u64 words[4];
    join<F>(limbs + lane, F::lanes, words);
    zero[lane] = (words[0] | words[1] | words[2] | words[3]) == 0;
  }
  return F::choice(zero);
}

template <class F>
F square_times(F x, unsigned times) {
  for (unsigned i = 0; i < times; ++i) x = square(x);
  return x;
}

// x^(2^250 - 1), and x^2 and x^11 on the way: Bernstein's chain (2006).
template <class F>
F power_of_ones(const F& x, F& x2, F& x11) {
  x2 = square(x);
  const F x9 = mul(square_times(x2, 2), x);
  x11 = mul(x9, x2);
  const F ones5 = mul(square(x11), x9);
  const F ones10 = mul(square_times(ones5, 5), ones5);
  const F ones20 = mul(square_times(ones10, 10), ones10);
  const F ones40 = mul(square_times(ones20, 20), ones20);
  const F ones50 = mul(square_times(ones40, 10), ones10);
  const F ones100 = mul(square_times(ones50, 50), ones50);
  const F ones200 = mul(square_times(ones100, 100), ones100);
  return mul(square_times(ones200, 50), ones50);
}

// x^(p - 2), p - 2 = 32 (2^250 - 1) + 11
template <class F>
F invert(const F& x) {
  F x2 = x;
  F x11 = x;
  const F ones = power_of_ones(x, x2, x11);
  return mul(square_times(ones, 5), x11);
}

// x^((p - 1) / 2), (p - 1) / 2 = 16 (2^250 - 1) + 6: 1 for squares, -1 for others
template <class F>
F character(const F& x) {
  F x2 = x;
  F x11 = x;
  const F ones = power_of_ones(x, x2, x11);
  return mul(square_times(ones, 4), mul(square(x2), x2));
}

// x[i] = x[i] / z[i]; 0 where z[i] is 0 (Montgomery 1987, section 10.3.1).
template <class F>
void divide_all(F* x, F* z, size_t count) {
  const F one = F::number(1);
  const F zero = F::number(0);
  F before[most_groups];
  F product = one;
  for (size_t i = 0; i < count; ++i) {
    const auto none = same(z[i], zero);
    z[i] = choose(none, one, z[i]);
    x[i] = choose(none, zero, x[i]);
    before[i] = product;
    product = mul(product, z[i]);
  }
  F inverse = invert(product);
  for (size_t i = count; i-- > 0;) {
    x[i] = mul(x[i], mul(inverse, before[i]));
    inverse = mul(inverse, z[i]);
  }
}

// Results that are only added or subtracted next need no carry: a level may leave them "wide".
template <class F>
F wide(const F& a) {
  return a;
}

template <class F>
F narrow(const F& a) {
  return a;
}

template <class F>
F wide_mul(const F& a, const F& b) {
  return mul(a, b);
}

template <class F>
F wide_square(const F& a) {
  return square(a);
}

// The product X / Z of points with scalars of 255 bits, by the ladder of RFC 7748, section 5. Instead of swapping both
// points before a step and back after it, the step picks the point that is doubled; the sum is the same either way but
// for the sign of DA - CB, which is squared. `bit(i)` gives bit i of each lane's scalar.
template <class F, class Bit>
void ladder(const F& x1, const Bit& bit, F& x, F& z) {
  auto x2 = wide(F::number(1));
  auto z2 = wide(F::number(0));
  auto x3 = wide(x1);
  auto z3 = x2;
  auto before = F::choice(0U);
  for (unsigned i = 255; i-- > 0;) {
    const auto now = bit(i);
    const auto other = F::differ(now, before);
    before = now;
    const F a = add(x2, z2);
    const F b = sub(x2, z2);
    const F c = add(x3, z3);
    const F d = sub(x3, z3);
    const F aa = square(choose(other, c, a));
    const F bb = square(choose(other, d, b));
    const auto da = wide_mul(d, a);
    const auto cb = wide_mul(c, b);
    const F e = sub(aa, bb);
    x3 = wide_square(add(da, cb));
    z3 = wide_mul(x1, square(sub(da, cb)));
    x2 = wide_mul(aa, bb);
    z2 = wide_mul(e, mul_small_add(e, (montgomery_j - 2) / 4, aa));
  }
  // Of the doubled point and the sum, the product is the one that the last bit did not pick.
  x = narrow(choose(before, x3, x2));
  z = narrow(choose(before, z3, z2));
}

inline unsigned bit_of(const u8 scalar[32], unsigned i) { return scalar[i / 8] >> i % 8 & 1U; }

// `product(at, rows, x, z)` computes X / Z of a group.
template <class F, class Product>
void multiply_groups(u8* out, size_t n, const Product& product) {
  constexpr size_t chunk = most_groups * F::lanes;
  for (size_t start = 0; start < n; start += chunk) {
    const size_t rows = n - start < chunk ? n - start : chunk;
    const size_t groups = (rows + F::lanes - 1) / F::lanes;
    F x[most_groups];
    F z[most_groups];
    for (size_t g = 0; g < groups; ++g) {
      const size_t at = start + g * F::lanes;
      product(at, n - at < F::lanes ? n - at : F::lanes, x[g], z[g]);
    }
    divide_all(x, z, groups);
    for (size_t g = 0; g < groups; ++g) {
      const size_t at = start + g * F::lanes;
      store_points(x[g], out + point_bytes * at, n - at < F::lanes ? n - at : F::lanes);
    }
  }
}

template <class F>
void curve_multiply(const u8* points, const u8 scalar[32], u8* out, size_t n) {
  u8 clamped[32];
  std::memcpy(clamped, scalar, 32);
  clamped[0] &= 248;
  clamped[31] = static_cast<u8>((clamped[31] & 127) | 64);
  multiply_groups<F>(out, n, [&](size_t at, size_t rows, F& x, F& z) {
    ladder(load_points<F>(points + point_bytes * at, rows), [&](unsigned i) { return F::choice(bit_of(clamped, i)); },
           x, z);
  });
  std::memset(clamped, 0, sizeof clamped);
  __asm__ volatile("" : : "r"(clamped) : "memory");  // keeps the wiping
}

template <class F>
void curve_multiply_each(const u8* points, const u8* scalars, u8* out, size_t n) {
  multiply_groups<F>(out, n, [&](size_t at, size_t rows, F& x, F& z) {
    ladder(load_points<F>(points + point_bytes * at, rows),
           [&](unsigned i) {
             bool bits[F::lanes] = {};
             for (size_t lane = 0; lane < rows; ++lane) bits[lane] = bit_of(scalars + 32 * (at + lane), i) != 0;
             return F::choice(bits);
           },
           x, z);
  });
}

// Elligator 2 (RFC 9380, section 6.7.1, Z = 2): x1 = -J / (1 + 2 u^2) if it lies on the curve, else x2 = -J - x1.
// With x1 = n / d, x1^3 + J x1^2 + x1 is a square exactly if n d (n^2 + J n d + d^2) is.
template <class F>
void curve_map(const u8* uniform, u8* out, size_t n) {
  const F one = F::number(1);
  const F j = F::number(montgomery_j);
  const F minus_j = sub(F::number(0), j);
  const F minus_one = sub(F::number(0), one);
  constexpr size_t chunk = most_groups * F::lanes;
  for (size_t start = 0; start < n; start += chunk) {
    const size_t rows = n - start < chunk ? n - start : chunk;
    const size_t groups = (rows + F::lanes - 1) / F::lanes;
    F x[most_groups];
    F d[most_groups];
    typename F::Choice twist[most_groups];
    for (size_t g = 0; g < groups; ++g) {
      const size_t at = start + g * F::lanes;
      const F u = load_uniform<F>(uniform + uniform_bytes * at, n - at < F::lanes ? n - at : F::lanes);
      const F uu = square(u);
      x[g] = minus_j;
      d[g] = add(add(uu, uu), one);
      const F nd = mul(minus_j, d[g]);
      const F sum = add(add(square(minus_j), mul(j, nd)), square(d[g]));
      twist[g] = same(character(mul(nd, sum)), minus_one);
    }
    divide_all(x, d, groups);
    for (size_t g = 0; g < groups; ++g) {
      const size_t at = start + g * F::lanes;
      const F chosen = choose(twist[g], sub(minus_j, x[g]), x[g]);
      store_points(chosen, out + point_bytes * at, n - at < F::lanes ? n - at : F::lanes);
    }
  }
}

// One of the four u that Elligator 2 maps to x: the root of -(J + x) / 2x or of -x / 2(J + x), as bit 0 of the choice
// says, the even or the odd one by bit 1. `mapped` is 0 where there is none. With n / d for the fraction and p = 5 mod
// 8, c = n d^3 (n d^7)^((p - 5) / 8) has d c^2 = n or -n, up to a root of -1, if n / d is a square (RFC 8032, 5.1.3).
template <class F>
void curve_unmap(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n) {
  const F zero = F::number(0);
  const F one = F::number(1);
  const F j = F::number(montgomery_j);
  F x2 = zero;
  F x11 = zero;
  const F two = F::number(2);
  const F root = mul(square_times(power_of_ones(two, x2, x11), 3), mul(square(two), two));  // of -1: 2^((p - 1) / 4)
  for (size_t at = 0; at < n; at += F::lanes) {
    const size_t rows = n - at < F::lanes ? n - at : F::lanes;
    bool second[F::lanes] = {};
    for (size_t lane = 0; lane < rows; ++lane) second[lane] = (choices[at + lane] & 1U) != 0;
    const auto pick = F::choice(second);
    const F x = load_points<F>(points + point_bytes * at, rows);
    const F sum = add(x, j);
    const F top = sub(zero, choose(pick, x, mul(sum, one)));
    const F half = choose(pick, mul(sum, one), x);
    const F d = mul(half, two);
    const F d3 = mul(square(d), d);
    const F numerator_d7 = mul(top, mul(square(d3), d));
    const F power = mul(square_times(power_of_ones(numerator_d7, x2, x11), 2), numerator_d7);  // (p - 5) / 8 = 4 (2^250 - 1) + 1
    F c = mul(mul(top, d3), power);
    const F check = mul(square(c), d);
    const auto wrong = same(check, mul(sub(zero, top), one));
    c = choose(wrong, mul(c, root), c);
    u8 rows_of[F::lanes * point_bytes];
    store_points(c, rows_of, rows);
    bool odd[F::lanes] = {};
    for (size_t lane = 0; lane < rows; ++lane) {
      odd[lane] = ((rows_of[point_bytes * lane] ^ choices[at + lane] >> 1) & 1U) != 0;
    }
    store_points(choose(F::choice(odd), sub(zero, c), c), out + point_bytes * at, rows);
    alignas(64) typename F::Limb limbs[F::limbs * F::lanes];
    sub(mul(square(c), d), mul(top, one)).store(limbs);
    for (size_t lane = 0; lane < rows; ++lane) {
      u64 words[4];
      join<F>(limbs + lane, F::lanes, words);
      mapped[at + lane] = (words[0] | words[1] | words[2] | words[3]) == 0 ? 1 : 0;
    }
  }
}

}  // namespace
}  // namespace jali
