// SPDX-License-Identifier: Apache-2.0
// The Python module. Strided arrays are copied first. A call whose arguments are still not the plain case (arrays of the
// right type and of shapes that fit) goes on to the numpy twin, which computes it or words the error.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "bind.h"
#include "cpu.h"

namespace jali {
namespace {

// -- key streams -----------------------------------------------------------------------------------------------------
nb::object prg_words(const nb::bytes& key, u64 nonce, u64 count, u64 start) {
  require(start <= ~u64{0} - count);
  const ExpandedKey keys(key);
  auto out = make<u64>({count});
  {
    const nb::gil_scoped_release unlocked;
    kernels().prg(*keys, nonce, start, Mask::set, nullptr, out.data, count);
  }
  return out.array;
}

template <Mask mask>
nb::object with_prg(const Words& x, const nb::bytes& key, u64 nonce, nb::handle out) {
  const ExpandedKey keys(key);
  auto result = result_like(x, out);
  {
    const nb::gil_scoped_release unlocked;
    kernels().prg(*keys, nonce, 0, mask, x.data(), result.data, x.size());
  }
  return result.array;
}

// Words of a table, and products of two words that take about a millisecond.
constexpr size_t table_grain = size_t{1} << 19;
constexpr size_t product_grain = size_t{1} << 25;

// -- protocol steps ---------------------------------------------------------------------------------------------------
template <auto kernel>
nb::object masked_five(const Words& dx, const Words& dy, const Words& lx, const Words& ly, const Words& g, bool leader,
                       nb::handle out) {
  require_same_shape(dx, dy, lx, ly, g);
  auto result = result_like(dx, out);
  {
    const nb::gil_scoped_release unlocked;
    in_parts(dx.size(), elementwise_grain, [&](size_t i, size_t end) {
      (kernels().*kernel)(dx.data() + i, dy.data() + i, lx.data() + i, ly.data() + i, g.data() + i, result.data + i,
                          end - i, leader);
      return true;
    });
  }
  return result.array;
}

template <auto kernel>
nb::object replicated_five(const Words& x0, const Words& x1, const Words& y0, const Words& y1, const Words& zero,
                           nb::handle out) {
  require_same_shape(x0, x1, y0, y1, zero);
  auto result = result_like(x0, out);
  {
    const nb::gil_scoped_release unlocked;
    in_parts(x0.size(), elementwise_grain, [&](size_t i, size_t end) {
      (kernels().*kernel)(x0.data() + i, x1.data() + i, y0.data() + i, y1.data() + i, zero.data() + i, result.data + i,
                          end - i);
      return true;
    });
  }
  return result.array;
}

constexpr unsigned most_bits = 61;

nb::object masked_truncate(const Words& c, const Words& a, const Words& b, unsigned bits, bool leader,
                           nb::handle out) {
  require(bits <= most_bits);
  require_same_shape(c, a, b);
  auto result = result_like(c, out);
  {
    const nb::gil_scoped_release unlocked;
    in_parts(c.size(), elementwise_grain, [&](size_t i, size_t end) {
      kernels().masked_truncate(c.data() + i, a.data() + i, b.data() + i, result.data + i, end - i, bits, leader);
      return true;
    });
  }
  return result.array;
}

// -- matrices ---------------------------------------------------------------------------------------------------------
nb::object matmul(const Words& a, const Words& b, nb::handle add) {
  const size_t axes = a.ndim();
  require((axes == 2 || axes == 3) && b.ndim() == axes);
  require(axes == 2 || a.shape(0) == b.shape(0));
  require(a.shape(axes - 1) == b.shape(axes - 2));
  const size_t batch = axes == 3 ? a.shape(0) : 1;
  const size_t m = a.shape(axes - 2);
  const size_t k = a.shape(axes - 1);
  const size_t n = b.shape(axes - 1);
  const size_t shape[3] = {batch, m, n};
  Words start;
  if (!add.is_none()) {
    require(nb::try_cast(add, start, false) && start.ndim() == axes);
    for (size_t i = 0; i < axes; ++i) require(start.shape(i) == shape[3 - axes + i]);
  }
  auto out = make<u64>(axes, shape + 3 - axes);
  bool done = true;
  {
    const nb::gil_scoped_release unlocked;
    const size_t bytes = batch * m * n * sizeof(u64);
    if (add.is_none()) {
      std::memset(out.data, 0, bytes);
    } else if (bytes != 0) {
      std::memcpy(out.data, start.data(), bytes);
    }
    const size_t each = k * n == 0 ? 1 : product_grain / (k * n) + 1;  // rows
    for (size_t i = 0; i < batch && done; ++i) {
      done = in_parts(m, each, [&](size_t row, size_t end) {
        return kernels().matmul(a.data() + (i * m + row) * k, b.data() + i * k * n, out.data + (i * m + row) * n,
                                end - row, k, n);
      });
    }
  }
  if (!done) throw std::bad_alloc();
  return out.array;
}

// -- fixed point ------------------------------------------------------------------------------------------------------
nb::object fixed_encode(const In<double>& x, unsigned bits) {
  require(bits <= most_bits);
  const auto shape = shape_of(x);
  auto out = make<u64>(shape.size(), shape.data());
  size_t bad = 0;
  {
    const nb::gil_scoped_release unlocked;
    bad = kernels().fixed_encode(x.data(), out.data, x.size(), bits);
  }
  require(bad == 0);
  return out.array;
}

nb::object fixed_decode(const Words& x, unsigned bits) {
  require(bits <= most_bits);
  const auto shape = shape_of(x);
  auto out = make<double>(shape.size(), shape.data());
  {
    const nb::gil_scoped_release unlocked;
    kernels().fixed_decode(x.data(), out.data, x.size(), bits);
  }
  return out.array;
}

// -- bits -------------------------------------------------------------------------------------------------------------
size_t words_for(size_t n) { return n / 64 + (n % 64 != 0 ? 1 : 0); }

nb::object bit_planes(const Words& x) {
  require(x.ndim() == 1);
  auto out = make<u64>({64, words_for(x.size())});
  {
    const nb::gil_scoped_release unlocked;
    kernels().bit_planes(x.data(), out.data, x.size());
  }
  return out.array;
}

nb::object from_bit_planes(const Words& planes, u64 n) {
  require(planes.ndim() == 2 && planes.shape(0) == 64 && planes.shape(1) == words_for(n));
  auto out = make<u64>({n});
  {
    const nb::gil_scoped_release unlocked;
    kernels().from_bit_planes(planes.data(), out.data, n);
  }
  return out.array;
}

template <class T>
nb::object pack_bits(const In<T>& bits) {
  static_assert(sizeof(T) == 1);
  require(bits.ndim() == 1 && kernels().pack_bits != nullptr);
  auto out = make<u64>({words_for(bits.size())});
  {
    const nb::gil_scoped_release unlocked;
    kernels().pack_bits(reinterpret_cast<const u8*>(bits.data()), out.data, bits.size());
  }
  return out.array;
}

nb::object unpack_bits(const Words& words, u64 n) {
  require(words.ndim() == 1 && words.size() == words_for(n) && kernels().unpack_bits != nullptr);
  auto out = make<bool>({n});
  {
    const nb::gil_scoped_release unlocked;
    kernels().unpack_bits(words.data(), reinterpret_cast<u8*>(out.data), n);
  }
  return out.array;
}

// -- comparison trees -------------------------------------------------------------------------------------------------
bool has_shape(const Words& x, std::initializer_list<size_t> shape) {
  if (x.ndim() != shape.size()) return false;
  size_t axis = 0;
  for (const size_t n : shape) {
    if (x.shape(axis++) != n) return false;
  }
  return true;
}

template <auto kernel, size_t rows>
nb::object leaves(const Words& c, const Words& monomials, bool leader) {
  require(c.ndim() == 2 && c.shape(0) % 4 == 0);
  const size_t digits = c.shape(0) / 4;
  const size_t w = c.shape(1);
  require(has_shape(monomials, {15, digits, w}));
  auto out = make<u64>({rows * digits, w});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(w, table_grain / (15 * digits + 1), [&](size_t i, size_t end) {
      (kernels().*kernel)(c.data() + i, monomials.data() + i, out.data + i, digits, w, end - i, leader);
      return true;
    });
  }
  return out.array;
}

template <auto kernel, size_t fan_in, size_t products>
nb::object nodes(const Words& masked, const Words& mask, const Words& monomials, bool leader) {
  require(masked.ndim() == 2 && masked.shape(0) % fan_in == 0);
  const size_t count = masked.shape(0) / fan_in;
  const size_t w = masked.shape(1);
  require(same_shape(masked, mask) && has_shape(monomials, {products, count, w}));
  auto out = make<u64>({masked.shape(0) / 4, w});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(w, table_grain / (products * count + 1), [&](size_t i, size_t end) {
      (kernels().*kernel)(masked.data() + i, mask.data() + i, monomials.data() + i, out.data + i, count, w, end - i,
                          leader);
      return true;
    });
  }
  return out.array;
}

