// SPDX-License-Identifier: Apache-2.0
// Every kernel of every level against a naive loop, on buffers that end where the data ends, so that the sanitizers
// see any access beyond. Exit status 1 names the first kernel that is wrong.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels.h"

namespace {

using namespace jali;
using Vector = std::vector<u64>;

u64 seed = 0x243f6a8885a308d3;

u64 next_word() {  // xorshift64, Marsaglia 2003; test data only
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

Vector words(size_t n) {
  Vector v(n);
  v.shrink_to_fit();
  for (u64& x : v) x = next_word() % 8 == 0 ? u64{0} - next_word() % 3 : next_word();
  return v;
}

void require(bool right, const Kernels& k, const char* kernel, size_t n) {
  if (right) return;
  std::fprintf(stderr, "selftest: %s is wrong at level %s, size %zu\n", kernel, k.level, n);
  std::exit(1);
}

void check_ring(const Kernels& k, size_t n) {
  const Vector a = words(n);
  const Vector b = words(n);
  const Vector c = words(n);
  const Vector d = words(n);
  const Vector e = words(n);
  Vector out(n);
  Vector want(n);
  for (const bool leader : {false, true}) {
    const u64 lead = leader ? 1 : 0;
    k.masked_product(a.data(), b.data(), c.data(), d.data(), e.data(), out.data(), n, leader);
    for (size_t i = 0; i < n; ++i) want[i] = lead * a[i] * b[i] - a[i] * d[i] - b[i] * c[i] + e[i];
    require(out == want, k, "masked_product", n);
    k.masked_and(a.data(), b.data(), c.data(), d.data(), e.data(), out.data(), n, leader);
    for (size_t i = 0; i < n; ++i) {
      want[i] = (leader ? a[i] & b[i] : 0) ^ (a[i] & d[i]) ^ (b[i] & c[i]) ^ e[i];
    }
    require(out == want, k, "masked_and", n);
    for (const unsigned bits : {0U, 18U, 61U}) {
      k.masked_truncate(a.data(), b.data(), c.data(), out.data(), n, bits, leader);
      for (size_t i = 0; i < n; ++i) {
        want[i] = lead * ((a[i] >> bits) - (u64{1} << (62 - bits))) - (a[i] >> 63 != 0 ? c[i] : b[i]);
      }
      require(out == want, k, "masked_truncate", n);
    }
  }
  k.replicated_product(a.data(), b.data(), c.data(), d.data(), e.data(), out.data(), n);
  for (size_t i = 0; i < n; ++i) want[i] = a[i] * c[i] + a[i] * d[i] + b[i] * c[i] + e[i];
  require(out == want, k, "replicated_product", n);
  k.replicated_and(a.data(), b.data(), c.data(), d.data(), e.data(), out.data(), n);
  for (size_t i = 0; i < n; ++i) want[i] = (a[i] & c[i]) ^ (a[i] & d[i]) ^ (b[i] & c[i]) ^ e[i];
  require(out == want, k, "replicated_and", n);
}

void check_fixed(const Kernels& k, size_t n) {
  for (const unsigned bits : {0U, 1U, 18U, 61U}) {
    std::vector<double> x(n);
    Vector out(n);
    const double limit = std::ldexp(1.0, 62 - static_cast<int>(bits));
    for (size_t i = 0; i < n; ++i) {
      const double half = static_cast<double>(next_word() % 64) / 2;
      const double any = static_cast<double>(static_cast<std::int64_t>(next_word())) / 2 / 9.3e18;
      x[i] = i % 3 == 0 ? std::ldexp(half, -static_cast<int>(bits)) : any * limit;
    }
    require(k.fixed_encode(x.data(), out.data(), n, bits) == 0, k, "fixed_encode", n);
    for (size_t i = 0; i < n; ++i) {
      const auto want = static_cast<std::int64_t>(std::rint(std::ldexp(x[i], static_cast<int>(bits))));
      require(static_cast<std::int64_t>(out[i]) == want, k, "fixed_encode", n);
    }
    std::vector<double> back(n);
    k.fixed_decode(out.data(), back.data(), n, bits);
    for (size_t i = 0; i < n; ++i) {
      const auto want = std::ldexp(static_cast<double>(static_cast<std::int64_t>(out[i])), -static_cast<int>(bits));
      require(back[i] == want, k, "fixed_decode", n);
    }
    if (n > 0) {
      x[n - 1] = std::nan("");
      require(k.fixed_encode(x.data(), out.data(), n, bits) == 1, k, "fixed_encode of a NaN", n);
    }
  }
}

void check_bits(const Kernels& k, size_t n) {
  const size_t blocks = (n + 63) / 64;
  const Vector x = words(n);
  Vector planes(64 * blocks);
  Vector want(64 * blocks);
  k.bit_planes(x.data(), planes.data(), n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < 64; ++j) want[j * blocks + i / 64] |= (x[i] >> j & 1) << (i % 64);
  }
  require(planes == want, k, "bit_planes", n);
  Vector back(n);
  k.from_bit_planes(planes.data(), back.data(), n);
  require(back == x, k, "from_bit_planes", n);
  if (k.pack_bits == nullptr) return;

  std::vector<u8> bits(n);
  for (size_t i = 0; i < n; ++i) bits[i] = static_cast<u8>(x[i] % 4 == 0 ? 0 : x[i] >> 56 | 1);
  Vector packed(blocks);
  k.pack_bits(bits.data(), packed.data(), n);
  for (size_t i = 0; i < n; ++i) require((packed[i / 64] >> (i % 64) & 1) == (bits[i] != 0), k, "pack_bits", n);
  require(n % 64 == 0 || packed[n / 64] >> (n % 64) == 0, k, "the padding of pack_bits", n);
  std::vector<u8> unpacked(n);
  k.unpack_bits(packed.data(), unpacked.data(), n);
  for (size_t i = 0; i < n; ++i) require(unpacked[i] == (bits[i] != 0), k, "unpack_bits", n);
}

// Bits x < y of two shared numbers: the trees, with both parts added up, against a comparison of words.
void check_trees(const Kernels& k, size_t w) {
  const Vector c = words(64 * w);
  const Vector m = words(15 * 16 * w);
  const Vector zeros(15 * 16 * w);
  Vector lead(32 * w);
  Vector rest(32 * w);
  Vector both(32 * w);
  Vector none(32 * w);
  k.borrow_leaves(c.data(), m.data(), lead.data(), 16, w, w, true);
  k.borrow_leaves(c.data(), zeros.data(), rest.data(), 16, w, w, false);
  k.borrow_leaves(c.data(), m.data(), both.data(), 16, w, w, false);
  k.borrow_leaves(c.data(), zeros.data(), none.data(), 16, w, w, true);
  for (size_t i = 0; i < 32 * w; ++i) {
    require((lead[i] ^ rest[i]) == (both[i] ^ none[i]), k, "borrow_leaves is not linear", w);
    require(rest[i] == 0, k, "borrow_leaves of nothing", w);
  }
  Vector equal(16 * w);
  k.equal_leaves(c.data(), m.data(), equal.data(), 16, w, w, true);
  for (size_t i = 0; i < 16 * w; ++i) require(equal[i] == lead[16 * w + i], k, "equal_leaves", w);
  const Vector dealt = words(22 * 4 * w);
  Vector nodes(8 * w);
  Vector products(4 * w);
  k.borrow_nodes(c.data(), m.data(), dealt.data(), nodes.data(), 4, w, w, true);
  Vector monomials(11 * 4 * w);
  for (size_t i = 0; i < 4 * 4 * w; ++i) monomials[i] = dealt[i];
  for (size_t i = 0; i < 7 * 4 * w; ++i) monomials[4 * 4 * w + i] = dealt[15 * 4 * w + i];
  k.equal_nodes(c.data() + 16 * w, m.data() + 16 * w, monomials.data(), products.data(), 4, w, w, true);
  for (size_t i = 0; i < 4 * w; ++i) require(products[i] == nodes[4 * w + i], k, "the products of nodes", w);
}

// A table that is dealt whole gives the function itself, whatever the mask.
void check_lookup(const Kernels& k, size_t n) {
  const Vector r = words(n);
  Vector d(n);
  for (size_t i = 0; i < n; ++i) d[i] = r[i] + (next_word() >> 6);
  const Pieces line{16, 2, 1, 54, 24, 40};
  std::vector<double> coefficients(32);
  for (size_t j = 0; j < 16; ++j) coefficients[j] = static_cast<double>(j), coefficients[16 + j] = 1.0;
  Vector dealt(n * 32);
  Vector out(2 * n);
  k.pieces_dealt(r.data(), coefficients.data(), dealt.data(), n, line);
  k.pieces_combined(d.data(), dealt.data(), out.data(), n, line);
  for (size_t i = 0; i < n; ++i) {
    const double want = static_cast<double>(d[i] - r[i]) / 0x1p54;
    const double found = static_cast<double>(static_cast<std::int64_t>(out[i])) / 0x1p40;
    const double gap = std::fabs(found - want);
    require(std::fmin(gap, std::fabs(gap - 16)) < 1e-6, k, "pieces", n);
  }
  Vector table(1025);
  for (size_t i = 0; i < 1025; ++i) table[i] = static_cast<u64>(std::exp2(4.5 * static_cast<double>(i) / 1024 + 26));
  k.octaves_dealt(r.data(), table.data(), dealt.data(), n, 1, 54);
  k.octaves_combined(d.data(), dealt.data(), table.data(), out.data(), n, 1, 54);
  for (size_t i = 0; i < n; ++i) {
    const double place = static_cast<double>(d[i] - r[i]) / 0x1p54;
    if (place > 9) continue;  // beyond the middle the same places are small powers
    const double want = std::exp2(4.5 * place);
    const double found = static_cast<double>(out[i]) / 0x1p39 + static_cast<double>(out[n + i]) / 0x1p18;
    require(std::fabs(found / want - 1) < 1e-4, k, "octaves", n);
  }
}

void check_prg(const Kernels& k, size_t n) {
  if (k.prg == nullptr) return;
  // FIPS 197, appendix B: key, plaintext and ciphertext; the plaintext is one counter block of ours.
  const u8 key[16] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
  AesKeys keys;
  k.expand(key, keys);
  const u64 nonce = 0x8d305a88a8f64332;
  const u64 block = 0x340737e0a2983131;
  u64 cipher[2];
  k.prg(keys, nonce, 2 * block, Mask::set, nullptr, cipher, 2);
  require(cipher[0] == 0xfb09dc021d842539 && cipher[1] == 0x320b6a19978511dc, k, "AES-128", 2);

  const Vector x = words(n);
  Vector all(n + 3);
  k.prg(keys, 7, 0, Mask::set, nullptr, all.data(), n + 3);
  for (const size_t start : {0, 1, 2, 3}) {
    Vector part(n);
    k.prg(keys, 7, start, Mask::set, nullptr, part.data(), n);
    for (size_t i = 0; i < n; ++i) require(part[i] == all[start + i], k, "random access to the key stream", n);
  }
  // Where the upper bytes of the counter change, and where a part begins within a chunk.
  for (const u64 border : {u64{1} << 17, u64{1} << 41, u64{1} << 63}) {
    const size_t before = n / 2;
    Vector whole(n);
    Vector rest(n - before);
    k.prg(keys, 7, border - before, Mask::set, nullptr, whole.data(), n);
    k.prg(keys, 7, border, Mask::set, nullptr, rest.data(), n - before);
    for (size_t i = before; i < n; ++i) require(whole[i] == rest[i - before], k, "a border of the counter", n);
  }
  Vector out = x;
  k.prg(keys, 7, 0, Mask::add, out.data(), out.data(), n);
  for (size_t i = 0; i < n; ++i) require(out[i] == x[i] + all[i], k, "add_prg", n);
  k.prg(keys, 7, 0, Mask::sub, out.data(), out.data(), n);
  require(out == x, k, "sub_prg", n);
  k.prg(keys, 7, 0, Mask::exclusive_or, out.data(), out.data(), n);
  for (size_t i = 0; i < n; ++i) require(out[i] == (x[i] ^ all[i]), k, "xor_prg", n);
}

void check_matmul(const Kernels& k, size_t m, size_t depth, size_t n) {
  const Vector a = words(m * depth);
  const Vector b = words(depth * n);
  Vector out = words(m * n);
  Vector want = out;
  for (size_t i = 0; i < m; ++i) {
    for (size_t l = 0; l < depth; ++l) {
      for (size_t j = 0; j < n; ++j) want[i * n + j] += a[i * depth + l] * b[l * n + j];
    }
  }
  require(k.matmul(a.data(), b.data(), out.data(), m, depth, n), k, "memory for matmul", m * depth * n);
  require(out == want, k, "matmul", m * depth * n);
}

// Against the portable level, which tests in Python compare with OpenSSL.
void check_curve(const Kernels& k, const Kernels& portable, size_t n) {
  std::vector<u8> rows(48 * n);
  for (u8& x : rows) x = static_cast<u8>(next_word() >> 40);
  u8 scalar[32];
  for (u8& x : scalar) x = static_cast<u8>(next_word() >> 40);
  const std::vector<u8> points(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(32 * n));
  std::vector<u8> out(32 * n);
  std::vector<u8> want(32 * n);
  k.curve_multiply(points.data(), scalar, out.data(), n);
  portable.curve_multiply(points.data(), scalar, want.data(), n);
  require(out == want, k, "curve_multiply", n);
  k.curve_map(rows.data(), out.data(), n);
  portable.curve_map(rows.data(), want.data(), n);
  require(out == want, k, "curve_map", n);
  k.curve_multiply_each(points.data(), want.data(), out.data(), n);
  std::vector<u8> each(32 * n);
  portable.curve_multiply_each(points.data(), want.data(), each.data(), n);
  require(out == each, k, "curve_multiply_each", n);
  std::vector<u8> choices(n);
  for (u8& x : choices) x = static_cast<u8>(next_word() & 3);
  std::vector<u8> mapped(n);
  std::vector<u8> is_mapped(n);
  k.curve_unmap(points.data(), choices.data(), out.data(), mapped.data(), n);
  portable.curve_unmap(points.data(), choices.data(), want.data(), is_mapped.data(), n);
  require(out == want && mapped == is_mapped, k, "curve_unmap", n);
}

std::vector<u8> bytes(size_t n) {
  std::vector<u8> x(n);
  for (u8& b : x) b = static_cast<u8>(next_word() >> 40);
  return x;
}

void check_codes(const Kernels& k, const Kernels& portable, size_t n) {
  const std::vector<u8> keys = bytes(16 * n);
  const std::vector<u8> values = bytes(16 * n);
  const size_t m = n + n / 10 + 256;
  std::vector<u8> table = bytes(16 * m);
  std::vector<u8> want = table;
  size_t failed = 1;
  require(k.okvs_encode(keys.data(), values.data(), n, table.data(), m, 7, &failed) && failed == 0, k, "okvs_encode", n);
  require(portable.okvs_encode(keys.data(), values.data(), n, want.data(), m, 7, &failed), k, "okvs_encode", n);
  require(table == want, k, "okvs_encode", n);
  std::vector<u8> out(16 * n);
  require(k.okvs_decode(keys.data(), n, table.data(), m, 7, out.data()) && out == values, k, "okvs_decode", n);
  std::vector<u8> product(16 * n);
  k.field_multiply(keys.data(), table.data(), out.data(), n);
  portable.field_multiply(keys.data(), table.data(), product.data(), n);
  require(out == product, k, "field_multiply", n);
  if (n == 0 || k.prg == nullptr) return;
  Vector x(2 * (n + 25), 0);
  for (size_t i = 0; i < 2 * n; ++i) x[i] = next_word();
  Vector same = x;
  Vector sums(2 * (n / 2));
  Vector wanted(2 * (n / 2));
  AesKeys schedule;
  k.expand(table.data(), schedule);
  k.expand_convolute(x.data(), n, sums.data(), n / 2, schedule, k.prg);
  portable.expand_convolute(same.data(), n, wanted.data(), n / 2, schedule, k.prg);
  require(sums == wanted, k, "expand_convolute", n);
}

void check_hashes(const Kernels& k, const Kernels& portable, size_t n) {
  std::vector<u64> offsets(n + 1, 0);
  for (size_t i = 0; i < n; ++i) offsets[i + 1] = offsets[i] + (next_word() % 9 == 0 ? next_word() % 700 : i % 140);
  std::vector<u8> data(offsets[n]);
  for (u8& x : data) x = static_cast<u8>(next_word() >> 40);
  for (const size_t prefix : {size_t{0}, std::min<size_t>(data.size(), 130)}) {
    std::vector<u8> out(17 * n);
    std::vector<u8> want(17 * n);
    k.sha512_each(data.data(), prefix, data.data(), offsets.data(), data.data(), prefix / 3, out.data(), 17, n);
    portable.sha512_each(data.data(), prefix, data.data(), offsets.data(), data.data(), prefix / 3, want.data(), 17, n);
    require(out == want, k, "sha512_each", n);
  }
}

void check_match(const Kernels& k, size_t n) {
  Vector rows = words(4 * n);
  for (u64& x : rows) x %= 5;
  const u8* needles = reinterpret_cast<const u8*>(rows.data());
  const u8* haystack = needles + 16 * n;
  std::vector<std::int64_t> out(n);
  u64 repeated = 0;
  require(k.match_rows(needles, n, haystack, n, next_word(), out.data(), &repeated), k, "match_rows", n);
  u64 twice = 0;
  for (size_t i = 0; i < n; ++i) {
    std::int64_t first = -1;
    bool before = false;
    for (size_t j = n; j-- > 0;) {
      if (rows[2 * i] == rows[2 * (n + j)] && rows[2 * i + 1] == rows[2 * (n + j) + 1]) first = static_cast<int>(j);
      if (j < i && rows[2 * (n + i)] == rows[2 * (n + j)] && rows[2 * (n + i) + 1] == rows[2 * (n + j) + 1]) before = true;
    }
    if (before) ++twice;
    require(out[i] == first, k, "match_rows", n);
  }
  require(repeated == twice, k, "match_rows", n);
}

}  // namespace

