// SPDX-License-Identifier: Apache-2.0
// Functions by one-time tables: what a dealer computes from a mask, and what evaluators pick at an opened number. The
// formulas are those of `jali.kernels.reference_lookup`.
#pragma once

#include <cstring>

#include "fixed.h"
#include "kernels.h"

namespace jali {
namespace {

constexpr size_t most_pieces = 64;
constexpr size_t most_terms = 17;

void pieces_dealt(const u64* r, const double* coefficients, u64* out, size_t n, const Pieces& f) {
  const u64 index_mask = f.pieces - 1;
  const u64 step_mask = (u64{1} << f.steps) - 1;
  const double unit = 1.0 / static_cast<double>(u64{1} << f.steps);
  const auto first = static_cast<double>(u64{1} << f.scale);
  const auto other = static_cast<double>(u64{1} << (f.scale - f.steps));
  const size_t stride = f.pieces;
  alignas(64) double c[most_terms * most_pieces];
  alignas(64) u64 words[most_terms * most_pieces];
  for (size_t e = 0; e < n; ++e, out += f.pieces * f.terms) {
    const u64 t = r[e] * f.factor;
    // Both places count from the middle of the interval, where the polynomials are well conditioned.
    const double rho = static_cast<double>(static_cast<std::int64_t>((t >> (f.low - f.steps)) & step_mask)) * unit - 0.5;
    const u64 rotation = (t >> f.low) & index_mask;
    std::memcpy(c, coefficients, f.terms * stride * sizeof(double));
    for (size_t k = 0; k + 1 < f.terms; ++k) {
      for (size_t m = f.terms - 1; m-- > k;) {
        double* low = c + m * stride;
        const double* high = low + stride;
        for (size_t j = 0; j < stride; ++j) low[j] = low[j] - rho * high[j];
      }
    }
    for (size_t m = 0; m < f.terms; ++m) {
      const double scale = m == 0 ? first : other;
      for (size_t j = 0; j < stride; ++j) words[m * stride + j] = to_integer(c[m * stride + j] * scale);
    }
    for (size_t j = 0; j < stride; ++j) {
      u64* entry = out + ((j + rotation) & index_mask) * f.terms;
      for (size_t m = 0; m < f.terms; ++m) entry[m] = words[m * stride + j];
    }
  }
}

void pieces_combined(const u64* d, const u64* dealt, u64* out, size_t n, const Pieces& f) {
  const u64 index_mask = f.pieces - 1;
  const u64 step_mask = (u64{1} << f.steps) - 1;
  const std::int64_t half = std::int64_t{1} << (f.steps - 1);
  for (size_t e = 0; e < n; ++e, dealt += f.pieces * f.terms) {
    const u64 t = d[e] * f.factor;
    const std::int64_t delta = static_cast<std::int64_t>((t >> (f.low - f.steps)) & step_mask) - half;
    const u64* entry = dealt + ((t >> f.low) & index_mask) * f.terms;
    u64 sum = entry[0];
    std::int64_t power = delta;
    for (size_t m = 1; m < f.terms; ++m) {
      sum += static_cast<u64>(power) * entry[m];
      power = (power * delta) >> f.steps;
    }
    out[e] = sum;
  }
}

// 2^(4.5 x / 2^22) with 56 fraction bits, for 0 <= x <= 2^22: a table of 1025, and e^u = 1 + u + u^2 / 2.
inline u64 power_of_two(const u64* table, u64 x) {
  constexpr u64 per_step = 817670;  // 4.5 ln 2 2^18
  const u64 u = (x & 4095) * per_step;  // 40 fraction bits
  const u64 small = u >> 10;            // 30 fraction bits
  const u64 factor = (u64{1} << 30) + small + ((small * small) >> 31);
  return table[x >> 12] * factor;
}

void octaves_dealt(const u64* r, const u64* table, u64* out, size_t n, u64 factor, unsigned low) {
  constexpr u64 root_of_two = 1518500250;  // 30 fraction bits
  constexpr u64 whole = u64{1} << 22;
  for (size_t e = 0; e < n; ++e, out += 32) {
    const u64 t = r[e] * factor;
    const u64 even = power_of_two(table, whole - ((t >> (low - 22)) & (whole - 1)));
    const u64 odd = (even >> 29) * root_of_two;  // 57 fraction bits
    const u64 rotation = (t >> low) & 15;
    for (int j = -5; j <= 10; ++j) {
      const int halves = 9 * (j - 1);
      const bool is_odd = (halves & 1) != 0;
      const int whole_octaves = (halves - (is_odd ? 1 : 0)) / 2;
      const bool large = j > 4;
      const int shift = (is_odd ? 57 : 56) - whole_octaves - (large ? 2 : 23);
      const u64 entry = ((is_odd ? odd : even) + (u64{1} << (shift - 1))) >> shift;
      u64* place = out + 2 * ((static_cast<u64>(j & 15) + rotation) & 15);
      place[0] = large ? 0 : entry;
      place[1] = large ? entry : 0;
    }
  }
}

void octaves_combined(const u64* d, const u64* dealt, const u64* table, u64* out, size_t n, u64 factor, unsigned low) {
  for (size_t e = 0; e < n; ++e, dealt += 32) {
    const u64 t = d[e] * factor;
    const u64 power = power_of_two(table, (t >> (low - 22)) & ((u64{1} << 22) - 1));
    const u64 rounded = (power + (u64{1} << 39)) >> 40;
    const u64* entry = dealt + 2 * ((t >> low) & 15);
    out[e] = rounded * entry[0];
    out[n + e] = rounded * entry[1];
  }
}

}  // namespace
}  // namespace jali
