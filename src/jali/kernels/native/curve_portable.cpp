// SPDX-License-Identifier: Apache-2.0
// One point at a time with 64-bit multiplications: five limbs of 51 bits (Bernstein, Duif, Lange, Schwabe, Yang 2011,
// section 3).
#include "curve.h"
#include "levels.h"

namespace jali {
namespace {

using Wide = unsigned __int128;

// Loose limbs are below 2^51 + 2^15, sums of two below 2^53.
struct FieldPortable {
  using Limb = u64;
  using Choice = u64;
  static constexpr size_t lanes = 1;
  static constexpr size_t limbs = 5;
  static constexpr unsigned width(size_t) { return 51; }
  u64 v[limbs];

  static FieldPortable load(const Limb* limb) { return {{limb[0], limb[1], limb[2], limb[3], limb[4]}}; }
  void store(Limb* limb) const { std::memcpy(limb, v, sizeof v); }
  static FieldPortable number(u64 small) { return {{small, 0, 0, 0, 0}}; }
  static Choice choice(unsigned bit) { return u64{0} - bit; }
  static Choice differ(Choice a, Choice b) { return a ^ b; }
  static Choice choice(const bool* bits) { return u64{0} - bits[0]; }
};

constexpr u64 mask51 = (u64{1} << 51) - 1;

inline FieldPortable carried(Wide t[5]) {
  FieldPortable r;
  Wide over = 0;
  for (size_t k = 0; k < 5; ++k) {
    t[k] += over;
    r.v[k] = static_cast<u64>(t[k]) & mask51;
    over = t[k] >> 51;
  }
  over = r.v[0] + over * 19;
  r.v[0] = static_cast<u64>(over) & mask51;
  r.v[1] += static_cast<u64>(over >> 51);
  return r;
}

inline FieldPortable add(const FieldPortable& a, const FieldPortable& b) {
  FieldPortable r;
  for (size_t k = 0; k < 5; ++k) r.v[k] = a.v[k] + b.v[k];
  return r;
}

inline FieldPortable sub(const FieldPortable& a, const FieldPortable& b) {  // a + 4 p - b
  FieldPortable r;
  for (size_t k = 0; k < 5; ++k) r.v[k] = a.v[k] + ((u64{1} << 53) - (k == 0 ? 76 : 4)) - b.v[k];
  return r;
}

inline FieldPortable choose(u64 first, const FieldPortable& a, const FieldPortable& b) {
  FieldPortable r;
  for (size_t k = 0; k < 5; ++k) r.v[k] = (a.v[k] & first) | (b.v[k] & ~first);
  return r;
}

inline FieldPortable mul(const FieldPortable& a, const FieldPortable& b) {
  u64 b19[5];
  for (size_t k = 0; k < 5; ++k) b19[k] = 19 * b.v[k];
  Wide t[5] = {};
  for (size_t i = 0; i < 5; ++i) {
    for (size_t k = 0; k < 5; ++k) t[k] += Wide{a.v[i]} * (k < i ? b19[k + 5 - i] : b.v[k - i]);
  }
  return carried(t);
}

inline FieldPortable square(const FieldPortable& a) {
  const u64* x = a.v;
  const u64 twice[3] = {2 * x[0], 2 * x[1], 2 * x[2]};
  const u64 x3 = 19 * x[3];
  const u64 x4 = 19 * x[4];
  Wide t[5] = {Wide{x[0]} * x[0] + Wide{twice[1]} * x4 + Wide{twice[2]} * x3,
               Wide{twice[0]} * x[1] + Wide{twice[2]} * x4 + Wide{x[3]} * x3,
               Wide{twice[0]} * x[2] + Wide{x[1]} * x[1] + Wide{2 * x[3]} * x4,
               Wide{twice[0]} * x[3] + Wide{twice[1]} * x[2] + Wide{x[4]} * x4,
               Wide{twice[0]} * x[4] + Wide{twice[1]} * x[3] + Wide{x[2]} * x[2]};
  return carried(t);
}

inline FieldPortable mul_small_add(const FieldPortable& a, u64 small, const FieldPortable& c) {
  Wide t[5];
  for (size_t k = 0; k < 5; ++k) t[k] = Wide{a.v[k]} * small + c.v[k];
  return carried(t);
}

}  // namespace

void curve_multiply_portable(const u8* points, const u8 scalar[32], u8* out, size_t n) {
  curve_multiply<FieldPortable>(points, scalar, out, n);
}

void curve_map_portable(const u8* uniform, u8* out, size_t n) { curve_map<FieldPortable>(uniform, out, n); }

void curve_multiply_each_portable(const u8* points, const u8* scalars, u8* out, size_t n) {
  curve_multiply_each<FieldPortable>(points, scalars, out, n);
}

void curve_unmap_portable(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n) {
  curve_unmap<FieldPortable>(points, choices, out, mapped, n);
}

}  // namespace jali
