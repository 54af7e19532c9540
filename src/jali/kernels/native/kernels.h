// SPDX-License-Identifier: Apache-2.0
// The table of kernels: one function pointer each, filled for a level of the instruction set.
//
// Kernels see raw pointers and sizes only: no Python, no exceptions, no allocation but scratch space. `out` may equal an
// input exactly. No branch and no address depends on the value of an array element, but for the tables: their places
// are numbers that the evaluators have opened, or masks that a dealer has drawn itself. (Hashes take time by length.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace jali {

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using std::size_t;

enum class Mask { set, add, sub, exclusive_or };

struct alignas(64) AesKeys {
  u8 round[11][16];
};

// A piecewise polynomial of x: interval (x factor >> low) mod `pieces`, and `steps` bits of the place within it.
struct Pieces {
  size_t pieces, terms;
  u64 factor;
  unsigned low, steps, scale;
};

struct Kernels {
  const char* level;

  // AES; null on a big-endian processor, so that the twin (OpenSSL's constant-time code) serves.
  void (*expand)(const u8 key[16], AesKeys& keys);
  void (*prg)(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n);

  void (*masked_product)(const u64* dx, const u64* dy, const u64* lx, const u64* ly, const u64* g, u64* out, size_t n,
                         bool leader);
  void (*masked_and)(const u64* da, const u64* db, const u64* la, const u64* lb, const u64* g, u64* out, size_t n,
                     bool leader);
  void (*masked_truncate)(const u64* c, const u64* a, const u64* b, u64* out, size_t n, unsigned bits, bool leader);
  void (*replicated_product)(const u64* x0, const u64* x1, const u64* y0, const u64* y1, const u64* zero, u64* out,
                             size_t n);
  void (*replicated_and)(const u64* x0, const u64* x1, const u64* y0, const u64* y1, const u64* zero, u64* out,
                         size_t n);

  // out += a b, for a (m, k), b (k, n), out (m, n). False if scratch memory is lacking.
  bool (*matmul)(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n);

  // The number of elements that are out of range (out is then unspecified).
  size_t (*fixed_encode)(const double* x, u64* out, size_t n, unsigned bits);
  void (*fixed_decode)(const u64* x, double* out, size_t n, unsigned bits);

  void (*bit_planes)(const u64* x, u64* planes, size_t n);
  void (*from_bit_planes)(const u64* planes, u64* x, size_t n);

  // Planes c (4 k, w) and monomials (15, k, w) give (2 k, w), or (k, w) for equality; `count` of the w columns.
  void (*borrow_leaves)(const u64* c, const u64* monomials, u64* out, size_t digits, size_t w, size_t count,
                        bool leader);
  void (*equal_leaves)(const u64* c, const u64* monomials, u64* out, size_t digits, size_t w, size_t count,
                       bool leader);
  // masked and mask (8 nodes, w) and monomials (22, nodes, w) give (2 nodes, w); for equality 4, 11 and 1.
  void (*borrow_nodes)(const u64* masked, const u64* mask, const u64* monomials, u64* out, size_t nodes, size_t w,
                       size_t count, bool leader);
  void (*equal_nodes)(const u64* masked, const u64* mask, const u64* monomials, u64* out, size_t nodes, size_t w,
                      size_t count, bool leader);

  // Coefficients (terms, pieces) give (n, pieces, terms), from which n sums are picked.
  void (*pieces_dealt)(const u64* r, const double* coefficients, u64* out, size_t n, const Pieces& f);
  void (*pieces_combined)(const u64* d, const u64* dealt, u64* out, size_t n, const Pieces& f);
  // A table of 1025 gives (n, 16, 2), from which (2, n) are picked.
  void (*octaves_dealt)(const u64* r, const u64* table, u64* out, size_t n, u64 factor, unsigned low);
  void (*octaves_combined)(const u64* d, const u64* dealt, const u64* table, u64* out, size_t n, u64 factor,
                           unsigned low);

  // Rows of 32 bytes, x-coordinates on Curve25519 or its twist: their products with a clamped scalar, and the map of
  // rows of 48 uniform bytes to the curve.
  void (*curve_multiply)(const u8* points, const u8 scalar[32], u8* out, size_t n);
  void (*curve_map)(const u8* uniform, u8* out, size_t n);
  // Products with a scalar of 255 bits for each; and u with map(u) = x, as choices (n,) say, where `mapped` is 1.
  void (*curve_multiply_each)(const u8* points, const u8* scalars, u8* out, size_t n);
  void (*curve_unmap)(const u8* points, const u8* choices, u8* out, u8* mapped, size_t n);
  // The first `width` bytes of SHA-512 of prefix, message i = data[offsets[i]..offsets[i + 1]] and suffix.
  void (*sha512_each)(const u8* prefix, size_t prefix_size, const u8* data, const u64* offsets, const u8* suffix,
                      size_t suffix_size, u8* out, size_t width, size_t n);
  // positions[i]: the first row of the haystack (m, 16) that equals needle i of (n, 16), or -1; how many rows of the
  // haystack came before. False if memory is lacking.
  bool (*match_rows)(const u8* needles, size_t n, const u8* haystack, size_t m, u64 seed, std::int64_t* positions,
                     u64* repeated);
  // Keys and values (n, 16) and uniform places (m, 16), which are overwritten: the keys without a place; and back. m is
  // 256 or more. False if memory is lacking.
  bool (*okvs_encode)(const u8* keys, const u8* values, size_t n, u8* table, size_t m, u64 seed, size_t* failed);
  bool (*okvs_decode)(const u8* keys, size_t n, const u8* table, size_t m, u64 seed, u8* out);
  void (*field_multiply)(const u8* x, const u8 factor[16], u8* out, size_t n);
  // From x (n + 25, 2), of which 25 rows are scratch, to out (m, 2).
  void (*expand_convolute)(u64* x, size_t n, u64* out, size_t m, const AesKeys& keys,
                           void (*prg)(const AesKeys&, u64, u64, Mask, const u64*, u64*, size_t));

  // Null at the portable level.
  void (*pack_bits)(const u8* bits, u64* words, size_t n);
  void (*unpack_bits)(const u64* words, u8* bits, size_t n);
};

// Best level last. `count` is the number of levels that this processor runs.
const Kernels* available_levels(size_t& count);
std::vector<std::string> level_names();

}  // namespace jali
