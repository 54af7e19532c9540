# SPDX-License-Identifier: Apache-2.0
# The C++ module, when it was built: names of `jali.kernels.reference`, and the choice of an instruction set.

from jali.kernels.reference import (
    add_prg as add_prg,
)
from jali.kernels.reference import (
    bit_planes as bit_planes,
)
from jali.kernels.reference import (
    fixed_decode as fixed_decode,
)
from jali.kernels.reference import (
    fixed_encode as fixed_encode,
)
from jali.kernels.reference import (
    from_bit_planes as from_bit_planes,
)
from jali.kernels.reference import (
    masked_and as masked_and,
)
from jali.kernels.reference import (
    masked_product as masked_product,
)
from jali.kernels.reference import (
    masked_truncate as masked_truncate,
)
from jali.kernels.reference import (
    matmul as matmul,
)
from jali.kernels.reference import (
    pack_bits as pack_bits,
)
from jali.kernels.reference import (
    prg_words as prg_words,
)
from jali.kernels.reference import (
    replicated_and as replicated_and,
)
from jali.kernels.reference import (
    replicated_product as replicated_product,
)
from jali.kernels.reference import (
    sub_prg as sub_prg,
)
from jali.kernels.reference import (
    unpack_bits as unpack_bits,
)
from jali.kernels.reference import (
    xor_prg as xor_prg,
)

def levels() -> list[str]: ...
def level() -> str: ...
def set_level(name: str) -> None: ...
def features() -> list[str]: ...
