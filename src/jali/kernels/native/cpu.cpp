// SPDX-License-Identifier: Apache-2.0
#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace jali {
namespace {

#if defined(__x86_64__)

bool bit(unsigned word, int index) { return (word >> index & 1U) != 0; }

unsigned long long enabled_state() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
}

// Linux hands out the 8 KiB of tile registers on request only (Intel, "AMX in Linux", arch_prctl).
bool request_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int request_permission = 0x1023;
  constexpr int tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

CpuFeatures detect() {
  CpuFeatures found;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0) return found;
  found.intel = b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return found;
  found.ssse3 = bit(c, 9);
  found.aes = bit(c, 25) && bit(c, 19);
  found.pclmul = bit(c, 1);
  const bool has_xsave = bit(c, 27);
  if (!has_xsave || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return found;
  const unsigned long long state = enabled_state();
  const bool ymm = (state & 0x6) == 0x6;
  const bool zmm = (state & 0xe6) == 0xe6;
  const bool tiles = (state & 0x60000) == 0x60000;
  found.avx2 = ymm && bit(b, 5);
  found.bmi2 = bit(b, 8);
  found.avx512 = zmm && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);
  found.avx512_ifma = found.avx512 && bit(b, 21);
  found.avx512_vbmi = found.avx512 && bit(c, 1);
  found.avx512_vnni = found.avx512 && bit(c, 11);
  found.vaes = ymm && bit(c, 9);
  found.amx_int8 = tiles && bit(d, 24) && bit(d, 25) && request_tiles();
  return found;
}

#elif defined(__aarch64__)

CpuFeatures detect() {
  CpuFeatures found;
#if defined(__linux__)
  constexpr unsigned long hwcap_aes = 1UL << 3;  // Linux, arch/arm64/include/uapi/asm/hwcap.h
  found.aes = (getauxval(AT_HWCAP) & hwcap_aes) != 0;
#else
  found.aes = true;  // as on every desktop processor of this architecture
#endif
  return found;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

std::vector<std::string> feature_names() {
  const CpuFeatures& cpu = cpu_features();
  std::vector<std::string> names;
  if (cpu.ssse3) names.emplace_back("ssse3");
  if (cpu.aes) names.emplace_back("aes");
  if (cpu.pclmul) names.emplace_back("pclmul");
  if (cpu.avx2) names.emplace_back("avx2");
  if (cpu.bmi2) names.emplace_back("bmi2");
  if (cpu.avx512) names.emplace_back("avx512");
  if (cpu.avx512_ifma) names.emplace_back("avx512_ifma");
  if (cpu.avx512_vnni) names.emplace_back("avx512_vnni");
  if (cpu.avx512_vbmi) names.emplace_back("avx512_vbmi");
  if (cpu.vaes) names.emplace_back("vaes");
  if (cpu.amx_int8) names.emplace_back("amx_int8");
  return names;
}

}  // namespace jali
