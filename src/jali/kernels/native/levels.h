// SPDX-License-Identifier: Apache-2.0
// What each translation unit gives to the table; which units exist depends on the architecture.
#pragma once

#include "kernels.h"

namespace jali {

void expand_aes_portable(const u8 key[16], AesKeys& keys);
void prg_aes_portable(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n);

// Every kernel but AES, compiled for one level.
Kernels portable_kernels();

void curve_multiply_portable(const u8* points, const u8 scalar[32], u8* out, size_t n);
void curve_map_portable(const u8* uniform, u8* out, size_t n);
void curve_multiply_each_portable(const u8* points, const u8* scalars, u8* out, size_t n);
void curve_unmap_portable(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n);

#if defined(__x86_64__)
Kernels avx2_kernels();
Kernels avx512_kernels();

void expand_aes_ni(const u8 key[16], AesKeys& keys);
void prg_aes_ni(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n);
void prg_aes_ssse3(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n);
void prg_vaes(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n);

bool matmul_ifma(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n);
void curve_multiply_avx2(const u8* points, const u8 scalar[32], u8* out, size_t n);
void curve_map_avx2(const u8* uniform, u8* out, size_t n);
void curve_multiply_each_avx2(const u8* points, const u8* scalars, u8* out, size_t n);
void curve_unmap_avx2(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n);
void curve_multiply_ifma(const u8* points, const u8 scalar[32], u8* out, size_t n);
void curve_map_ifma(const u8* uniform, u8* out, size_t n);
void curve_multiply_each_ifma(const u8* points, const u8* scalars, u8* out, size_t n);
void curve_unmap_ifma(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n);

bool matmul_amx(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n);
#endif

}  // namespace jali
