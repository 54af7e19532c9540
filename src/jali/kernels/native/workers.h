// SPDX-License-Identifier: Apache-2.0
// Worker threads for one large call: its range is cut into equal parts, and the caller takes one of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace jali {

// How many threads a call may use, itself included.
inline std::atomic<unsigned>& thread_limit() {
  static std::atomic<unsigned> limit{1};
  return limit;
}

// work(begin, end) for parts of 0..n of at least `grain`; true if all of them say so. Starting a thread takes some
// 30 microseconds, so a grain should be a millisecond of work.
template <class Work>
bool in_parts(std::size_t n, std::size_t grain, const Work& work) {
  const std::size_t most = thread_limit().load(std::memory_order_relaxed);
  const std::size_t parts = std::max<std::size_t>(1, std::min(most, grain == 0 ? most : n / grain));
  std::atomic<bool> good{true};
  const auto part = [&](std::size_t i) {
    if (!work(n * i / parts, n * (i + 1) / parts)) good.store(false);
  };
  std::vector<std::thread> workers;
  workers.reserve(parts - 1);
  std::size_t started = 1;
  try {
    for (; started < parts; ++started) workers.emplace_back(part, started);
  } catch (const std::system_error&) {  // no more threads: the caller does the rest
  }
  part(0);
  for (std::size_t i = started; i < parts; ++i) part(i);
  for (std::thread& worker : workers) worker.join();
  return good.load();
}

}  // namespace jali
