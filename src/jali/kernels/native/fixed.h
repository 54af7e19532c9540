// SPDX-License-Identifier: Apache-2.0
// Fixed point to and from float64. Scaling by a power of two is exact; rounding happens once, ties to even.
#pragma once

#include <cmath>
#include <cstring>

#include "kernels.h"

namespace jali {
namespace {

// Adding 1.5 2^52 rounds a small number to an integer, which then stands in the low bits of the sum.
constexpr double rounder = 6755399441055744.0;

inline u64 bits_of(double x) {
  u64 bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

// Two halves, x = 2^32 high + low with |high| <= 2^30 and |low| <= 2^31, because only AVX-512 converts to 64 bits at once.
// Subtracting 2^32 high is exact and keeps the parity, hence ties to even.
inline u64 to_integer(double x) {
  const double high = x * 0x1p-32 + rounder;
  const double low = (x - (high - rounder) * 0x1p32) + rounder;
  const u64 base = bits_of(rounder);
  return ((bits_of(high) - base) << 32) + (bits_of(low) - base);
}

size_t fixed_encode(const double* x, u64* out, size_t n, unsigned bits) {
  const auto scale = static_cast<double>(u64{1} << bits);
  const auto limit = static_cast<double>(u64{1} << (62 - bits));
  u64 bad = 0;
  for (size_t i = 0; i < n; ++i) {
    bad += std::fabs(x[i]) < limit ? 0 : 1;  // counts NaN too
    out[i] = to_integer(x[i] * scale);
  }
  return bad;
}

void fixed_decode(const u64* x, double* out, size_t n, unsigned bits) {
  const double scale = 1.0 / static_cast<double>(u64{1} << bits);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<double>(static_cast<std::int64_t>(x[i])) * scale;
}

}  // namespace
}  // namespace jali
