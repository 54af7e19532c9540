# SPDX-License-Identifier: Apache-2.0
# The C++ module, where it was built: the names of `jali.kernels.reference`, and the choice of an instruction set.

from jali.kernels import reference

add_prg = reference.add_prg
bit_planes = reference.bit_planes
borrow_leaves = reference.borrow_leaves
borrow_nodes = reference.borrow_nodes
curve_map = reference.curve_map
curve_multiply = reference.curve_multiply
curve_multiply_each = reference.curve_multiply_each
curve_unmap = reference.curve_unmap
equal_leaves = reference.equal_leaves
equal_nodes = reference.equal_nodes
expand_convolute = reference.expand_convolute
field_multiply = reference.field_multiply
fixed_decode = reference.fixed_decode
fixed_encode = reference.fixed_encode
from_bit_planes = reference.from_bit_planes
masked_and = reference.masked_and
masked_product = reference.masked_product
masked_truncate = reference.masked_truncate
match_rows = reference.match_rows
matmul = reference.matmul
octaves_combined = reference.octaves_combined
octaves_dealt = reference.octaves_dealt
okvs_decode = reference.okvs_decode
okvs_encode = reference.okvs_encode
pack_bits = reference.pack_bits
pieces_combined = reference.pieces_combined
pieces_dealt = reference.pieces_dealt
prg_words = reference.prg_words
replicated_and = reference.replicated_and
replicated_product = reference.replicated_product
sha512_each = reference.sha512_each
sub_prg = reference.sub_prg
unpack_bits = reference.unpack_bits
xor_prg = reference.xor_prg

def features() -> list[str]: ...
def give_memory_back() -> None: ...
def level() -> str: ...
def levels() -> list[str]: ...
def set_level(name: str) -> None: ...
def set_threads(count: int) -> None: ...
def threads() -> int: ...
