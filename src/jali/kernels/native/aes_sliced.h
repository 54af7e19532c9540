// SPDX-License-Identifier: Apache-2.0
// AES-128 without AES instructions and without tables: eight blocks, sliced by bits.
//
// Slice i holds bit i of every byte of the eight blocks: byte p of the slice belongs to position p of the state, and
// bit j of that byte to block j. Position 4 r + c is row r, column c, so that a lane of 32 bits is a row. SubBytes is
// then a circuit of gates (Boyar and Peralta 2010, "A new combinational logic minimization technique with applications
// to cryptology"), as in Kaesper and Schwabe 2009 (ePrint 2009/129). ShiftRows is not done at all (Adomnicai and Peyrin
// 2020, "Fixslicing AES-like ciphers", ePrint 2020/1123): after `turns` skipped ones, row r lies turns * r columns to
// the right of its place, and MixColumns and the round keys follow it. Four ShiftRows are none; from a state that lies
// as after two, ten rounds end where every byte is in its place. Included once for each instruction set.
#pragma once

#include <cstring>
#include <initializer_list>

#include "aes_stream.h"

// Elements of a, then of b, at the given indices.
#if defined(__clang__)
#define JALI_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define JALI_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, decltype(a){__VA_ARGS__})
#endif

namespace jali {
namespace {

using Slice = u64 __attribute__((vector_size(16)));
using Slice32 = u32 __attribute__((vector_size(16)));
using Slice16 = std::uint16_t __attribute__((vector_size(16)));
using Slice8 = u8 __attribute__((vector_size(16)));

constexpr int first_turns = 2;

template <class T>
void wipe(T& secret) {
  std::memset(&secret, 0, sizeof secret);
  __asm__ volatile("" : : "r"(&secret) : "memory");  // keeps the wiping
}

Slice spread(u64 pattern) { return Slice{pattern, pattern}; }

// The S-box of each byte, but for the constant 0x63, which is part of the round keys. Names are those of the paper.
inline __attribute__((always_inline)) void substitute(Slice q[8]) {
  const Slice x0 = q[7], x1 = q[6], x2 = q[5], x3 = q[4], x4 = q[3], x5 = q[2], x6 = q[1], x7 = q[0];
  // The linear layer on top.
  const Slice y14 = x3 ^ x5, y13 = x0 ^ x6, y9 = x0 ^ x3, y8 = x0 ^ x5, t0 = x1 ^ x2, y1 = t0 ^ x7, y4 = y1 ^ x3;
  const Slice y12 = y13 ^ y14, y2 = y1 ^ x0, y5 = y1 ^ x6, y3 = y5 ^ y8, t1 = x4 ^ y12, y15 = t1 ^ x5, y20 = t1 ^ x1;
  const Slice y6 = y15 ^ x7, y10 = y15 ^ t0, y11 = y20 ^ y9, y7 = x7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8;
  const Slice y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = x0 ^ y16;
  // Inversion in GF(2^8).
  const Slice t2 = y12 & y15, t4 = (y3 & y6) ^ t2, t6 = (y4 & x7) ^ t2, t7 = y13 & y16, t9 = (y5 & y1) ^ t7;
  const Slice t11 = (y2 & y7) ^ t7, t12 = y9 & y11, t14 = (y14 & y17) ^ t12, t16 = (y8 & y10) ^ t12;
  const Slice t21 = t4 ^ t14 ^ y20, t22 = t6 ^ t16 ^ y19, t23 = t9 ^ t14 ^ y21, t24 = t11 ^ t16 ^ y18;
  const Slice t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26, t29 = (t25 & t27) ^ t22, t30 = t23 ^ t24;
  const Slice t31 = t22 ^ t26, t33 = (t31 & t30) ^ t24, t34 = t23 ^ t33, t35 = t27 ^ t33, t36 = t24 & t35;
  const Slice t37 = t36 ^ t34, t38 = t27 ^ t36, t40 = t25 ^ (t29 & t38), t41 = t40 ^ t37, t42 = t29 ^ t33;
  const Slice t43 = t29 ^ t40, t44 = t33 ^ t37, t45 = t42 ^ t41;
  const Slice z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & x7, z3 = t43 & y16, z4 = t40 & y1, z5 = t29 & y7;
  const Slice z6 = t42 & y11, z7 = t45 & y17, z8 = t41 & y10, z9 = t44 & y12, z10 = t37 & y3, z11 = t33 & y4;
  const Slice z12 = t43 & y13, z13 = t40 & y5, z14 = t29 & y2, z15 = t42 & y9, z16 = t45 & y14, z17 = t41 & y8;
  // The linear layer at the bottom.
  const Slice t46 = z15 ^ z16, t47 = z10 ^ z11, t48 = z5 ^ z13, t49 = z9 ^ z10, t50 = z2 ^ z12, t51 = z2 ^ z5;
  const Slice t52 = z7 ^ z8, t53 = z0 ^ z3, t54 = z6 ^ z7, t55 = z16 ^ z17, t56 = z12 ^ t48, t57 = t50 ^ t53;
  const Slice t58 = z4 ^ t46, t59 = z3 ^ t54, t60 = t46 ^ t57, t61 = z14 ^ t57, t62 = t52 ^ t58, t63 = t49 ^ t58;
  const Slice t64 = z4 ^ t59, t65 = t61 ^ t62, t66 = z1 ^ t63, t67 = t64 ^ t65, s3 = t53 ^ t66;
  q[7] = t59 ^ t63;
  q[6] = t64 ^ s3;
  q[5] = t55 ^ t67;
  q[4] = s3;
  q[3] = t51 ^ t66;
  q[2] = t47 ^ t65;
  q[1] = t56 ^ t62;
  q[0] = t48 ^ t60;
}

// The state byte that lies `rows` rows below, in the same column of AES, at every position.
template <int turns, int rows>
inline __attribute__((always_inline)) Slice below(Slice x) {
  constexpr int columns = turns * rows % 4;
  const auto wide = reinterpret_cast<Slice32>(x);
  const Slice32 moved = JALI_SHUFFLE(wide, wide, rows, (1 + rows) % 4, (2 + rows) % 4, (3 + rows) % 4);
  if constexpr (columns == 0) return reinterpret_cast<Slice>(moved);
#if defined(__SSSE3__)
  constexpr int a = 4 * rows, b = (a + 4) % 16, c = (a + 8) % 16, d = (a + 12) % 16;
  constexpr int i = columns, j = (i + 1) % 4, k = (i + 2) % 4, l = (i + 3) % 4;
  const auto bytes = reinterpret_cast<Slice8>(x);
  return reinterpret_cast<Slice>(JALI_SHUFFLE(bytes, bytes, a + i, a + j, a + k, a + l, b + i, b + j, b + k, b + l,
                                              c + i, c + j, c + k, c + l, d + i, d + j, d + k, d + l));
#else
  if constexpr (columns == 2) {
    const auto halves = reinterpret_cast<Slice16>(moved);
    return reinterpret_cast<Slice>(JALI_SHUFFLE(halves, halves, 1, 0, 3, 2, 5, 4, 7, 6));
  }
  return reinterpret_cast<Slice>((moved >> 8 * columns) | (moved << (32 - 8 * columns)));
#endif
}

// MixColumns, which gives 2 (a + a') + a' + (a'' + a''') for the bytes a, a', a'', a''' of a column from a row on.
template <int turns>
inline __attribute__((always_inline)) void mix(Slice q[8]) {
  Slice next[8];
  Slice sum[8];
  for (int i = 0; i < 8; ++i) {
    next[i] = below<turns, 1>(q[i]);
    sum[i] = q[i] ^ next[i];
  }
  for (int i = 0; i < 8; ++i) {
    q[i] = next[i] ^ below<turns, 2>(sum[i]) ^ sum[(i + 7) % 8];
    if (i == 1 || i == 3 || i == 4) q[i] ^= sum[7];  // x^8 = x^4 + x^3 + x + 1
  }
}

inline __attribute__((always_inline)) void add_key(Slice q[8], const Slice key[8]) {
  for (int i = 0; i < 8; ++i) q[i] ^= key[i];
}

// Round r from its MixColumns on, and the rounds after it.
template <int r>
inline __attribute__((always_inline)) void finish(Slice q[8], const Slice keys[11][8]) {
  if constexpr (r < 10) mix<(first_turns + r) % 4>(q);
  add_key(q, keys[r]);
  if constexpr (r < 10) {
    substitute(q);
    finish<r + 1>(q, keys);
  }
}

// The bits of one block to the bits of all eight.
inline __attribute__((always_inline)) void slice(Slice block, Slice q[8]) {
  const auto bytes = reinterpret_cast<Slice8>(block);
  for (int i = 0; i < 8; ++i) {
    const auto bit = reinterpret_cast<Slice8>(spread(0x0101010101010101U << i));
    q[i] = reinterpret_cast<Slice>((bytes & bit) == bit);
  }
}

// Bytes of AES's order (by columns) in ours, as after the given number of turns.
inline Slice place(const u8 block[16], int turns) {
  u8 placed[16];
  for (int r = 0; r < 4; ++r) {
    for (int c = 0; c < 4; ++c) placed[4 * r + (c + turns * r) % 4] = block[r + 4 * c];
  }
  Slice result;
  std::memcpy(&result, placed, sizeof result);
  wipe(placed);
  return result;
}

// From rows to columns and back, for the bytes of one block.
inline __attribute__((always_inline)) Slice transpose(Slice x) {
  for (int twice = 0; twice < 2; ++twice) {
    const auto low = reinterpret_cast<Slice8>(x);
    const auto high = reinterpret_cast<Slice8>(JALI_SHUFFLE(x, x, 1, 1));
    x = reinterpret_cast<Slice>(JALI_SHUFFLE(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  }
  return x;
}

inline __attribute__((always_inline)) void exchange(Slice& a, Slice& b, int shift, Slice mask) {
  const Slice different = ((a >> shift) ^ b) & mask;
  b ^= different;
  a ^= different << shift;
}

// From slices to blocks, in AES's order of bytes.
inline __attribute__((always_inline)) void unslice(Slice q[8]) {
  for (int i = 0; i < 8; i += 2) exchange(q[i], q[i + 1], 1, spread(0x5555555555555555));
  for (const int i : {0, 1, 4, 5}) exchange(q[i], q[i + 2], 2, spread(0x3333333333333333));
  for (int i = 0; i < 4; ++i) exchange(q[i], q[i + 4], 4, spread(0x0f0f0f0f0f0f0f0f));
  for (int i = 0; i < 8; ++i) q[i] = transpose(q[i]);
}

// Rows 1 and 3 by two columns, which is where two turns leave them.
inline __attribute__((always_inline)) Slice turned(Slice rows) {
  const auto wide = reinterpret_cast<Slice32>(rows);
  const Slice odd = spread(0xffffffff00000000);
  return (rows & ~odd) | (reinterpret_cast<Slice>((wide >> 16) | (wide << 16)) & odd);
}

struct Sliced {
  using Vector = Slice;
  static Slice load(const u64* p) {
    Slice v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static void store(u64* p, Slice v) { std::memcpy(p, &v, sizeof v); }
  static Slice add(Slice a, Slice b) { return a + b; }
  static Slice sub(Slice a, Slice b) { return a - b; }
  static Slice exclusive_or(Slice a, Slice b) { return a ^ b; }
};

// Eight blocks whose counters differ in their lowest three bits.
//
// The lowest byte of the counter reaches four bytes of the state before the second SubBytes ends: a column, which is
// otherwise made from the nonce and the sixth byte of the counter. So the 12 other bytes are computed once for each 256
// blocks, and the column once for each value of the lowest byte while the upper three bytes stay, not for each block
// (Bernstein and Schwabe 2008, "New AES software speed records", ePrint 2008/381, on counter-mode caching). What is
// looked up, and when, depends on the counter only, which is public.
template <>
struct Stream<Sliced> {
  static constexpr size_t lane_words = 2;
  static constexpr size_t chunk = 16;
  static constexpr u64 first_multiple = 8;

  Slice keys[11][8];
  Slice steady[8];
  Slice moving[32][8];
  u32 known = 0;
  u64 window = ~u64{0};
  u64 nonce;
  u64 block;

  Stream(const AesKeys& schedule, u64 nonce_, u64 first_block) : nonce(nonce_), block(first_block) {
    for (int r = 0; r < 11; ++r) {
      slice(place(schedule.round[r], (first_turns + r) % 4) ^ spread(r == 0 ? 0 : 0x6363636363636363), keys[r]);
    }
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    wipe(keys);
    wipe(steady);
    wipe(moving);
  }

  // Up to the second SubBytes: the steady bytes, and the column for the lowest byte of the counter.
  __attribute__((noinline)) void begin(Slice column[8]) {
    Slice q[8];
    slice(turned(transpose(Slice{nonce, block})), q);
    q[0] ^= Slice{0xaa0000, 0};  // the lowest byte of the counter, by turns 0 to 7
    q[1] ^= Slice{0xcc0000, 0};
    q[2] ^= Slice{0xf00000, 0};
    add_key(q, keys[0]);
    substitute(q);
    mix<(first_turns + 1) % 4>(q);
    add_key(q, keys[1]);
    substitute(q);
    const Slice moves = {0x0000ff0000ff0000, 0xff000000000000ff};  // the third column after three turns
    for (int i = 0; i < 8; ++i) {
      steady[i] = q[i] & ~moves;
      column[i] = q[i] & moves;
    }
    wipe(q);
  }

  inline __attribute__((always_inline)) void next(Slice q[8]) {
    const u64 group = block / 8 % 32;
    const u64 change = (block / 256) ^ window;
    if (change >> 32 != 0) known = 0;
    if (change != 0 || (known >> group & 1) == 0) begin(moving[group]);
    known |= u32{1} << group;
    window ^= change;
    for (int i = 0; i < 8; ++i) q[i] = steady[i] ^ moving[group][i];
    finish<2>(q, keys);
    unslice(q);
    block += 8;
  }
};

}  // namespace
}  // namespace jali
