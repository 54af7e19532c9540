// SPDX-License-Identifier: Apache-2.0
// Traces secrets through the kernels that take some. Under valgrind's memcheck the secret bytes count as undefined, and
// so does all that is computed from them; a branch or an address that depends on them is reported (Langley 2010,
// ctgrind). `make trace` runs it. Memcheck knows no AVX-512: it traces the other levels.
#include <valgrind/memcheck.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels.h"
#include "levels.h"

namespace {

using jali::u64;
using jali::u8;

std::vector<u8> drawn(size_t size) {
  std::vector<u8> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<u8>(9 + 31 * i);
  return bytes;
}

// The kernel is given secret bytes; what it returns is public again, as masked points are.
template <class Kernel>
void trace(const char* level, const char* name, size_t size, Kernel kernel) {
  std::vector<u8> secret = drawn(size);
  VALGRIND_MAKE_MEM_UNDEFINED(secret.data(), secret.size());
  const unsigned before = VALGRIND_COUNT_ERRORS;
  kernel(secret.data());
  const unsigned found = VALGRIND_COUNT_ERRORS - before;
  std::printf("trace: %s %s: %u branches or addresses depend on secrets\n", level, name, found);
}

}  // namespace

int main(int count, char**) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::printf("trace: run it under valgrind\n");
    return 2;
  }
  constexpr size_t n = 9;  // a whole group of lanes, and a part of one
  const std::vector<u8> points = drawn(32 * n);
  std::vector<u8> out(64 * n);
  std::vector<u64> words(2 * (n + 25)), results(2 * n), offsets(n + 1);
  for (size_t i = 0; i <= n; ++i) offsets[i] = 40 * i;
  size_t levels_count = 0;
  const jali::Kernels* levels = jali::available_levels(levels_count);
  for (size_t at = 0; at < levels_count; ++at) {
    const jali::Kernels& k = levels[at];
    trace(k.level, "curve_multiply", 32, [&](const u8* s) { k.curve_multiply(points.data(), s, out.data(), n); });
    trace(k.level, "curve_multiply_each", 32 * n,
          [&](const u8* s) { k.curve_multiply_each(points.data(), s, out.data(), n); });
    trace(k.level, "curve_map", 48 * n, [&](const u8* s) { k.curve_map(s, out.data(), n); });
    trace(k.level, "field_multiply", 16 * (n + 1), [&](const u8* s) { k.field_multiply(s + 16, s, out.data(), n); });
    trace(k.level, "sha512_each", 40 * n, [&](const u8* s) {
      k.sha512_each(points.data(), 27, s, offsets.data(), points.data(), 100, out.data(), 64, n);
    });
    if (k.prg == nullptr) continue;
    jali::AesKeys keys;
    trace(k.level, "prg", 16, [&](const u8* s) {
      k.expand(s, keys);
      k.prg(keys, 1, 0, jali::Mask::set, nullptr, results.data(), results.size());
    });
    k.expand(points.data(), keys);
    trace(k.level, "expand_convolute", 16 * n, [&](const u8* s) {
      std::memcpy(words.data(), s, 16 * n);
      k.expand_convolute(words.data(), n, results.data(), n, keys, k.prg);
    });
  }
  if (count > 1) {  // any argument: show that a leak would be seen
    trace("none", "a branch on a secret", 1, [&](const u8* s) {
      if (*s & 1) std::printf("trace: the secret is odd\n");
    });
  }
  return 0;
}
