// SPDX-License-Identifier: Apache-2.0
#include "block.h"

#include <cstdlib>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace jali {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t page = 4096;
constexpr std::size_t large = std::size_t{1} << 18;
constexpr std::size_t huge = std::size_t{1} << 22;          // from here on, ask for huge pages
constexpr std::size_t kept_bytes = std::size_t{1} << 27;  // at most this much is kept
constexpr int kept_blocks = 16;

struct Kept {
  void* data = nullptr;
  std::size_t capacity = 0;
};

std::mutex guard;
Kept kept[kept_blocks];
std::size_t kept_total = 0;
int next = 0;  // the slot that was filled longest ago

// A kept block of exactly this capacity, or null.
void* take(std::size_t capacity) {
  const std::lock_guard<std::mutex> lock(guard);
  for (Kept& slot : kept) {
    if (slot.capacity == capacity) {
      void* data = slot.data;
      slot = {};
      kept_total -= capacity;
      return data;
    }
  }
  return nullptr;
}

// Makes room by freeing the blocks that were kept longest.
bool keep(void* data, std::size_t capacity) {
  if (capacity > kept_bytes) return false;
  const std::lock_guard<std::mutex> lock(guard);
  while (kept[next].data != nullptr || kept_total + capacity > kept_bytes) {
    std::free(kept[next].data);
    kept_total -= kept[next].capacity;
    kept[next] = {};
    if (kept_total + capacity <= kept_bytes) break;
    next = (next + 1) % kept_blocks;
  }
  kept[next] = {data, capacity};
  kept_total += capacity;
  next = (next + 1) % kept_blocks;
  return true;
}

void* fresh(std::size_t capacity, std::size_t alignment) {
  void* data = std::aligned_alloc(alignment, capacity);
  if (data == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (capacity >= huge) madvise(data, capacity, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace

void give_memory_back() {
  {
    const std::lock_guard<std::mutex> lock(guard);
    for (Kept& slot : kept) {
      std::free(slot.data);
      slot = {};
    }
    kept_total = 0;
  }
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

Block::Block(std::size_t bytes) {
  const std::size_t alignment = bytes < large ? line : page;
  if (bytes > ~std::size_t{0} - page) throw std::bad_alloc();
  capacity_ = (bytes / alignment + 1) * alignment;
  data_ = bytes < large ? nullptr : take(capacity_);
  if (data_ == nullptr) data_ = fresh(capacity_, alignment);
}

Block::~Block() {
  if (capacity_ < large || !keep(data_, capacity_)) std::free(data_);
}

}  // namespace jali
