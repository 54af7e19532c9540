# SPDX-License-Identifier: Apache-2.0
"""The protocol without cryptography: one role computes in clear, in the same ring and with the same scales.

It is the reference of every other protocol (its truncation is the exact floor, theirs may be one unit higher) and
the one that fails loudly: a product or a truncation whose number does not fit, or an argument outside a function's
domain, is an error here and garbage elsewhere. `jali.mpc.engine.dry_run` runs programs under it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jali import kernels
from jali.core.errors import FixedPointRangeError
from jali.core.threat import Threat
from jali.crypto.randomness import random_words

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.crypto.prg import Prg
    from jali.mpc.rounds import Round
    from jali.transport.channel import Stream

__all__ = ["PlainProtocol"]

_HEADROOM = 2.0**62

Words = "NDArray[np.uint64]"


class _Clear:
    """An array in clear that shows nothing of itself but its shape, as the shares of the other protocols do."""

    __slots__ = ("data", "shape")

    def __init__(self, data: NDArray[Any]) -> None:
        """Hold `data`: uint64 words, or bool bits."""
        self.data = data
        self.shape: tuple[int, ...] = data.shape

    def __repr__(self) -> str:
        """The shape only."""
        return f"<plain value of shape {self.shape}>"


class PlainProtocol:
    """The one role of the reference protocol; see `jali.mpc.contract.MpcProtocol` for the operations.

    Security: none; everything is in clear at one party.
    Cost: no rounds, no bytes.
    Raises: FixedPointRangeError if an intermediate number would not fit the ring.
    """

    name: ClassVar[str] = "plain"
    roles: ClassVar[tuple[str, ...]] = ("reference",)
    threat: ClassVar[Threat] = Threat(
        parties=1,
        corrupt=0,
        adversary="semi-honest",
        abort="none",
        assumptions=("the one party sees everything",),
        paper="none",
    )

    def __init__(
        self,
        role: int = 0,
        *,
        prgs: Mapping[int, Prg] | None = None,
        streams: Mapping[int, Stream] | None = None,
        checked: bool = True,
    ) -> None:
        """A fresh instance; `checked=False` lets numbers wrap around, as they do in the other protocols."""
        del prgs, streams  # nothing is masked and nobody listens
        self.role = role
        self.checked = checked

    def finish(self) -> None:
        """Nothing is held back."""

    @property
    def unchecked(self) -> PlainProtocol:
        """The same without range checks, for intermediate numbers that are multiplied by zero when they are large."""
        return PlainProtocol(checked=False)

    def check_domain(self, x: _Clear, *, low: int, high: int, what: str) -> None:
        """Refuse ring elements that, as signed numbers, lie outside [low, high)."""
        signed = x.data.view(np.int64)
        if self.checked and signed.size and (int(signed.min()) < low or int(signed.max()) >= high):
            outside = int(np.count_nonzero((signed < low) | (signed >= high)))
            raise FixedPointRangeError(
                f"{what}: {outside} of {signed.size} arguments lie outside its domain, where the result would be "
                "garbage under a secure protocol: clamp or rescale them first (jnp.clip)"
            )

    # -- in and out ---------------------------------------------------------------------------------------------
    def input(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, _Clear]:
        """The array itself."""
        yield from ()
        if value is None or value.shape != shape:
            found = "nothing" if value is None else f"shape {value.shape}"
            raise FixedPointRangeError(f"expected an input of shape {shape} from role {owner}, found {found}")
        return _Clear(np.array(value, order="C"))

    def reveal(self, x: _Clear | None, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """The array itself."""
        yield from ()
        return x.data.copy() if x is not None and 0 in to else None

    def reveal_bits(self, x: _Clear | None, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.bool_] | None]:
        """The bits themselves."""
        yield from ()
        return x.data.copy() if x is not None and 0 in to else None

    # -- linear, local ------------------------------------------------------------------------------------------
    def public(self, value: NDArray[np.uint64]) -> _Clear:
        """The array itself."""
        return _Clear(value)

    def linear(self, function: Callable[..., NDArray[np.uint64]], *shares: _Clear, shape: tuple[int, ...]) -> _Clear:
        """`function` of the arrays."""
        return _Clear(_shaped(function(*(share.data for share in shares)), shape))

    def add_public(self, x: _Clear, value: NDArray[np.uint64]) -> _Clear:
        """The sum."""
        return _Clear(np.asarray(np.add(x.data, value)).reshape(x.shape))

    # -- products -----------------------------------------------------------------------------------------------
    def mul(self, x: _Clear, y: _Clear, *, shift: int = 0) -> Generator[Round, Any, _Clear]:
        """The product, floored."""
        yield from ()
        if self.checked and x.data.size:
            a, b = _magnitude(x.data), _magnitude(y.data)
            if float(a.max()) * float(b.max()) >= _HEADROOM:
                self._check(a * b, "a product")
        return _Clear(_floor(np.asarray(np.multiply(x.data, y.data)), shift))

    def dot(self, x: _Clear, y: _Clear, *, shift: int = 0) -> Generator[Round, Any, _Clear]:
        """The matrix product, floored."""
        yield from ()
        if self.checked and x.data.size and y.data.size:
            a, b = _magnitude(x.data), _magnitude(y.data)
            if float(a.max()) * float(b.max()) * a.shape[-1] >= _HEADROOM:
                self._check(a @ b, "a matrix product")
        product = kernels.matmul(np.ascontiguousarray(x.data), np.ascontiguousarray(y.data))
        return _Clear(_floor(product, shift))

    def truncate(self, x: _Clear, bits: int) -> Generator[Round, Any, _Clear]:
        """floor(x / 2^bits)."""
        yield from ()
        if self.checked:
            self._check(_magnitude(x.data), "a number to truncate")
        return _Clear(_floor(x.data, bits))

    # -- bits ---------------------------------------------------------------------------------------------------
    def public_bits(self, value: NDArray[np.bool_]) -> _Clear:
        """The bits themselves."""
        return _Clear(value)

    def random_bits(self, shape: tuple[int, ...]) -> _Clear:
        """Bits of the operating system."""
        return _Clear(random_words(shape) >> np.uint64(63) != 0)

    def permute_bits(self, function: Callable[..., NDArray[np.bool_]], *bits: _Clear, shape: tuple[int, ...]) -> _Clear:
        """`function` of the bits."""
        return _Clear(_shaped(function(*(part.data for part in bits)), shape))

    def xor(self, a: _Clear, b: _Clear) -> _Clear:
        """Exclusive or."""
        return _Clear(np.asarray(np.bitwise_xor(a.data, b.data)))

    def invert(self, a: _Clear) -> _Clear:
        """Not."""
        return _Clear(np.asarray(np.logical_not(a.data)))

    def conjunction(self, a: _Clear, b: _Clear) -> Generator[Round, Any, _Clear]:
        """And."""
        yield from ()
        return _Clear(np.asarray(np.logical_and(a.data, b.data)))

    def sign(self, x: _Clear) -> Generator[Round, Any, _Clear]:
        """The most significant bits."""
        yield from ()
        return _Clear(np.asarray(x.data >> np.uint64(63), np.bool_))

    def is_zero(self, x: _Clear) -> Generator[Round, Any, _Clear]:
        """Whether the elements are 0."""
        yield from ()
        return _Clear(np.asarray(x.data == 0))

    def to_arithmetic(self, b: _Clear) -> Generator[Round, Any, _Clear]:
        """The bits as 0 and 1."""
        yield from ()
        return _Clear(np.asarray(b.data.astype(np.uint64)))

    def select(self, b: _Clear, x: _Clear) -> Generator[Round, Any, _Clear]:
        """x where b, else 0."""
        yield from ()
        return _Clear(np.asarray(np.where(b.data, x.data, np.uint64(0))))

    def _check(self, magnitude: NDArray[np.float64], what: str) -> None:
        if magnitude.size and float(magnitude.max()) >= _HEADROOM:
            raise FixedPointRangeError(
                f"{what} of shape {magnitude.shape} needs more than 62 bits: the inputs are too large for fixed point. "
                "Scale the columns (divide by the standard deviation), or use fewer fraction bits"
            )


def _shaped(result: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.asarray(result).reshape(shape)


def _magnitude(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(words.view(np.int64).astype(np.float64)))


def _floor(words: NDArray[np.uint64], shift: int) -> NDArray[np.uint64]:
    return np.asarray(np.right_shift(words.view(np.int64), shift)).view(np.uint64) if shift else words