int main() {
  size_t count = 0;
  const jali::Kernels* levels = jali::available_levels(count);
  for (size_t level = 0; level < count; ++level) {
    const jali::Kernels& k = levels[level];
    for (const size_t n : {0, 1, 2, 3, 7, 8, 9, 31, 63, 64, 65, 127, 511, 512, 513, 1000, 1024, 1600}) {
      check_ring(k, n);
      check_fixed(k, n);
      check_bits(k, n);
      check_prg(k, n);
      check_trees(k, n % 67);
      check_lookup(k, n);
      check_hashes(k, levels[0], n % 67);
      check_match(k, n % 67);
    }
    for (const size_t n : {0, 1, 3, 4, 7, 8, 9, 257}) check_curve(k, levels[0], n);
    for (const size_t n : {0, 1, 2, 100, 600, 3000}) check_codes(k, levels[0], n);
    const size_t shapes[][3] = {{0, 3, 2},    {2, 0, 3},   {1, 1, 1},     {1, 300, 37}, {37, 300, 1},  {3, 5, 7},
                                {5, 7, 3},    {8, 16, 16}, {9, 17, 17},   {16, 64, 16}, {17, 65, 33},  {33, 257, 31},
                                {40, 513, 5}, {5, 513, 40}, {257, 70, 19}, {19, 70, 300}, {48, 600, 273}};
    for (const auto& s : shapes) check_matmul(k, s[0], s[1], s[2]);
    std::printf("selftest: level %s is right\n", k.level);
  }
  return 0;
}
