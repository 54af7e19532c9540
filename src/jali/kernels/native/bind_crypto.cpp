// SPDX-License-Identifier: Apache-2.0
// The kernels on points, hashes and codes, as functions of the Python module.
#include "bind.h"

namespace jali {
namespace {

using Bytes = In<u8>;

constexpr size_t curve_grain = 256;  // rows
constexpr size_t hash_grain = size_t{1} << 13;

const u8* raw(const nb::bytes& x) { return reinterpret_cast<const u8*>(x.data()); }

nb::object curve_multiply(const Bytes& points, const nb::bytes& scalar) {
  require(points.ndim() == 2 && points.shape(1) == 32 && scalar.size() == 32);
  const size_t n = points.shape(0);
  auto out = make<u8>({n, 32});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(n, curve_grain, [&](size_t i, size_t end) {
      kernels().curve_multiply(points.data() + 32 * i, raw(scalar), out.data + 32 * i, end - i);
      return true;
    });
  }
  return out.array;
}

nb::object curve_map(const Bytes& uniform) {
  require(uniform.ndim() == 2 && uniform.shape(1) == 48);
  const size_t n = uniform.shape(0);
  auto out = make<u8>({n, 32});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(n, 4 * curve_grain, [&](size_t i, size_t end) {
      kernels().curve_map(uniform.data() + 48 * i, out.data + 32 * i, end - i);
      return true;
    });
  }
  return out.array;
}

nb::object curve_multiply_each(const Bytes& points, const Bytes& scalars) {
  require(points.ndim() == 2 && points.shape(1) == 32 && scalars.ndim() == 2 && scalars.shape(1) == 32);
  const size_t n = points.shape(0);
  require(scalars.shape(0) == n);
  auto out = make<u8>({n, 32});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(n, curve_grain, [&](size_t i, size_t end) {
      kernels().curve_multiply_each(points.data() + 32 * i, scalars.data() + 32 * i, out.data + 32 * i, end - i);
      return true;
    });
  }
  return out.array;
}

nb::object curve_unmap(const Bytes& points, const Bytes& choices) {
  require(points.ndim() == 2 && points.shape(1) == 32 && choices.ndim() == 1);
  const size_t n = points.shape(0);
  require(choices.shape(0) == n);
  auto out = make<u8>({n, 32});
  auto mapped = make<bool>({n});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(n, 4 * curve_grain, [&](size_t i, size_t end) {
      kernels().curve_unmap(points.data() + 32 * i, choices.data() + i, out.data + 32 * i,
                            reinterpret_cast<u8*>(mapped.data) + i, end - i);
      return true;
    });
  }
  return nb::make_tuple(out.array, mapped.array);
}

bool is_rows(const Bytes& x) { return x.ndim() == 2 && x.shape(1) == 16; }

constexpr size_t band_places = 256;

nb::object okvs_encode(const Bytes& keys, const Bytes& values, const Bytes& fill, u64 seed) {
  require(is_rows(keys) && is_rows(values) && is_rows(fill) && keys.shape(0) == values.shape(0));
  const size_t m = fill.shape(0);
  require(m >= band_places && m < (u64{1} << 32) && keys.shape(0) < (u64{1} << 32));
  auto table = make<u8>({m, 16});
  size_t failed = 0;
  bool done = true;
  {
    const nb::gil_scoped_release unlocked;
    std::memcpy(table.data, fill.data(), 16 * m);
    done = kernels().okvs_encode(keys.data(), values.data(), keys.shape(0), table.data, m, seed, &failed);
  }
  if (!done) throw std::bad_alloc();
  return nb::make_tuple(table.array, failed);
}

nb::object okvs_decode(const Bytes& keys, const Bytes& table, u64 seed) {
  require(is_rows(keys) && is_rows(table));
  const size_t n = keys.shape(0);
  const size_t m = table.shape(0);
  require(m >= band_places && m < (u64{1} << 32) && n < (u64{1} << 32));
  auto out = make<u8>({n, 16});
  bool done = true;
  {
    const nb::gil_scoped_release unlocked;
    done = in_parts(n, hash_grain, [&](size_t i, size_t end) {
      return kernels().okvs_decode(keys.data() + 16 * i, end - i, table.data(), m, seed, out.data + 16 * i);
    });
  }
  if (!done) throw std::bad_alloc();
  return out.array;
}