// -- one-time tables --------------------------------------------------------------------------------------------------
void require_fits(const Pieces& f) {
  require(f.pieces >= 1 && f.pieces <= 64 && (f.pieces & (f.pieces - 1)) == 0 && f.terms >= 1 && f.terms <= 17);
  require(f.steps >= 1 && f.steps <= 31 && f.steps <= f.low && f.low < 64 && f.steps <= f.scale && f.scale < 62);
}

nb::object pieces_dealt(const Words& r, const In<double>& coefficients, u64 factor, unsigned low, unsigned steps,
                        unsigned scale) {
  require(r.ndim() == 1 && coefficients.ndim() == 2);
  const Pieces f{coefficients.shape(1), coefficients.shape(0), factor, low, steps, scale};
  require_fits(f);
  auto out = make<u64>({r.size(), f.pieces, f.terms});
  {
    const nb::gil_scoped_release unlocked;
    const size_t entry = f.pieces * f.terms;
    in_parts(r.size(), table_grain / entry, [&](size_t i, size_t end) {
      kernels().pieces_dealt(r.data() + i, coefficients.data(), out.data + i * entry, end - i, f);
      return true;
    });
  }
  return out.array;
}

nb::object pieces_combined(const Words& d, const Words& dealt, u64 factor, unsigned low, unsigned steps) {
  require(d.ndim() == 1 && dealt.ndim() == 3 && dealt.shape(0) == d.size());
  const Pieces f{dealt.shape(1), dealt.shape(2), factor, low, steps, steps};
  require_fits(f);
  auto out = make<u64>({d.size()});
  {
    const nb::gil_scoped_release unlocked;
    kernels().pieces_combined(d.data(), dealt.data(), out.data, d.size(), f);
  }
  return out.array;
}

