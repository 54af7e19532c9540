// SPDX-License-Identifier: Apache-2.0
// Aligned memory for packed blocks, and the arithmetic of blocking.
#pragma once

#include <cstdlib>
#include <memory>

#include "kernels.h"

namespace jali {
namespace {

struct FreeScratch {
  void operator()(u64* p) const { std::free(p); }
};
using Scratch = std::unique_ptr<u64[], FreeScratch>;

inline Scratch scratch(size_t words) {
  return Scratch(static_cast<u64*>(std::aligned_alloc(64, (words * sizeof(u64) + 63) / 64 * 64)));
}

inline size_t up_to(size_t limit, size_t rest) { return rest < limit ? rest : limit; }

}  // namespace
}  // namespace jali