nb::object field_multiply(const Bytes& x, const nb::bytes& factor) {
  require(is_rows(x) && factor.size() == 16);
  auto out = make<u8>({x.shape(0), 16});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(x.shape(0), elementwise_grain / 16, [&](size_t i, size_t end) {
      kernels().field_multiply(x.data() + 16 * i, raw(factor), out.data + 16 * i, end - i);
      return true;
    });
  }
  return out.array;
}

nb::object expand_convolute(const Words& x, u64 m, const nb::bytes& seed) {
  require(x.ndim() == 2 && x.shape(1) == 2 && x.shape(0) < (u64{1} << 32));
  const ExpandedKey keys(seed);
  const size_t n = x.shape(0);
  constexpr size_t behind = 25;
  const Block scratch(16 * (n + behind));
  auto out = make<u64>({m, 2});
  {
    const nb::gil_scoped_release unlocked;
    auto* rows = static_cast<u64*>(scratch.data());
    if (n != 0) std::memcpy(rows, x.data(), 16 * n);
    std::memset(rows + 2 * n, 0, 16 * behind);
    if (n == 0) {
      std::memset(out.data, 0, 16 * m);
    } else {
      kernels().expand_convolute(rows, n, out.data, m, *keys, kernels().prg);
    }
  }
  return out.array;
}

nb::object match_rows(const Bytes& needles, const Bytes& haystack, u64 seed) {
  require(needles.ndim() == 2 && needles.shape(1) == 16 && haystack.ndim() == 2 && haystack.shape(1) == 16);
  require(haystack.shape(0) < (u64{1} << 31));
  auto out = make<std::int64_t>({needles.shape(0)});
  u64 repeated = 0;
  bool done = true;
  {
    const nb::gil_scoped_release unlocked;
    done = kernels().match_rows(needles.data(), needles.shape(0), haystack.data(), haystack.shape(0), seed, out.data,
                                &repeated);
  }
  if (!done) throw std::bad_alloc();
  return nb::make_tuple(out.array, repeated);
}

nb::object sha512_each(const Bytes& data, const Words& offsets, u64 width, const nb::bytes& prefix,
                       const nb::bytes& suffix) {
  require(data.ndim() == 1 && offsets.ndim() == 1 && offsets.size() >= 1 && width >= 1 && width <= 64);
  const size_t n = offsets.size() - 1;
  require(offsets.data()[n] <= data.size());
  for (size_t i = 0; i < n; ++i) require(offsets.data()[i] <= offsets.data()[i + 1]);
  auto out = make<u8>({n, width});
  {
    const nb::gil_scoped_release unlocked;
    in_parts(n, hash_grain, [&](size_t i, size_t end) {
      kernels().sha512_each(raw(prefix), prefix.size(), data.data(), offsets.data() + i, raw(suffix), suffix.size(),
                            out.data + width * i, width, end - i);
      return true;
    });
  }
  return out.array;
}

}  // namespace

void define_crypto(nb::module_& m) {
  define(m, "curve_multiply", curve_multiply, strict("points"), "scalar"_a);
  define(m, "curve_multiply_each", curve_multiply_each, strict("points"), strict("scalars"));
  define(m, "curve_unmap", curve_unmap, strict("points"), strict("choices"));
  define(m, "okvs_encode", okvs_encode, strict("keys"), strict("values"), strict("fill"), nb::kw_only(), "seed"_a);
  define(m, "okvs_decode", okvs_decode, strict("keys"), strict("table"), nb::kw_only(), "seed"_a);
  define(m, "field_multiply", field_multiply, strict("x"), "factor"_a);
  define(m, "expand_convolute", expand_convolute, strict("x"), "m"_a, nb::kw_only(), "seed"_a);
  define(m, "curve_map", curve_map, strict("uniform"));
  define(m, "match_rows", match_rows, strict("needles"), strict("haystack"), nb::kw_only(), "seed"_a);
  define(m, "sha512_each", sha512_each, strict("data"), strict("offsets"), nb::kw_only(), "width"_a,
         nb::arg("prefix") = nb::bytes("", 0), nb::arg("suffix") = nb::bytes("", 0));
}

}  // namespace jali