nb::object octaves_dealt(const Words& r, const Words& table, u64 factor, unsigned low) {
  require(r.ndim() == 1 && has_shape(table, {1025}) && low >= 22 && low <= 60);
  auto out = make<u64>({r.size(), 16, 2});
  {
    const nb::gil_scoped_release unlocked;
    kernels().octaves_dealt(r.data(), table.data(), out.data, r.size(), factor, low);
  }
  return out.array;
}

nb::object octaves_combined(const Words& d, const Words& dealt, const Words& table, u64 factor, unsigned low) {
  require(d.ndim() == 1 && has_shape(dealt, {d.size(), 16, 2}) && has_shape(table, {1025}) && low >= 22 && low <= 60);
  auto out = make<u64>({2, d.size()});
  {
    const nb::gil_scoped_release unlocked;
    kernels().octaves_combined(d.data(), dealt.data(), table.data(), out.data, d.size(), factor, low);
  }
  return out.array;
}

// -- levels -----------------------------------------------------------------------------------------------------------
void set_level(const std::string& name) {
  size_t count = 0;
  const Kernels* table = available_levels(count);
  for (size_t i = 0; i < count; ++i) {
    if (name == table[i].level) {
      current.store(&table[i]);
      return;
    }
  }
  throw nb::value_error("no such level on this machine");
}

void set_threads(unsigned count) { thread_limit().store(count == 0 ? 1 : count); }

}  // namespace
}  // namespace jali

