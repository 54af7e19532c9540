// SPDX-License-Identifier: Apache-2.0
// Comparison of an opened number with a shared mask, on bit planes: the formulas of `jali.kernels.reference_trees`.
#pragma once

#include "kernels.h"
#include "ring.h"

namespace jali {
namespace {

// Rows of one digit: products of the masks' bits by subset, entry S of a vector at rows[S - 1].
struct Rows {
  const u64* row[15];
};

// The vector over l_1 l_2 l_3 is folded by d_1, d_2 and d_3; see `fold` in the twin.
inline u64 fold(const u64 v[8], u64 d1, u64 d2, u64 d3) {
  const u64 a = (d1 & v[0]) ^ v[1];
  const u64 b = (d1 & v[2]) ^ v[3];
  const u64 c = (d1 & v[4]) ^ v[5];
  const u64 d = (d1 & v[6]) ^ v[7];
  return (d3 & ((d2 & a) ^ b)) ^ (d2 & c) ^ d;
}

// g_3 ^ p_3 (g_2 ^ p_2 (g_1 ^ p_1 g_0)), where g_j is a vector of the l above j.
inline u64 fold_borrow(const u64 g0[8], const u64 g1[4], const u64 g2[2], u64 g3, u64 d1, u64 d2, u64 d3) {
  u64 v[4];
  for (int t = 0; t < 4; ++t) v[t] = (d1 & g0[2 * t]) ^ g0[2 * t + 1] ^ g1[t];
  const u64 low = (d2 & v[0]) ^ v[1] ^ g2[0];
  const u64 high = (d2 & v[2]) ^ v[3] ^ g2[1];
  return (d3 & low) ^ high ^ g3;
}

template <bool borrow>
void tree_leaves(const u64* c, const u64* monomials, u64* out, size_t digits, size_t w, size_t count,
                 bool leader) {
  const u64 one = leader ? ~u64{0} : 0;
  for (size_t digit = 0; digit < digits; ++digit) {
    const u64* c0 = c + 4 * digit * w;
    const u64 *c1 = c0 + w, *c2 = c1 + w, *c3 = c2 + w;
    Rows m;
    for (size_t s = 0; s < 15; ++s) m.row[s] = monomials + (digits * s + digit) * w;
    u64* g_out = out + digit * w;
    u64* p_out = borrow ? out + (digits + digit) * w : g_out;
    JALI_EACH(count) {
      const u64 d0 = ~c0[i], d1 = ~c1[i], d2 = ~c2[i], d3 = ~c3[i];
      u64 rest[8], head[8];
      rest[0] = one;
      for (int t = 1; t < 8; ++t) rest[t] = m.row[2 * t - 1][i];
      for (int t = 0; t < 8; ++t) head[t] = m.row[2 * t][i];
      u64 p[8];
      for (int t = 0; t < 8; ++t) p[t] = (d0 & rest[t]) ^ head[t];
      p_out[i] = fold(p, d1, d2, d3);
      if constexpr (borrow) {
        u64 g0[8], g1[4], g2[2];
        for (int t = 0; t < 8; ++t) g0[t] = d0 & head[t];
        for (int t = 0; t < 4; ++t) g1[t] = d1 & rest[2 * t + 1];
        for (int t = 0; t < 2; ++t) g2[t] = d2 & rest[4 * t + 2];
        g_out[i] = fold_borrow(g0, g1, g2, d3 & rest[4], d1, d2, d3);
      }
    }
  }
}

void borrow_nodes(const u64* masked, const u64* mask, const u64* monomials, u64* out, size_t nodes, size_t w,
                  size_t count, bool leader) {
  const u64 one = leader ? ~u64{0} : 0;
  for (size_t node = 0; node < nodes; ++node) {
    const u64 *dg[4], *dp[4], *lg[4], *lp[4], *m[22];
    for (size_t j = 0; j < 4; ++j) {
      const size_t row = (4 * node + j) * w, other = row + 4 * nodes * w;
      dg[j] = masked + row, dp[j] = masked + other, lg[j] = mask + row, lp[j] = mask + other;
    }
    for (size_t s = 0; s < 22; ++s) m[s] = monomials + (s * nodes + node) * w;
    u64* g_out = out + node * w;
    u64* p_out = out + (nodes + node) * w;
    JALI_EACH(count) {
      const u64 rest[8] = {one, lp[1][i], lp[2][i], m[0][i], lp[3][i], m[1][i], m[2][i], m[3][i]};
      const u64 d1 = dp[1][i], d2 = dp[2][i], d3 = dp[3][i];
      u64 g0[8], g1[4], g2[2], p[8];
      for (int t = 0; t < 8; ++t) g0[t] = (dg[0][i] & rest[t]) ^ (t == 0 ? lg[0][i] : m[3 + t][i]);
      for (int t = 0; t < 4; ++t) g1[t] = (dg[1][i] & rest[2 * t]) ^ (t == 0 ? lg[1][i] : m[10 + t][i]);
      for (int t = 0; t < 2; ++t) g2[t] = (dg[2][i] & rest[4 * t]) ^ (t == 0 ? lg[2][i] : m[14][i]);
      for (int t = 0; t < 8; ++t) p[t] = (dp[0][i] & rest[t]) ^ (t == 0 ? lp[0][i] : m[14 + t][i]);
      g_out[i] = fold_borrow(g0, g1, g2, (dg[3][i] & one) ^ lg[3][i], d1, d2, d3);
      p_out[i] = fold(p, d1, d2, d3);
    }
  }
}

void equal_nodes(const u64* masked, const u64* mask, const u64* monomials, u64* out, size_t nodes, size_t w,
                 size_t count, bool leader) {
  const u64 one = leader ? ~u64{0} : 0;
  for (size_t node = 0; node < nodes; ++node) {
    const u64 *d[4], *l[4], *m[11];
    for (size_t j = 0; j < 4; ++j) d[j] = masked + (4 * node + j) * w, l[j] = mask + (4 * node + j) * w;
    for (size_t s = 0; s < 11; ++s) m[s] = monomials + (s * nodes + node) * w;
    u64* p_out = out + node * w;
    JALI_EACH(count) {
      const u64 rest[8] = {one, l[1][i], l[2][i], m[0][i], l[3][i], m[1][i], m[2][i], m[3][i]};
      u64 p[8];
      for (int t = 0; t < 8; ++t) p[t] = (d[0][i] & rest[t]) ^ (t == 0 ? l[0][i] : m[3 + t][i]);
      p_out[i] = fold(p, d[1][i], d[2][i], d[3][i]);
    }
  }
}

}  // namespace
}  // namespace jali
