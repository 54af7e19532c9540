// SPDX-License-Identifier: Apache-2.0
// The rows of the table that are plain loops, compiled for the level of the including file.
#pragma once

#include "bits.h"
#include "code.h"
#include "field.h"
#include "fixed.h"
#include "levels.h"
#include "lookup.h"
#include "match.h"
#include "matmul.h"
#include "okvs.h"
#include "ring.h"
#include "sha512.h"
#include "trees.h"

namespace jali {
namespace {

template <class Block>
Kernels compiled_for(const char* level) {
  Kernels k{};
  k.level = level;
  k.masked_product = masked_product;
  k.masked_and = masked_and;
  k.masked_truncate = masked_truncate;
  k.replicated_product = replicated_product;
  k.replicated_and = replicated_and;
  k.matmul = matmul<Block>;
  k.fixed_encode = fixed_encode;
  k.fixed_decode = fixed_decode;
  k.bit_planes = bit_planes;
  k.from_bit_planes = from_bit_planes;
  k.borrow_leaves = tree_leaves<true>;
  k.equal_leaves = tree_leaves<false>;
  k.borrow_nodes = borrow_nodes;
  k.equal_nodes = equal_nodes;
  k.pieces_dealt = pieces_dealt;
  k.pieces_combined = pieces_combined;
  k.octaves_dealt = octaves_dealt;
  k.octaves_combined = octaves_combined;
  k.sha512_each = sha512_each;
  k.match_rows = match_rows;
  k.okvs_encode = okvs_encode;
  k.okvs_decode = okvs_decode;
  k.field_multiply = field_multiply;
  k.expand_convolute = expand_convolute;
#if defined(__AVX2__)
  k.pack_bits = pack_bits;
  k.unpack_bits = unpack_bits;
#endif
  return k;
}

}  // namespace
}  // namespace jali
