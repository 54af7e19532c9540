// SPDX-License-Identifier: Apache-2.0
// Oblivious key-value store with random bands (Bienstock, Patel, Seo, Yeo 2023): a table in which the sum of the places
// that a key's band picks is the key's value.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstring>
#include <new>
#include <vector>

#include "kernels.h"

namespace jali {
namespace {

constexpr size_t band = 256;
constexpr size_t band_words = band / 64;
constexpr size_t value_bytes = 16;
constexpr size_t ahead = 8;  // keys whose places in memory are fetched

struct Value {
  u64 low, high;
};

inline Value load_value(const u8* bytes) {
  Value v;
  std::memcpy(&v, bytes, sizeof v);
  return v;
}

struct Band {
  u64 words[band_words];
};

inline u64 mixed(u64 x) {  // Stafford's variant 13 of the finaliser of MurmurHash3
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// Where a key's band starts among `places`, and its bits. Keys are uniform digests.
inline size_t band_of(const u8* key, u64 seed, size_t places, Band& bits) {
  const Value digest = load_value(key);
  const u64 a = mixed(digest.low ^ seed);
  const u64 b = mixed(digest.high + a);
  for (u64 k = 0; k < band_words; ++k) bits.words[k] = mixed(b + (k + 1) * (a | 1));
  return static_cast<size_t>(static_cast<unsigned __int128>(mixed(a ^ b)) * places >> 64);
}

inline bool is_zero(const Band& row) { return (row.words[0] | row.words[1] | row.words[2] | row.words[3]) == 0; }

// Drops the zeros below the first bit; the row is not zero.
inline size_t normalised(Band& row) {
  size_t shift = 0;
  while (row.words[0] == 0) {
    for (size_t k = 0; k + 1 < band_words; ++k) row.words[k] = row.words[k + 1];
    row.words[band_words - 1] = 0;
    shift += 64;
  }
  const unsigned bits = static_cast<unsigned>(__builtin_ctzll(row.words[0]));
  if (bits != 0) {
    for (size_t k = 0; k < band_words; ++k) {
      const u64 above = k + 1 < band_words ? row.words[k + 1] << (64 - bits) : 0;
      row.words[k] = row.words[k] >> bits | above;
    }
  }
  return shift + bits;
}

// The sum of the places from `table` on that the band picks.
inline Value picked(const u8* table, const Band& bits) {
#if defined(__AVX512F__)
  __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (size_t half = 0; half < 2 * band_words; ++half) {
    const u64 some = bits.words[half / 2] >> 32 * (half % 2) & 0xffffffff;
    u64 twice = _pdep_u64(some, 0x5555555555555555);
    twice |= twice << 1;  // both words of each place
    for (size_t i = 0; i < 8; ++i) {
      const __m512i places = _mm512_loadu_si512(table + value_bytes * (32 * half + 4 * i));
      sums[i % 2] = _mm512_mask_xor_epi64(sums[i % 2], static_cast<__mmask8>(twice >> 8 * i), sums[i % 2], places);
    }
  }
  const __m512i sum = _mm512_xor_si512(sums[0], sums[1]);
  const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
  const __m128i one = _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  Value result;
  std::memcpy(&result, &one, sizeof result);
  return result;
#else
  Value sum{0, 0};
  for (size_t k = 0; k < band_words; ++k) {
    for (unsigned bit = 0; bit < 64; ++bit) {
      const u64 mask = u64{0} - (bits.words[k] >> bit & 1);
      const Value place = load_value(table + value_bytes * (64 * k + bit));
      sum.low ^= place.low & mask;
      sum.high ^= place.high & mask;
    }
  }
  return sum;
#endif
}

// Keys in the order of where their bands start, equal ones in their own order: by counting, 11 bits at a time.
inline std::vector<u32> by_start(const u8* keys, size_t n, u64 seed, size_t places) {
  struct Entry {
    u32 start, key;
  };
  std::vector<Entry> entries(n);
  std::vector<Entry> sorted(n);
  Band bits;
  for (size_t i = 0; i < n; ++i) {
    entries[i] = {static_cast<u32>(band_of(keys + value_bytes * i, seed, places, bits)), static_cast<u32>(i)};
  }
  for (unsigned shift = 0; shift < 32 && places >> shift != 0; shift += 11) {
    std::vector<size_t> counts(2049, 0);
    for (const Entry& e : entries) ++counts[(e.start >> shift & 2047) + 1];
    for (size_t i = 1; i < counts.size(); ++i) counts[i] += counts[i - 1];
    for (const Entry& e : entries) sorted[counts[e.start >> shift & 2047]++] = e;
    entries.swap(sorted);
  }
  std::vector<u32> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = entries[i].key;
  return order;
}

// Table (m, 16), which holds uniform values at first: the places that are not determined keep theirs. The number of keys
// that found no place; if there are any, the table is worth nothing.
inline size_t encoded(const u8* keys, const u8* values, size_t n, u8* table, size_t m, u64 seed) {
  const size_t places = m - band + 1;
  std::vector<Band> rows(m, Band{});
  std::vector<Value> sums(m, Value{0, 0});
  size_t failed = 0;
  const std::vector<u32> order = by_start(keys, n, seed, places);
  for (size_t i = 0; i < n; ++i) {
    const u32 key = order[i];
    if (i + ahead < n) {
      __builtin_prefetch(keys + value_bytes * order[i + ahead]);
      __builtin_prefetch(values + value_bytes * order[i + ahead]);
    }
    Band row;
    size_t at = band_of(keys + value_bytes * key, seed, places, row);
    Value sum = load_value(values + value_bytes * key);
    bool placed = false;
    while (!is_zero(row)) {
      at += normalised(row);
      if (is_zero(rows[at])) {
        rows[at] = row;
        sums[at] = sum;
        placed = true;
        break;
      }
      for (size_t k = 0; k < band_words; ++k) row.words[k] ^= rows[at].words[k];
      sum.low ^= sums[at].low;
      sum.high ^= sums[at].high;
    }
    if (!placed) ++failed;
  }
  for (size_t at = m; at-- > 0;) {
    if (is_zero(rows[at])) continue;
    Band others = rows[at];
    others.words[0] &= ~u64{1};
    Value value = sums[at];
    if (at + band <= m) {
      const Value rest = picked(table + value_bytes * at, others);
      value.low ^= rest.low;
      value.high ^= rest.high;
    } else {
      for (size_t i = 1; at + i < m; ++i) {
        const u64 mask = u64{0} - (others.words[i / 64] >> i % 64 & 1);
        const Value place = load_value(table + value_bytes * (at + i));
        value.low ^= place.low & mask;
        value.high ^= place.high & mask;
      }
    }
    std::memcpy(table + value_bytes * at, &value, sizeof value);
  }
  return failed;
}

// Keys in the order of their places in the table, so that it passes through the cache once.
inline void decoded(const u8* keys, size_t n, const u8* table, size_t m, u64 seed, u8* out) {
  const std::vector<u32> order = by_start(keys, n, seed, m - band + 1);
  for (size_t i = 0; i < n; ++i) {
    const u32 key = order[i];
    if (i + ahead < n) {
      __builtin_prefetch(keys + value_bytes * order[i + ahead]);
      __builtin_prefetch(out + value_bytes * order[i + ahead], 1);
    }
    Band bits;
    const size_t at = band_of(keys + value_bytes * key, seed, m - band + 1, bits);
    const Value value = picked(table + value_bytes * at, bits);
    std::memcpy(out + value_bytes * key, &value, sizeof value);
  }
}

// -- without exceptions: false if memory is lacking -------------------------------------------------------------------
template <class Work>
bool with_memory(const Work& work) {
  try {
    work();
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

inline bool okvs_encode(const u8* keys, const u8* values, size_t n, u8* table, size_t m, u64 seed, size_t* failed) {
  return with_memory([&] { *failed = encoded(keys, values, n, table, m, seed); });
}

inline bool okvs_decode(const u8* keys, size_t n, const u8* table, size_t m, u64 seed, u8* out) {
  return with_memory([&] { decoded(keys, n, table, m, seed, out); });
}

}  // namespace
}  // namespace jali
