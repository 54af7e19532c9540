// SPDX-License-Identifier: Apache-2.0
// Matrix product mod 2^64: panels of B and strips of A are packed so that the innermost block streams both.
//
// Blocking after Goto and van de Geijn 2008. A `Block` multiplies a packed strip of `rows` rows of A by a packed panel
// of `columns` columns of B and keeps the products in registers. It packs both as it likes, in at most `strip_words`
// and `panel_words` words for each step of depth, of which there is an even number.
#pragma once

#include <cstring>

#include "kernels.h"
#include "scratch.h"

namespace jali {
namespace {

constexpr size_t depth_limit = 256;   // of a panel: 16 columns fill 32 KiB of L1
constexpr size_t width_limit = 256;   // of a block of panels: half a MiB of L2
constexpr size_t narrow = 4;          // at most so many rows or columns go through the vector paths

// The packing that suits most.
template <size_t row_count, size_t column_count>
struct PlainPacking {
  static constexpr size_t rows = row_count;
  static constexpr size_t columns = column_count;
  static constexpr size_t strip_words = rows;
  static constexpr size_t panel_words = columns;

  // panel[l][j] = b[l][j], zero where the matrix ends.
  static void pack_panel(const u64* b, size_t stride, size_t depth, size_t width, u64* panel) {
    for (size_t l = 0; l < depth; ++l) {
      for (size_t j = 0; j < columns; ++j) panel[l * columns + j] = j < width ? b[l * stride + j] : 0;
    }
  }

  // strip[l][i] = a[i][l], zero where the matrix ends.
  static void pack_strip(const u64* a, size_t stride, size_t depth, size_t height, u64* strip) {
    for (size_t i = 0; i < rows; ++i) {
      for (size_t l = 0; l < depth; ++l) strip[l * rows + i] = i < height ? a[i * stride + l] : 0;
    }
  }
};

inline u64 inner(const u64* x, const u64* y, size_t n) {
  u64 sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

// Few columns: inner products of rows of A with columns of B.
inline bool matmul_few_columns(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n) {
  const Scratch columns = n == 1 ? nullptr : scratch(k * n);
  if (n > 1) {
    if (!columns) return false;
    for (size_t l = 0; l < k; ++l) {
      for (size_t j = 0; j < n; ++j) columns[j * k + l] = b[l * n + j];
    }
  }
  const u64* by_column = n == 1 ? b : columns.get();
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) out[i * n + j] += inner(a + i * k, by_column + j * k, k);
  }
  return true;
}

// Few rows: linear combinations of rows of B, four at a time so that the output is read and written less often.
inline void matmul_few_rows(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n) {
  size_t l = 0;
  for (; l + 4 <= k; l += 4) {
    const u64* row = b + l * n;
    for (size_t i = 0; i < m; ++i) {
      const u64* c = a + i * k + l;
      u64* to = out + i * n;
      for (size_t j = 0; j < n; ++j) {
        to[j] += c[0] * row[j] + c[1] * row[n + j] + c[2] * row[2 * n + j] + c[3] * row[3 * n + j];
      }
    }
  }
  for (; l < k; ++l) {
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < n; ++j) out[i * n + j] += a[i * k + l] * b[l * n + j];
    }
  }
}

template <class Block>
bool matmul_blocked(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n) {
  constexpr size_t rows = Block::rows;
  constexpr size_t columns = Block::columns;
  const Scratch panels = scratch(depth_limit * (width_limit / columns) * Block::panel_words);
  const Scratch strip = scratch(depth_limit * Block::strip_words);
  if (!panels || !strip) return false;
  for (size_t l = 0; l < k; l += depth_limit) {
    const size_t depth = up_to(depth_limit, k - l);
    for (size_t left = 0; left < n; left += width_limit) {
      const size_t width = up_to(width_limit, n - left);
      const auto panel_at = [&](size_t j) { return panels.get() + j / columns * depth_limit * Block::panel_words; };
      for (size_t j = 0; j < width; j += columns) {
        Block::pack_panel(b + l * n + left + j, n, depth, up_to(columns, width - j), panel_at(j));
      }
      for (size_t top = 0; top < m; top += rows) {
        const size_t height = up_to(rows, m - top);
        Block::pack_strip(a + top * k + l, k, depth, height, strip.get());
        for (size_t j = 0; j < width; j += columns) {
          alignas(64) u64 product[rows * columns];
          Block::multiply(strip.get(), panel_at(j), depth, product);
          for (size_t i = 0; i < height; ++i) {
            u64* to = out + (top + i) * n + left + j;
            for (size_t c = 0; c < up_to(columns, width - j); ++c) to[c] += product[i * columns + c];
          }
        }
      }
    }
  }
  return true;
}

template <class Block>
bool matmul(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n) {
  if (m == 0 || k == 0 || n == 0) return true;
  if (n <= narrow) return matmul_few_columns(a, b, out, m, k, n);
  if (m <= narrow) {
    matmul_few_rows(a, b, out, m, k, n);
    return true;
  }
  return matmul_blocked<Block>(a, b, out, m, k, n);
}

}  // namespace
}  // namespace jali
