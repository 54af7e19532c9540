# SPDX-License-Identifier: Apache-2.0
"""Fast local arithmetic on ring elements, packed bits, key streams, points of a curve and hashes.

Every kernel is specified by its numpy twin in `jali.kernels.reference` and runs in C++ where that was built. The
C++ releases the GIL and chooses its instruction set at import; see `report()`.
"""

from __future__ import annotations

from jali.kernels import reference
from jali.kernels.dispatch import give_memory_back, pick, report

__all__ = [
    "add_prg",
    "bit_planes",
    "borrow_leaves",
    "borrow_nodes",
    "curve_map",
    "curve_multiply",
    "curve_multiply_each",
    "curve_unmap",
    "equal_leaves",
    "equal_nodes",
    "expand_convolute",
    "field_multiply",
    "fixed_decode",
    "fixed_encode",
    "from_bit_planes",
    "gather",
    "give_memory_back",
    "masked_and",
    "masked_product",
    "masked_truncate",
    "match_rows",
    "matmul",
    "octaves_combined",
    "octaves_dealt",
    "okvs_decode",
    "okvs_encode",
    "pack_bits",
    "permute",
    "pieces_combined",
    "pieces_dealt",
    "prg_words",
    "replicated_and",
    "replicated_product",
    "report",
    "sha512_each",
    "sub_prg",
    "unpack_bits",
    "xor_prg",
]

add_prg = pick(reference.add_prg)
bit_planes = pick(reference.bit_planes)
borrow_leaves = pick(reference.borrow_leaves)
borrow_nodes = pick(reference.borrow_nodes)
curve_map = pick(reference.curve_map)
curve_multiply = pick(reference.curve_multiply)
curve_multiply_each = pick(reference.curve_multiply_each)
curve_unmap = pick(reference.curve_unmap)
equal_leaves = pick(reference.equal_leaves)
equal_nodes = pick(reference.equal_nodes)
expand_convolute = pick(reference.expand_convolute)
field_multiply = pick(reference.field_multiply)
fixed_decode = pick(reference.fixed_decode)
fixed_encode = pick(reference.fixed_encode)
from_bit_planes = pick(reference.from_bit_planes)
gather = pick(reference.gather)
masked_and = pick(reference.masked_and)
masked_product = pick(reference.masked_product)
masked_truncate = pick(reference.masked_truncate)
match_rows = pick(reference.match_rows)
matmul = pick(reference.matmul)
octaves_combined = pick(reference.octaves_combined)
octaves_dealt = pick(reference.octaves_dealt)
okvs_decode = pick(reference.okvs_decode)
okvs_encode = pick(reference.okvs_encode)
pack_bits = pick(reference.pack_bits)
permute = pick(reference.permute)
pieces_combined = pick(reference.pieces_combined)
pieces_dealt = pick(reference.pieces_dealt)
prg_words = pick(reference.prg_words)
replicated_and = pick(reference.replicated_and)
replicated_product = pick(reference.replicated_product)
sha512_each = pick(reference.sha512_each)
sub_prg = pick(reference.sub_prg)
unpack_bits = pick(reference.unpack_bits)
xor_prg = pick(reference.xor_prg)
