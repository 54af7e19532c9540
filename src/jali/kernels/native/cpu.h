// SPDX-License-Identifier: Apache-2.0
// What the processor and the operating system let us use.
#pragma once

#include <string>
#include <vector>

namespace jali {

struct CpuFeatures {
  bool intel = false;
  bool ssse3 = false;
  bool aes = false;
  bool pclmul = false;
  bool avx2 = false;
  bool bmi2 = false;
  bool avx512 = false;  // F, DQ, BW and VL
  bool avx512_ifma = false;
  bool avx512_vbmi = false;
  bool avx512_vnni = false;
  bool vaes = false;
  bool amx_int8 = false;  // and the kernel granted the tile registers
};

const CpuFeatures& cpu_features();
std::vector<std::string> feature_names();

}  // namespace jali
