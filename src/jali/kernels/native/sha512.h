// SPDX-License-Identifier: Apache-2.0
// SHA-512 of many messages (FIPS 180-4), one in each lane of a vector.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels.h"

namespace jali {
namespace {

constexpr size_t block_bytes = 128;
constexpr size_t digest_bytes = 64;
constexpr size_t length_bytes = 16;

#if defined(__AVX512F__)
typedef u64 Lanes __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef u64 Lanes __attribute__((vector_size(32)));
#else
typedef u64 Lanes __attribute__((vector_size(8)));
#endif
constexpr size_t hash_lanes = sizeof(Lanes) / sizeof(u64);

alignas(64) constexpr u64 first_state[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1,
    0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

alignas(64) constexpr u64 round_constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

template <unsigned bits>
inline Lanes rotate(Lanes x) {
  return (x >> bits) | (x << (64 - bits));
}

// One block of every lane.
inline void compress(Lanes state[8], Lanes w[16]) {
  Lanes s[8];
  std::memcpy(s, state, sizeof s);
  for (unsigned round = 0; round < 80; round += 16) {
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; ++i) {
      Lanes& a = s[(16 - i) % 8];
      Lanes& b = s[(17 - i) % 8];
      Lanes& c = s[(18 - i) % 8];
      Lanes& d = s[(19 - i) % 8];
      Lanes& e = s[(20 - i) % 8];
      Lanes& f = s[(21 - i) % 8];
      Lanes& g = s[(22 - i) % 8];
      Lanes& h = s[(23 - i) % 8];
      h += (rotate<14>(e) ^ rotate<18>(e) ^ rotate<41>(e)) + (g ^ (e & (f ^ g))) + round_constants[round + i] + w[i];
      d += h;
      h += (rotate<28>(a) ^ rotate<34>(a) ^ rotate<39>(a)) + ((a & b) | (c & (a | b)));
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < 16; ++i) {  // the words of the next 16 rounds
      const Lanes near = w[(i + 14) % 16];
      const Lanes far = w[(i + 1) % 16];
      w[i] += (rotate<19>(near) ^ rotate<61>(near) ^ (near >> 6)) + w[(i + 9) % 16] +
              (rotate<1>(far) ^ rotate<8>(far) ^ (far >> 7));
    }
  }
  for (unsigned i = 0; i < 8; ++i) state[i] += s[i];
}

struct Piece {
  const u8* bytes;
  size_t size;
};

// Block `index` of the padded message that the pieces make, which follows `skipped` bytes of prefix.
inline void fill_block(const Piece pieces[3], size_t size, u64 skipped, size_t index, u8 block[block_bytes]) {
  std::memset(block, 0, block_bytes);
  const size_t start = index * block_bytes;
  size_t before = 0;
  for (size_t i = 0; i < 3; ++i) {
    const size_t from = std::max(start, before);
    const size_t to = std::min(start + block_bytes, before + pieces[i].size);
    if (from < to) std::memcpy(block + (from - start), pieces[i].bytes + (from - before), to - from);
    before += pieces[i].size;
  }
  if (size >= start && size < start + block_bytes) block[size - start] = 0x80;
  if (start + block_bytes >= size + 1 + length_bytes) {
    const u64 bytes = skipped + size;
    block[block_bytes - 9] = static_cast<u8>(bytes >> 61);
    for (unsigned i = 0; i < 8; ++i) block[block_bytes - 1 - i] = static_cast<u8>(bytes << 3 >> 8 * i);
  }
}

// A word in its bytes, the highest first; its own inverse.
inline u64 big_endian(u64 word) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return __builtin_bswap64(word);
#else
  return word;
#endif
}

inline u64 big_endian(const u8* bytes) {
  u64 word;
  std::memcpy(&word, bytes, sizeof word);
  return big_endian(word);
}

// The first `width` bytes of the hash of prefix, message and suffix. Message i is data[offsets[i]..offsets[i + 1]].
inline void sha512_each(const u8* prefix, size_t prefix_size, const u8* data, const u64* offsets, const u8* suffix,
                        size_t suffix_size, u8* out, size_t width, size_t n) {
  u64 start[8];
  std::memcpy(start, first_state, sizeof start);
  const size_t skipped = prefix_size / block_bytes * block_bytes;
  Lanes state[8];
  Lanes w[16];
  u8 block[hash_lanes][block_bytes] = {};
  for (size_t at = 0; at < skipped; at += block_bytes) {
    for (unsigned i = 0; i < 16; ++i) w[i] = Lanes{} + big_endian(prefix + at + 8 * i);
    for (unsigned i = 0; i < 8; ++i) state[i] = Lanes{} + start[i];
    compress(state, w);
    for (unsigned i = 0; i < 8; ++i) start[i] = state[i][0];
  }
  for (size_t first = 0; first < n; first += hash_lanes) {
    const size_t lanes = std::min(hash_lanes, n - first);
    Piece pieces[hash_lanes][3];
    size_t sizes[hash_lanes];
    size_t blocks[hash_lanes];
    size_t most = 0;
    for (size_t lane = 0; lane < lanes; ++lane) {
      const u64 begin = offsets[first + lane];
      pieces[lane][0] = {prefix + skipped, prefix_size - skipped};
      pieces[lane][1] = {data + begin, offsets[first + lane + 1] - begin};
      pieces[lane][2] = {suffix, suffix_size};
      sizes[lane] = prefix_size - skipped + pieces[lane][1].size + suffix_size;
      blocks[lane] = (sizes[lane] + length_bytes) / block_bytes + 1;
      most = std::max(most, blocks[lane]);
    }
    for (unsigned i = 0; i < 8; ++i) state[i] = Lanes{} + start[i];
    for (size_t index = 0; index < most; ++index) {
      for (size_t lane = 0; lane < lanes; ++lane) {
        if (index < blocks[lane]) fill_block(pieces[lane], sizes[lane], skipped, index, block[lane]);
      }
#pragma GCC unroll 16
      for (unsigned i = 0; i < 16; ++i) {
        Lanes word = {};
#pragma GCC unroll 8
        for (size_t lane = 0; lane < hash_lanes; ++lane) word[lane] = big_endian(block[lane] + 8 * i);
        w[i] = word;
      }
      compress(state, w);
      for (size_t lane = 0; lane < lanes; ++lane) {
        if (index + 1 != blocks[lane]) continue;
        u64 digest[digest_bytes / 8];
        for (unsigned i = 0; 8 * i < width; ++i) digest[i] = big_endian(state[i][lane]);
        std::memcpy(out + width * (first + lane), digest, width);
      }
    }
  }
}

}  // namespace
}  // namespace jali
