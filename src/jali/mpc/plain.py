# SPDX-License-Identifier: Apache-2.0
"""The protocol without cryptography: one role computes in clear, in the same ring and with the same scales.

It is the reference of every other protocol (its truncation is the exact floor, theirs may be one unit higher) and
the one that fails loudly: a product or a truncation whose number does not fit, or an argument outside a function's
domain, is an error here, with the user's line, and garbage elsewhere. `jali.mpc.dry_run` runs programs under it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jali import kernels
from jali.core.errors import FixedPointRangeError, ProtocolUseError
from jali.core.threat import Threat
from jali.crypto.prg import Prg
from jali.crypto.randomness import random_words
from jali.mpc.functions.tables import clear
from jali.mpc.order.permutations import KEY_WORDS, Permutation
from jali.mpc.rounds import Round
from jali.mpc.wide import dot, multiply, plus_public, shifted, signed
from jali.mpc.words import given, layout, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.threat import Dealt
    from jali.mpc.contract import Outline
    from jali.mpc.functions.tables import Table
    from jali.transport.channel import Stream

__all__ = ["PlainProtocol"]

GUEST = 1

_HEADROOM = 2.0**62
_WORD = 64
_ORDER_KEY = b"jali/plain/order"

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
    Cost: no rounds, no bytes, but for what is revealed to somebody else.
    Raises: FixedPointRangeError if an intermediate number would not fit the ring.
    """

    name: ClassVar[str] = "plain"
    roles: ClassVar[tuple[str, ...]] = ("reference",)
    holders: ClassVar[tuple[int, ...]] = (0,)
    owners: ClassVar[tuple[int, ...]] = (0,)
    dealer: ClassVar[int | None] = None
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
        watch: Callable[[str, str, float], None] | None = None,
    ) -> None:
        """A fresh instance; `checked=False` lets numbers wrap around, as they do in the other protocols.

        `watch(what, source, magnitude)` is told how large the numbers of the program get that are truncated.
        """
        del prgs, streams  # nothing is masked and nobody listens
        self.role = role
        self.checked = checked
        self.watch = watch
        self._kind = self._source = ""

    def locate(self, kind: str, source: str) -> None:
        """The program comes to an operation that the user wrote there."""
        self._kind, self._source = kind, source

    @classmethod
    def sizes(cls, role: int) -> PlainProtocol:
        """The same, for the estimator: it prices what is said to the guest, of arrays that it has outlines of."""
        return cls(role)

    def prefetch(self) -> None:
        """Nothing comes ahead of time."""

    def finish(self) -> None:
        """Nothing is held back."""

    @property
    def dealt(self) -> tuple[Dealt, ...]:
        """Nothing."""
        return ()

    @property
    def unchecked(self) -> PlainProtocol:
        """The same without range checks, for intermediate numbers that are multiplied by zero when they are large."""
        return PlainProtocol(checked=False)

    def check_domain(self, x: _Clear, *, low: int, high: int, what: str) -> None:
        """Refuse ring elements that, as signed numbers, lie outside [low, high)."""
        signed = x.data.view(np.int64)
        if self.checked and signed.size and (int(signed.min()) < low or int(signed.max()) >= high):
            outside = int(np.count_nonzero((signed < low) | (signed >= high)))
            raise self._placed(
                f"{what}: {outside} of {signed.size} arguments lie outside its domain, where the result would be "
                "garbage under a secure protocol: clamp or rescale them first (jnp.clip)"
            )

    # -- in and out ---------------------------------------------------------------------------------------------
    def input(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, _Clear]:
        """The array itself, which only the one role may own."""
        return (yield from self._input(value, owner, shape))

    def input_bits(
        self, value: NDArray[np.bool_] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, _Clear]:
        """The bits themselves."""
        return (yield from self._input(value, owner, shape))

    def _input(self, value: NDArray[Any] | None, owner: int, shape: tuple[int, ...]) -> Generator[Round, Any, _Clear]:
        yield from ()
        if owner != 0 or value is None or value.shape != shape:
            found = "none" if value is None else f"the shape {value.shape}"
            raise ProtocolUseError(f"expected an array of shape {shape} of role 0 alone, found {found} of role {owner}")
        return _Clear(np.array(value, order="C"))

    def reveal(self, x: _Clear | Outline, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """The array itself. Cost: nothing; to the guest 1 round, 8 B."""
        return (yield from self._reveal(x, to, bits=False))

    def reveal_bits(self, x: _Clear | Outline, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.bool_] | None]:
        """The bits themselves; like `reveal` with 1/8 B for 8 B."""
        words = yield from self._reveal(x, to, bits=True)
        return None if words is None else unpacked(words, x.shape)

    def _reveal(
        self, x: _Clear | Outline, to: Sequence[int], *, bits: bool
    ) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        words = layout(x.shape, bits=bits)
        if self.role == GUEST:
            return (yield Round({}, {0: math.prod(words)}))[0].reshape(words) if GUEST in to else None
        known = self.additive_part(0, x) if isinstance(x, _Clear) else np.broadcast_to(np.uint64(0), words)
        if GUEST in to:
            yield Round({GUEST: [known]}, {})
        return known.copy() if 0 in to else None

    # -- additive parts -----------------------------------------------------------------------------------------
    @classmethod
    def additive_part(cls, role: int, x: _Clear) -> NDArray[np.uint64]:
        """All of it."""
        del role
        return kernels.pack_bits(x.data.reshape(-1)) if x.data.dtype == np.bool_ else np.asarray(x.data)

    def from_parts(
        self, part: NDArray[np.uint64] | None, shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, _Clear]:
        """The array itself."""
        yield from ()
        words = given(part, layout(shape, bits=bits), bits=False)
        return _Clear(unpacked(words, shape) if bits else words)

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
    def mul(
        self, x: _Clear, y: _Clear, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, _Clear]:
        """The product, floored."""
        yield from ()
        if wide:
            return _Clear(self._in_wide(multiply, x, y, shift, exact=exact))
        if self.checked and x.data.size:
            a, b = _magnitude(x.data), _magnitude(y.data)
            if self.watch is not None or float(a.max()) * float(b.max()) >= _HEADROOM:
                self._check(a * b, "a product")
        return _Clear(_floor(np.asarray(np.multiply(x.data, y.data)), shift))

    def dot(
        self, x: _Clear, y: _Clear, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, _Clear]:
        """The matrix product, floored."""
        yield from ()
        if wide:
            return _Clear(self._in_wide(dot, x, y, shift, exact=exact))
        if self.checked and x.data.size and y.data.size:
            a, b = _magnitude(x.data), _magnitude(y.data)
            if self.watch is not None or float(a.max()) * float(b.max()) * a.shape[-1] >= _HEADROOM:
                self._check(a @ b, "a matrix product")
        product = kernels.matmul(np.ascontiguousarray(x.data), np.ascontiguousarray(y.data))
        return _Clear(_floor(product, shift))

    def _in_wide(
        self, times: Callable[..., NDArray[np.uint64]], x: _Clear, y: _Clear, shift: int, *, exact: bool
    ) -> Any:
        """The product by way of Z_2^128; what leaves the ring when it is truncated is refused."""
        z = plus_public(times(signed(x.data), signed(y.data)), 1 << (shift - 1) if exact else 0)
        if self.checked:
            high = z[1].view(np.int64).astype(np.float64) * 2.0 ** (64 - shift)
            self._check(np.abs(high + z[0].astype(np.float64) * 2.0**-shift), "a product, truncated,")
        return shifted(z, shift)

    def truncate(self, x: _Clear, bits: int) -> Generator[Round, Any, _Clear]:
        """floor(x / 2^bits)."""
        yield from ()
        if self.checked:
            self._check(_magnitude(x.data), "a number to round")
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

    def sign(self, x: _Clear, *, bits: int = 64) -> Generator[Round, Any, _Clear]:
        """The most significant bits."""
        yield from ()
        self._require_bits(x, bits)
        return _Clear(np.asarray(x.data >> np.uint64(bits - 1) & np.uint64(1), np.bool_))

    def at_least(self, x: _Clear, thresholds: Sequence[int], *, bits: int = 64) -> Generator[Round, Any, _Clear]:
        """The comparisons."""
        yield from ()
        for t in thresholds:
            self._require_bits(_Clear(x.data - np.uint64(t % 2**64)), bits)
        words = x.data.view(np.int64)
        return _Clear(np.array([words >= t for t in thresholds]).reshape(len(thresholds), *x.shape))

    def all_of(self, bits: _Clear) -> Generator[Round, Any, _Clear]:
        """And along the first axis."""
        yield from ()
        return _Clear(np.asarray(np.all(bits.data, axis=0)))

    def is_zero(self, x: _Clear, *, bits: int = 64) -> Generator[Round, Any, _Clear]:
        """Whether the elements are 0."""
        yield from ()
        self._require_bits(x, bits)
        return _Clear(np.asarray(x.data == 0))

    def compare_with_zero(self, x: _Clear, *, bits: int = 64) -> Generator[Round, Any, tuple[_Clear, _Clear]]:
        """The most significant bits, and whether all others are 0."""
        yield from ()
        self._require_bits(x, bits)
        return _Clear(np.asarray(x.data >> np.uint64(63), np.bool_)), _Clear(np.asarray(x.data << np.uint64(1) == 0))

    def _require_bits(self, x: _Clear, bits: int) -> None:
        """Refuse numbers that do not fit the ring in which they are to be compared."""
        if self.checked and bits < _WORD:
            self.check_domain(x, low=-(2 ** (bits - 1)), high=2 ** (bits - 1), what=f"a comparison of {bits} bits")

    def to_arithmetic(self, b: _Clear) -> Generator[Round, Any, _Clear]:
        """The bits as 0 and 1."""
        yield from ()
        return _Clear(np.asarray(b.data.astype(np.uint64)))

    def select(self, b: _Clear, x: _Clear) -> Generator[Round, Any, _Clear]:
        """x where b, else 0."""
        yield from ()
        return _Clear(np.asarray(np.where(b.data, x.data, np.uint64(0))))

    def lookup(self, x: _Clear, table: Table) -> Generator[Round, Any, _Clear]:
        """The function of each element."""
        yield from ()
        return _Clear(clear(table, x.data.reshape(-1)).reshape(table.outputs, *x.shape))

    # -- order --------------------------------------------------------------------------------------------------
    def shuffle(self, *columns: _Clear) -> Generator[Round, Any, list[_Clear]]:
        """Columns with permuted rows; the order is the same in each run."""
        yield from ()
        pi = Permutation(lambda: Prg(_ORDER_KEY).words(0, (KEY_WORDS, *columns[0].shape)))
        return [_Clear(pi(x.data)) for x in columns]

    def disclose(self, x: _Clear) -> Generator[Round, Any, NDArray[Any] | None]:
        """The array itself."""
        yield from ()
        return x.data

    def _check(self, magnitude: NDArray[np.float64], what: str) -> None:
        largest = float(magnitude.max(initial=0.0))
        if self.watch is not None and self._kind != "function":  # inside functions nothing depends on the user's scale
            self.watch(what, self._source, largest)
        if largest >= _HEADROOM:
            raise self._placed(
                f"{what} of shape {magnitude.shape} needs more than 62 bits: the inputs are too large for fixed point. "
                "Scale the columns (divide by the standard deviation), or use fewer fraction bits"
            )

    def _placed(self, message: str) -> FixedPointRangeError:
        error = FixedPointRangeError(message)
        error.source = self._source or None
        return error


def _shaped(result: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.asarray(result).reshape(shape)


def _magnitude(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(words.view(np.int64).astype(np.float64)))


def _floor(words: NDArray[np.uint64], shift: int) -> NDArray[np.uint64]:
    return np.asarray(np.right_shift(words.view(np.int64), shift)).view(np.uint64) if shift else words
