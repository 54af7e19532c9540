// SPDX-License-Identifier: Apache-2.0
#include "levels.h"

#include "cpu.h"

namespace jali {
namespace {

// The rows of the table that work on points, from the file of that name.
#define JALI_CURVE(kernels, file)                            \
  do {                                                       \
    (kernels).curve_multiply = curve_multiply_##file;        \
    (kernels).curve_map = curve_map_##file;                  \
    (kernels).curve_multiply_each = curve_multiply_each_##file; \
    (kernels).curve_unmap = curve_unmap_##file;              \
  } while (false)

struct Table {
  Kernels levels[6];
  size_t count = 0;

  Table() {
    levels[count] = portable_kernels();
    JALI_CURVE(levels[count], portable);
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
    if (!(cpu.avx2 && cpu.bmi2 && cpu.aes && cpu.pclmul)) return;
    levels[count] = avx2_kernels();
    JALI_CURVE(levels[count], avx2);
    levels[count].expand = expand_aes_ni;
    levels[count++].prg = prg_aes_ni;
    if (!cpu.avx512) return;
    levels[count] = avx512_kernels();
    JALI_CURVE(levels[count], avx2);
    if (cpu.avx512_ifma) JALI_CURVE(levels[count], ifma);
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
