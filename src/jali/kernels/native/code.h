// SPDX-License-Identifier: Apache-2.0
// The expand-convolute code (Raghuraman, Rindal, Tanguy 2023) over words of 128 bits: two convolutions with a state of 24
// words, then sums of 21 words at random places. All choices are public.
#pragma once

#include <cstring>
#include <vector>

#include "kernels.h"

namespace jali {
namespace {

constexpr size_t convolution = 24;
constexpr size_t expansion = 21;
constexpr size_t row_words = (expansion + 1) / 2;  // of the key stream, two places a word

using KeyStream = void (*)(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n);

// x[i + j] += x[i] for j = 1..24 where bit j - 1 of word i says so, and for j = 25 always.
inline void convolute(u64* x, size_t n, const AesKeys& keys, KeyStream prg, u64 nonce) {
  constexpr size_t chunk = 4096;
  u64 stream[chunk];
  for (size_t start = 0; start < n; start += 2 * chunk) {
    const size_t end = start + 2 * chunk < n ? start + 2 * chunk : n;
    prg(keys, nonce, start / 2, Mask::set, nullptr, stream, (end - start + 1) / 2);
    for (size_t i = start; i < end; ++i) {
      const u64 bits = stream[(i - start) / 2] >> 32 * (i % 2);
      const u64 low = x[2 * i];
      const u64 high = x[2 * i + 1];
      u64* next = x + 2 * i + 2;
      for (size_t j = 0; j < convolution; ++j) {
        const u64 mask = u64{0} - (bits >> j & 1);
        next[2 * j] ^= low & mask;
        next[2 * j + 1] ^= high & mask;
      }
      next[2 * convolution] ^= low;
      next[2 * convolution + 1] ^= high;
    }
  }
}

// From x (n, 2) to out (m, 2). `x` is overwritten, and has 25 more rows behind it.
inline void expand_convolute(u64* x, size_t n, u64* out, size_t m, const AesKeys& keys, KeyStream prg) {
  convolute(x, n, keys, prg, 0);
  convolute(x, n, keys, prg, 1);
  constexpr size_t chunk = 256;
  u64 stream[chunk * row_words];
  u32 places[chunk * expansion];
  for (size_t start = 0; start < m; start += chunk) {
    const size_t rows = m - start < chunk ? m - start : chunk;
    prg(keys, 2, start * row_words, Mask::set, nullptr, stream, rows * row_words);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t k = 0; k < expansion; ++k) {
        const u64 half = stream[r * row_words + k / 2] >> 32 * (k % 2) & 0xffffffff;
        places[r * expansion + k] = static_cast<u32>(half * n >> 32);
      }
    }
    for (size_t r = 0; r < rows; ++r) {
      if (r + 4 < rows) {
        for (size_t k = 0; k < expansion; ++k) __builtin_prefetch(x + 2 * size_t{places[(r + 4) * expansion + k]});
      }
      u64 low = 0;
      u64 high = 0;
      for (size_t k = 0; k < expansion; ++k) {
        const u64* word = x + 2 * size_t{places[r * expansion + k]};
        low ^= word[0];
        high ^= word[1];
      }
      out[2 * (start + r)] = low;
      out[2 * (start + r) + 1] = high;
    }
  }
}

}  // namespace
}  // namespace jali
