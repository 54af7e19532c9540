// SPDX-License-Identifier: Apache-2.0
// AES-128 with VAES, four blocks a register.
#include <immintrin.h>

#include "aes_stream.h"
#include "levels.h"

namespace jali {
namespace {

struct Vaes {
  using Vector = __m512i;
  static constexpr size_t blocks = 4;
  static Vector load(const u64* p) { return _mm512_loadu_si512(p); }
  static void store(u64* p, Vector v) { _mm512_storeu_si512(p, v); }
  static Vector key(const u8* p) {
    return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Vector counters(u64 nonce, u64 block) {
    const auto n = static_cast<long long>(nonce);
    const Vector first = _mm512_set4_epi64(static_cast<long long>(block), n, static_cast<long long>(block), n);
    return _mm512_add_epi64(first, _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0));
  }
  static Vector step() { return _mm512_set4_epi64(4, 0, 4, 0); }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm512_sub_epi64(a, b); }
  static Vector exclusive_or(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
  static Vector round(Vector a, Vector k) { return _mm512_aesenc_epi128(a, k); }
  static Vector last_round(Vector a, Vector k) { return _mm512_aesenclast_epi128(a, k); }
};

}  // namespace

void prg_vaes(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n) {
  prg<Vaes>(keys, nonce, start, mask, x, out, n);
}

}  // namespace jali
