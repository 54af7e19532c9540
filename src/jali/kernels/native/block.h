// SPDX-License-Identifier: Apache-2.0
// Memory of results. Fresh pages cost as much as a pass over them, so a few large blocks are kept for the next result.
#pragma once

#include <cstddef>

namespace jali {

class Block {
 public:
  // Throws std::bad_alloc.
  explicit Block(std::size_t bytes);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();

  void* data() const { return data_; }

 private:
  void* data_;
  std::size_t capacity_;
};

// Frees the blocks that are kept, and lets the system have what nobody uses.
void give_memory_back();

}  // namespace jali
