// SPDX-License-Identifier: Apache-2.0
// Local protocol steps over Z_2^64 and Z_2: one pass over memory each. The compiler vectorises them for each level.
#pragma once

#include "kernels.h"

namespace jali {
namespace {

// `out` is either distinct from an input or equal to it, so iterations are independent.
#if defined(__clang__)
#define JALI_EACH(n) _Pragma("clang loop vectorize(assume_safety)") for (size_t i = 0; i < (n); ++i)
#elif defined(__GNUC__)
#define JALI_EACH(n) _Pragma("GCC ivdep") for (size_t i = 0; i < (n); ++i)
#else
#define JALI_EACH(n) for (size_t i = 0; i < (n); ++i)
#endif

void masked_product(const u64* dx, const u64* dy, const u64* lx, const u64* ly, const u64* g, u64* out, size_t n,
                    bool leader) {
  if (leader) {
    JALI_EACH(n) out[i] = dx[i] * (dy[i] - ly[i]) - dy[i] * lx[i] + g[i];
  } else {
    JALI_EACH(n) out[i] = g[i] - dx[i] * ly[i] - dy[i] * lx[i];
  }
}

void masked_and(const u64* da, const u64* db, const u64* la, const u64* lb, const u64* g, u64* out, size_t n,
                bool leader) {
  if (leader) {
    JALI_EACH(n) out[i] = (da[i] & (db[i] ^ lb[i])) ^ (db[i] & la[i]) ^ g[i];
  } else {
    JALI_EACH(n) out[i] = (da[i] & lb[i]) ^ (db[i] & la[i]) ^ g[i];
  }
}

void masked_truncate(const u64* c, const u64* a, const u64* b, u64* out, size_t n, unsigned bits, bool leader) {
  const u64 lead = leader ? ~u64{0} : 0;
  const u64 offset = u64{1} << (62 - bits);
  JALI_EACH(n) {
    const u64 wrapped = u64{0} - (c[i] >> 63);
    const u64 correction = (b[i] & wrapped) | (a[i] & ~wrapped);
    out[i] = (((c[i] >> bits) - offset) & lead) - correction;
  }
}

void replicated_product(const u64* x0, const u64* x1, const u64* y0, const u64* y1, const u64* zero, u64* out,
                        size_t n) {
  JALI_EACH(n) out[i] = x0[i] * (y0[i] + y1[i]) + x1[i] * y0[i] + zero[i];
}

void replicated_and(const u64* x0, const u64* x1, const u64* y0, const u64* y1, const u64* zero, u64* out, size_t n) {
  JALI_EACH(n) out[i] = (x0[i] & (y0[i] ^ y1[i])) ^ (x1[i] & y0[i]) ^ zero[i];
}

}  // namespace
}  // namespace jali
