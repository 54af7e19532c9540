// SPDX-License-Identifier: Apache-2.0
#include "level.h"

namespace jali {
namespace {

struct PortableBlock : PlainPacking<4, 4> {
  static void multiply(const u64* a, const u64* b, size_t depth, u64* product) {
    u64 sum[rows][columns] = {};
    for (size_t l = 0; l < depth; ++l, a += rows, b += columns) {
      for (size_t i = 0; i < rows; ++i) {
        for (size_t j = 0; j < columns; ++j) sum[i][j] += a[i] * b[j];
      }
    }
    std::memcpy(product, sum, sizeof sum);
  }
};

}  // namespace

Kernels portable_kernels() { return compiled_for<PortableBlock>("portable"); }

}  // namespace jali
