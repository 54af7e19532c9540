// SPDX-License-Identifier: Apache-2.0
// AES-128 in counter mode, fused with what is done with the key stream; included once for each vector width.
//
// Block i of the stream is AES(nonce || i), both little-endian words, so a vector of blocks is a vector of words
// and the combination with x needs no byte shuffles. Eight vectors are in flight to hide the latency of the rounds.
// A stream begins at a multiple of `first_multiple` blocks; the words before `start` are dropped.
#pragma once

#include <cstring>

#include "kernels.h"

namespace jali {
namespace {

constexpr int in_flight = 8;

template <class Lanes>
struct Stream {
  using Vector = typename Lanes::Vector;
  static constexpr size_t lane_words = 2 * Lanes::blocks;
  static constexpr size_t chunk = in_flight * lane_words;
  static constexpr u64 first_multiple = 1;

  Vector keys[11];
  Vector counter;

  Stream(const AesKeys& schedule, u64 nonce, u64 block) {
    for (int r = 0; r < 11; ++r) keys[r] = Lanes::key(schedule.round[r]);
    counter = Lanes::counters(nonce, block);
  }

  inline __attribute__((always_inline)) void next(Vector state[in_flight]) {
    const Vector step = Lanes::step();
    for (int i = 0; i < in_flight; ++i) {
      state[i] = Lanes::exclusive_or(counter, keys[0]);
      counter = Lanes::add(counter, step);
    }
    for (int r = 1; r < 10; ++r) {
      for (int i = 0; i < in_flight; ++i) state[i] = Lanes::round(state[i], keys[r]);
    }
    for (int i = 0; i < in_flight; ++i) state[i] = Lanes::last_round(state[i], keys[10]);
  }
};

template <Mask mask>
u64 combine(const u64* x, size_t i, u64 r) {
  if constexpr (mask == Mask::add) return x[i] + r;
  if constexpr (mask == Mask::sub) return x[i] - r;
  if constexpr (mask == Mask::exclusive_or) return x[i] ^ r;
  return r;
}

template <class Lanes, Mask mask>
void run(const AesKeys& schedule, u64 nonce, u64 start, const u64* x, u64* out, size_t n) {
  using S = Stream<Lanes>;
  constexpr u64 first_words = 2 * S::first_multiple;
  S stream(schedule, nonce, start / first_words * S::first_multiple);
  typename Lanes::Vector state[in_flight];
  size_t done = 0;
  const auto part = [&](size_t skip) {  // what does not fill a chunk goes through a buffer
    alignas(64) u64 buffer[S::chunk];
    stream.next(state);
    for (int i = 0; i < in_flight; ++i) Lanes::store(buffer + i * S::lane_words, state[i]);
    for (size_t i = skip; i < S::chunk && done < n; ++i, ++done) out[done] = combine<mask>(x, done, buffer[i]);
    std::memset(buffer, 0, sizeof buffer);
    __asm__ volatile("" : : "r"(buffer) : "memory");  // keeps the wiping
  };
  if (start % first_words != 0 && n > 0) part(start % first_words);
  for (; n - done >= S::chunk; done += S::chunk) {
    stream.next(state);
    for (int i = 0; i < in_flight; ++i) {
      const size_t at = done + i * S::lane_words;
      auto value = state[i];
      if constexpr (mask == Mask::add) value = Lanes::add(Lanes::load(x + at), value);
      if constexpr (mask == Mask::sub) value = Lanes::sub(Lanes::load(x + at), value);
      if constexpr (mask == Mask::exclusive_or) value = Lanes::exclusive_or(Lanes::load(x + at), value);
      Lanes::store(out + at, value);
    }
  }
  while (done < n) part(0);
}

template <class Lanes>
void prg(const AesKeys& keys, u64 nonce, u64 start, Mask mask, const u64* x, u64* out, size_t n) {
  switch (mask) {
    case Mask::set: return run<Lanes, Mask::set>(keys, nonce, start, x, out, n);
    case Mask::add: return run<Lanes, Mask::add>(keys, nonce, start, x, out, n);
    case Mask::sub: return run<Lanes, Mask::sub>(keys, nonce, start, x, out, n);
    case Mask::exclusive_or: return run<Lanes, Mask::exclusive_or>(keys, nonce, start, x, out, n);
  }
}

}  // namespace
}  // namespace jali
