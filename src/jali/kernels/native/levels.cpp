// SPDX-License-Identifier: Apache-2.0
#include "levels.h"

#include "cpu.h"

namespace jali {
namespace {

struct Table {
  Kernels levels[6];
  size_t count = 0;

  Table() {
    levels[count] = portable_kernels();
    levels[count].curve_multiply = curve_multiply_portable;
    levels[count].curve_map = curve_map_portable;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    levels[count].expand = expand_aes_portable;
    levels[count].prg = prg_aes_portable;
#endif
    ++count;
#if defined(__x86_64__)
    const CpuFeatures& cpu = cpu_features();
    if (!cpu.ssse3) return;
    levels[count] = levels[count - 1];
    levels[count].level = "ssse3";
    levels[count++].prg = prg_aes_ssse3;
    if (!(cpu.avx2 && cpu.bmi2 && cpu.aes)) return;
    levels[count] = avx2_kernels();
    levels[count].curve_multiply = curve_multiply_avx2;
    levels[count].curve_map = curve_map_avx2;
    levels[count].expand = expand_aes_ni;
    levels[count++].prg = prg_aes_ni;
    if (!cpu.avx512) return;
    levels[count] = avx512_kernels();
    levels[count].curve_multiply = cpu.avx512_ifma ? curve_multiply_ifma : curve_multiply_avx2;
    levels[count].curve_map = cpu.avx512_ifma ? curve_map_ifma : curve_map_avx2;
    levels[count].expand = expand_aes_ni;
    levels[count++].prg = cpu.vaes ? prg_vaes : prg_aes_ni;
    if (!(cpu.intel && cpu.avx512_ifma && cpu.avx512_vnni)) return;
    levels[count] = levels[count - 1];
    levels[count].level = "ifma";
    levels[count++].matmul = matmul_ifma;
#if defined(JALI_AMX)
    if (!(cpu.amx_int8 && cpu.avx512_vbmi)) return;
    levels[count] = levels[count - 1];
    levels[count].level = "amx";
    levels[count++].matmul = matmul_amx;
#endif
#endif
  }
};

}  // namespace

const Kernels* available_levels(size_t& count) {
  static const Table table;
  count = table.count;
  return table.levels;
}

std::vector<std::string> level_names() {
  size_t count = 0;
  const Kernels* table = available_levels(count);
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.emplace_back(table[i].level);
  return names;
}

}  // namespace jali
