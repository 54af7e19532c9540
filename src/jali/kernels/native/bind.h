// SPDX-License-Identifier: Apache-2.0
// What the files of the Python module share: arrays in and out, and the way to a kernel's twin.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <atomic>
#include <cstring>
#include <initializer_list>
#include <new>
#include <string>
#include <vector>

#include "block.h"
#include "kernels.h"
#include "workers.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace jali {

// Defines the kernels on points, hashes and codes.
void define_crypto(nb::module_& m);

template <class T>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using Words = In<u64>;

inline std::atomic<const Kernels*> current{nullptr};

inline const Kernels& kernels() { return *current.load(std::memory_order_relaxed); }

[[noreturn]] inline void leave_to_twin() { throw nb::next_overload(); }

inline void require(bool plain) {
  if (!plain) leave_to_twin();
}

template <class T>
struct Result {
  T* data;
  nb::object array;
};

template <class T>
Result<T> make(size_t axes, const size_t* shape) {
  size_t size = sizeof(T);
  for (size_t i = 0; i < axes; ++i) {
    if (__builtin_mul_overflow(size, shape[i], &size)) throw std::bad_alloc();
  }
  auto* block = new Block(size);
  const nb::capsule owner(block, [](void* p) noexcept { delete static_cast<Block*>(p); });
  nb::ndarray<nb::numpy, T> array(block->data(), axes, shape, owner);
  return {static_cast<T*>(block->data()), nb::cast(array, nb::rv_policy::reference)};
}

template <class T>
Result<T> make(std::initializer_list<size_t> shape) {
  return make<T>(shape.size(), shape.begin());
}

template <class T>
std::vector<size_t> shape_of(const In<T>& x) {
  std::vector<size_t> shape(x.ndim());
  for (size_t i = 0; i < x.ndim(); ++i) shape[i] = x.shape(i);
  return shape;
}

inline bool same_shape(const Words& x, const Words& y) {
  if (x.ndim() != y.ndim()) return false;
  for (size_t i = 0; i < x.ndim(); ++i) {
    if (x.shape(i) != y.shape(i)) return false;
  }
  return true;
}

inline Result<u64> result_like(const Words& x, nb::handle out) {
  if (out.is_none()) {
    const auto shape = shape_of(x);
    return make<u64>(shape.size(), shape.data());
  }
  nb::ndarray<u64, nb::c_contig, nb::device::cpu> array;
  require(nb::try_cast(out, array, false));
  require(same_shape(x, Words(array)));
  return {array.data(), nb::borrow(out)};
}

template <class... Others>
void require_same_shape(const Words& x, const Others&... others) {
  require((same_shape(x, others) && ...));
}

class ExpandedKey {
 public:
  explicit ExpandedKey(const nb::bytes& key) {
    require(key.size() == 16 && kernels().prg != nullptr);
    kernels().expand(reinterpret_cast<const u8*>(key.data()), keys_);
  }
  ExpandedKey(const ExpandedKey&) = delete;
  ExpandedKey& operator=(const ExpandedKey&) = delete;
  ~ExpandedKey() {
    std::memset(&keys_, 0, sizeof keys_);
    __asm__ volatile("" : : "r"(&keys_) : "memory");  // keeps the wiping
  }
  const AesKeys& operator*() const { return keys_; }

 private:
  AesKeys keys_;
};

// Elements that take about a millisecond.
constexpr size_t elementwise_grain = size_t{1} << 20;

inline bool is_strided(nb::handle x) { return nb::hasattr(x, "flags") && !nb::cast<bool>(x.attr("flags").attr("c_contiguous")); }

// Everything that a kernel does not take as it is.
inline nb::object other_case(const char* name, const nb::args& args, const nb::kwargs& named) {
  const nb::object contiguous = nb::module_::import_("numpy").attr("ascontiguousarray");
  nb::list plain;
  bool copied = false;
  for (const nb::handle x : args) {
    const bool copy = is_strided(x);
    copied = copied || copy;
    plain.append(copy ? contiguous(x) : nb::borrow(x));
  }
  nb::dict options;
  for (const auto& [key, x] : named) {
    const bool copy = is_strided(x) && nb::cast<std::string>(key) != "out";  // which is written, not read
    copied = copied || copy;
    options[key] = copy ? contiguous(x) : nb::borrow(x);
  }
  const char* module = copied ? "jali.kernels._native" : "jali.kernels.reference";
  return nb::module_::import_(module).attr(name)(*nb::tuple(plain), **options);
}

// Defines the kernel, and behind it the overload for the other cases.
template <class Function, class... Extra>
void define(nb::module_& m, const char* name, Function function, const Extra&... extra) {
  m.def(name, function, extra...);
  m.def(name, [name](const nb::args& args, const nb::kwargs& named) { return other_case(name, args, named); });
}

inline auto strict(const char* name) { return nb::arg(name).noconvert(); }

}  // namespace jali