NB_MODULE(_native, m) {
  using namespace jali;
  nb::set_leak_warnings(false);
  m.def("levels", level_names);
  m.def("level", [] { return std::string(kernels().level); });
  m.def("set_level", set_level, "name"_a);
  m.def("features", feature_names);
  m.def("set_threads", set_threads, "count"_a);
  m.def("threads", [] { return thread_limit().load(); });
  m.def("give_memory_back", give_memory_back);
  set_level(level_names().back());

  const auto out = nb::arg("out") = nb::none();
  define(m, "prg_words", prg_words, "key"_a, "nonce"_a, "count"_a, nb::kw_only(), "start"_a = 0);
  define(m, "add_prg", with_prg<Mask::add>, strict("x"), "key"_a, "nonce"_a, nb::kw_only(), out);
  define(m, "sub_prg", with_prg<Mask::sub>, strict("x"), "key"_a, "nonce"_a, nb::kw_only(), out);
  define(m, "xor_prg", with_prg<Mask::exclusive_or>, strict("x"), "key"_a, "nonce"_a, nb::kw_only(), out);
  define(m, "masked_product", masked_five<&Kernels::masked_product>, strict("dx"), strict("dy"), strict("lx"),
         strict("ly"), strict("g"), nb::kw_only(), "leader"_a, out);
  define(m, "masked_and", masked_five<&Kernels::masked_and>, strict("da"), strict("db"), strict("la"), strict("lb"),
         strict("g"), nb::kw_only(), "leader"_a, out);
  define(m, "masked_truncate", masked_truncate, strict("c"), strict("a"), strict("b"), "bits"_a, nb::kw_only(),
         "leader"_a, out);
  define(m, "replicated_product", replicated_five<&Kernels::replicated_product>, strict("x0"), strict("x1"),
         strict("y0"), strict("y1"), strict("zero"), nb::kw_only(), out);
  define(m, "replicated_and", replicated_five<&Kernels::replicated_and>, strict("x0"), strict("x1"), strict("y0"),
         strict("y1"), strict("zero"), nb::kw_only(), out);
  define(m, "matmul", matmul, strict("a"), strict("b"), nb::kw_only(), nb::arg("add") = nb::none());
  define(m, "fixed_encode", fixed_encode, strict("x"), "bits"_a);
  define(m, "fixed_decode", fixed_decode, strict("x"), "bits"_a);
  define(m, "bit_planes", bit_planes, strict("x"));
  define(m, "from_bit_planes", from_bit_planes, strict("planes"), "n"_a);
  m.def("pack_bits", pack_bits<bool>, strict("bits"));
  define(m, "pack_bits", pack_bits<u8>, strict("bits"));
  define(m, "unpack_bits", unpack_bits, strict("words"), "n"_a);
  define(m, "borrow_leaves", leaves<&Kernels::borrow_leaves, 2>, strict("c"), strict("monomials"), nb::kw_only(),
         "leader"_a);
  define(m, "equal_leaves", leaves<&Kernels::equal_leaves, 1>, strict("c"), strict("monomials"), nb::kw_only(),
         "leader"_a);
  define(m, "borrow_nodes", nodes<&Kernels::borrow_nodes, 8, 22>, strict("masked"), strict("mask"),
         strict("monomials"), nb::kw_only(), "leader"_a);
  define(m, "equal_nodes", nodes<&Kernels::equal_nodes, 4, 11>, strict("masked"), strict("mask"), strict("monomials"),
         nb::kw_only(), "leader"_a);
  define(m, "pieces_dealt", pieces_dealt, strict("r"), strict("coefficients"), nb::kw_only(), "factor"_a, "low"_a,
         "steps"_a, "scale"_a);
  define(m, "pieces_combined", pieces_combined, strict("d"), strict("dealt"), nb::kw_only(), "factor"_a, "low"_a,
         "steps"_a);
  define(m, "octaves_dealt", octaves_dealt, strict("r"), strict("table"), nb::kw_only(), "factor"_a, "low"_a);
  define(m, "octaves_combined", octaves_combined, strict("d"), strict("dealt"), strict("table"), nb::kw_only(),
         "factor"_a, "low"_a);
  define_crypto(m);
}
