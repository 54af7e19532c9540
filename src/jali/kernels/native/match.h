// SPDX-License-Identifier: Apache-2.0
// Which rows of 16 bytes stand among others: a hash table with open addressing. Its hash is keyed, so that who chose
// the rows does not choose the collisions.
#pragma once

#include <cstring>
#include <memory>
#include <new>

#include "kernels.h"

namespace jali {
namespace {

constexpr size_t match_bytes = 16;
constexpr size_t prefetched = 16;  // rows whose places are fetched together
constexpr u32 nowhere = ~u32{0};

class RowTable {
 public:
  RowTable(const u8* rows, size_t count, u64 seed) : rows_(rows), seed_(seed) {
    while ((size_t{1} << bits_) < 2 * count) ++bits_;
    places_.reset(new (std::nothrow) u32[size_t{1} << bits_]);
    if (places_ != nullptr) std::memset(places_.get(), 0xff, sizeof(u32) << bits_);
  }

  bool ready() const { return places_ != nullptr; }

  // Visits the rows in order with the place of each: that of an equal row, or of the free one where it belongs.
  template <class Visit>
  void find(const u8* rows, size_t count, const Visit& visit) const {
    for (size_t first = 0; first < count; first += prefetched) {
      const size_t some = count - first < prefetched ? count - first : prefetched;
      size_t at[prefetched];
      for (size_t i = 0; i < some; ++i) {
        at[i] = start(rows + match_bytes * (first + i));
        __builtin_prefetch(&places_[at[i]]);
      }
      for (size_t i = 0; i < some; ++i) {
        const u8* row = rows + match_bytes * (first + i);
        u32* place = &places_[at[i]];
        while (*place != nowhere && std::memcmp(rows_ + match_bytes * *place, row, match_bytes) != 0) {
          at[i] = (at[i] + 1) & ((size_t{1} << bits_) - 1);
          place = &places_[at[i]];
        }
        visit(first + i, *place);
      }
    }
  }

 private:
  size_t start(const u8* row) const {
    u64 words[2];
    std::memcpy(words, row, sizeof words);
    const unsigned __int128 product =
        static_cast<unsigned __int128>(words[0] ^ seed_) * (words[1] ^ (seed_ * 0x9e3779b97f4a7c15 | 1));
    const u64 mixed = (static_cast<u64>(product) ^ static_cast<u64>(product >> 64)) * 0xbf58476d1ce4e5b9;
    return static_cast<size_t>(mixed >> (64 - bits_));
  }

  const u8* rows_;
  u64 seed_;
  unsigned bits_ = 4;
  std::unique_ptr<u32[]> places_;
};

// positions[i] = the first j with needle i = row j of the haystack, or -1; `repeated` counts rows that came before.
// False if memory is lacking.
inline bool match_rows(const u8* needles, size_t n, const u8* haystack, size_t m, u64 seed, std::int64_t* positions,
                       u64* repeated) {
  const RowTable table(haystack, m, seed);
  if (!table.ready()) return false;
  *repeated = 0;
  table.find(haystack, m, [repeated](size_t i, u32& place) {
    if (place == nowhere) {
      place = static_cast<u32>(i);
    } else {
      ++*repeated;
    }
  });
  table.find(needles, n, [positions](size_t i, u32& place) {
    positions[i] = place == nowhere ? -1 : static_cast<std::int64_t>(place);
  });
  return true;
}

}  // namespace
}  // namespace jali
