# SPDX-License-Identifier: Apache-2.0
"""What three parties do with replicated shares in any of our protocols: in and out, linear maps, products, bits.

x = x_0 + x_1 + x_2 (xor for bits), and role i holds x_i and x_(i+1). Roles i and i+1 share a generator, so that they
draw a common part, and all three a sharing of 0, without a message. A product is one word from each role to the one
before it. A protocol adds its name, its threat model and its `Circuits`: `jali.mpc.rep3`, `jali.mpc.aby3`.

References: Araki, Furukawa, Lindell, Nof, Ohara 2016 (ePrint 2016/768).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from jali import kernels
from jali.core.errors import ProtocolUseError
from jali.mpc.contract import Outline
from jali.mpc.rep3.lookup import lookup
from jali.mpc.rep3.shuffle import shuffle
from jali.mpc.rep3.wide import product
from jali.mpc.rep3.wires import Halves, Replicated, Share, Wires, half_of
from jali.mpc.rounds import Round
from jali.mpc.wide import dot, multiply
from jali.mpc.words import (
    NOTHING,
    given,
    layout,
    matrix_shape,
    minus,
    on_bits,
    one_as_rows,
    plus,
    require_equal,
    unpacked,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Self

    from numpy.typing import NDArray

    from jali.core.threat import Dealt, Threat
    from jali.crypto.prg import Prg
    from jali.mpc.functions.tables import Table
    from jali.mpc.wide import Times
    from jali.transport.channel import Stream

__all__ = ["Circuits", "ReplicatedSide"]

GUEST = 3

ProductTruncation = Callable[[Wires, "NDArray[np.uint64]", tuple[int, ...], int], "Generator[Round, Any, Share]"]
"""From the parts of a product, its shape and a number of bits."""


class Circuits(NamedTuple):
    """How a protocol truncates, and gets bits out of numbers and into them; see the contract for what each returns.

    Comparisons take `bits` too: x, or x less a threshold, lies between -2^(bits - 1) and 2^(bits - 1).
    `truncate_product` takes the parts of a product, masked for dealing, which saves a round; a protocol that has none
    truncates the product as it does any share.
    """

    truncate: Callable[[Wires, Share, int], Generator[Round, Any, Share]]
    sign: Callable[..., Generator[Round, Any, Share]]
    at_least: Callable[..., Generator[Round, Any, Share]]
    is_zero: Callable[..., Generator[Round, Any, Share]]
    compare_with_zero: Callable[..., Generator[Round, Any, tuple[Share, Share]]]
    to_arithmetic: Callable[[Wires, Share], Generator[Round, Any, Share]]
    select: Callable[[Wires, Share, Share], Generator[Round, Any, Share]]
    truncate_product: (
        Callable[[Wires, NDArray[np.uint64], tuple[int, ...], int], Generator[Round, Any, Share]] | None
    ) = None


class ReplicatedSide:
    """One role's side of a protocol on replicated shares; see `jali.mpc.contract.MpcProtocol` for the operations.

    Cost: as each operation says, in bytes for each element (B) and in rounds; nothing is sent ahead of time.
    """

    name: ClassVar[str]
    threat: ClassVar[Threat]
    circuits: ClassVar[Circuits]
    roles: ClassVar[tuple[str, ...]] = ("party0", "party1", "party2")
    holders: ClassVar[tuple[int, ...]] = (0, 1)
    owners: ClassVar[tuple[int, ...]] = (0, 1, 2)
    dealer: ClassVar[int | None] = None

    def __init__(self, role: int, *, prgs: Mapping[int, Prg], streams: Mapping[int, Stream]) -> None:
        """The side of `role`; all messages are in rounds, so `streams` are not used here."""
        del streams
        self._set_up(role, prgs, empty=False)

    @classmethod
    def sizes(cls, role: int) -> Self:
        """The same control flow without data, for the estimator."""
        protocol = cls.__new__(cls)
        protocol._set_up(role, {}, empty=True)  # noqa: SLF001 - a second constructor
        return protocol

    def _set_up(self, role: int, prgs: Mapping[int, Prg], *, empty: bool) -> None:
        self.role = role
        self._wires = Wires(role, prgs, empty=empty)
        self._prgs = prgs
        self._guest_nonces = itertools.count()

    @property
    def dealt(self) -> tuple[Dealt, ...]:
        """Nothing is dealt ahead of time."""
        return ()

    def prefetch(self) -> None:
        """Nothing comes ahead of time."""

    def finish(self) -> None:
        """Nothing is held back."""
        self._wires.openings.forget()

    # -- in and out ---------------------------------------------------------------------------------------------
    def input(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, Replicated]:
        """Share an array.

        Security: the roles after and before the owner see one uniform part.
        Cost: 1 round, 8 B one way; from the guest 32 B.
        Raises: ProtocolUseError if the owner cannot be one, or has no array of that shape.
        """
        return (yield from self._input(value, owner, shape, bits=False))

    def input_bits(
        self, value: NDArray[np.bool_] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, Replicated]:
        """Share bits; like `input` with 1/8 B for 8 B."""
        return (yield from self._input(value, owner, shape, bits=True))

    def _input(
        self, value: NDArray[Any] | None, owner: int, shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, Replicated]:
        if not 0 <= owner <= GUEST:
            raise ProtocolUseError(f"{self.name} takes inputs of roles 0 to 2 and of the guest, not of role {owner}")
        mine = owner == self.role and not self._wires.empty
        array = given(value, shape, bits=bits) if mine else NOTHING
        if owner == GUEST:
            return (yield from self._input_of_guest(array, shape, bits=bits))
        if self.role == GUEST:
            yield Round({}, {})
            return Replicated(shape, NOTHING, NOTHING, bits=bits)
        return (yield from self._wires.shared(lambda: array, owner, shape, bits=bits))

    def _input_of_guest(
        self, array: NDArray[np.uint64], shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, Replicated]:
        """The guest draws x_0 with role 0 and x_1 with role 1, and sends everybody what else it must hold."""
        words = layout(shape, bits=bits)
        nonce = next(self._guest_nonces)
        size = math.prod(words)
        if self.role == GUEST:
            x0, x1 = (self._wires.drawn(words, role, nonce) for role in (0, 1))
            x2 = self._wires.compute(words, lambda: minus(minus(array, x0, bits=bits), x1, bits=bits))
            yield Round({0: [x1], 1: [x2], 2: [x2, x0]}, {})
            return Replicated(shape, NOTHING, NOTHING, bits=bits)
        received = (yield Round({}, {GUEST: 2 * size if self.role == 2 else size}))[GUEST]
        if self.role == 2:
            return Replicated(shape, received[:size].reshape(words), received[size:].reshape(words), bits=bits)
        return Replicated(shape, self._wires.drawn(words, GUEST, nonce), received.reshape(words), bits=bits)

    def reveal(self, x: Any, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """Open to roles or the guest.

        Security: a role sees the part that it lacks, which x and its own parts determine; the guest sees two parts
        that are made fresh.
        Cost: 1 round, 8 B to each role, 16 B to the guest.
        """
        return (yield from self._reveal(x, to, bits=False))

    def reveal_bits(self, x: Any, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.bool_] | None]:
        """Open bits; like `reveal` with 1/8 B for 8 B."""
        words = yield from self._reveal(x, to, bits=True)
        return None if words is None else unpacked(words, x.shape)

    def _reveal(
        self, x: Share | Outline, to: Sequence[int], *, bits: bool
    ) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        if not set(to) <= {0, 1, 2, GUEST}:
            raise ProtocolUseError(f"{self.name} reveals to roles 0 to 2 and to the guest, not to the roles {list(to)}")
        words = layout(x.shape, bits=bits)
        if self.role == GUEST or isinstance(x, Outline):
            return (yield from self._received(words, GUEST in to, bits=bits))
        if isinstance(x, Halves):
            return (yield from self._reveal_halves(x, to, words))
        wires, size = self._wires, math.prod(words)
        fresh = self._refreshed(x, GUEST in to)
        send = {wires.behind: [x.second]} if wires.behind in to else {}
        if GUEST in to and self.role < 2:
            send[GUEST] = [fresh]
        replies = yield Round(send, {wires.ahead: size} if self.role in to else {})
        if self.role not in to:
            return None
        return plus(plus(x.first, x.second, bits=bits), replies[wires.ahead].reshape(words), bits=bits)

    def _reveal_halves(
        self, x: Halves, to: Sequence[int], words: tuple[int, ...]
    ) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """Roles 0 and 1 send their halves, made fresh for whoever has none."""
        size = math.prod(words)
        outside = [role for role in (2, GUEST) if role in to]
        fresh = self._refreshed(x, bool(outside))
        if self.role == 2:
            return (yield from self._received(words, 2 in to, bits=x.bits))
        peer = 1 - self.role
        send = {role: [fresh] for role in outside}
        if peer in to:
            send[peer] = [x.part]
        replies = yield Round(send, {peer: size} if self.role in to else {})
        return plus(x.part, replies[peer].reshape(words), bits=x.bits) if self.role in to else None

    def _received(
        self, words: tuple[int, ...], wanted: Any, *, bits: bool
    ) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """The sum of what roles 0 and 1 send."""
        replies = yield Round({}, dict.fromkeys((0, 1), math.prod(words)) if wanted else {})
        return plus(replies[0], replies[1], bits=bits).reshape(words) if wanted else None

    def _refreshed(self, x: Share, wanted: Any) -> NDArray[np.uint64]:
        """The two halves with a new u, that roles 0 and 1 draw, added to the one and taken from the other."""
        bits = x.bits
        if not wanted:
            return NOTHING
        nonce = self._wires.nonce()
        if self.role == 2:
            return NOTHING

        def formula() -> NDArray[np.uint64]:
            part = half_of(x, self.role)
            prg = self._prgs[1 - self.role]
            if bits:
                return prg.xor(part, nonce)
            return prg.add(part, nonce) if self.role == 0 else prg.sub(part, nonce)

        return self._wires.compute(layout(x.shape, bits=bits), formula)

    # -- additive parts -----------------------------------------------------------------------------------------
    @classmethod
    def additive_part(cls, role: int, x: Share) -> NDArray[np.uint64]:
        """The halves: u = x_0 + x_1 at role 0, v = x_2 at role 1, who share them with role 2 if x is replicated."""
        return half_of(x, role)

    def from_parts(
        self, part: NDArray[np.uint64] | None, shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, Share]:
        """Halves, without communication."""
        yield from ()
        own = NOTHING if part is None else part
        words = layout(shape, bits=bits)
        return Halves(shape, NOTHING if self.role == 2 else self._wires.compute(words, lambda: own), bits=bits)

    # -- linear, local ------------------------------------------------------------------------------------------
    def public(self, value: NDArray[np.uint64]) -> Replicated:
        """A known value, as the part x_0."""
        return self._wires.known(whole(value, value.shape), value.shape, bits=False)

    def linear(self, function: Callable[..., NDArray[np.uint64]], *shares: Share, shape: tuple[int, ...]) -> Share:
        """Apply a linear map to each part; the result is replicated if all operands are. No communication."""
        return self._wires.linear(lambda *arrays: whole(function(*arrays), shape), shares, shape)

    def add_public(self, x: Share, value: NDArray[np.uint64]) -> Share:
        """Add to the part x_0, or to role 0's half. No communication."""
        return self._wires.with_public(x, lambda part: whole(np.add(part, value), x.shape))

    # -- products -----------------------------------------------------------------------------------------------
    def mul(
        self, x: Share, y: Share, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, Share]:
        """Elementwise product: z_i = x_i y_i + x_i y_(i+1) + x_(i+1) y_i + (a sharing of 0).

        Security: what a role receives is masked by a part of the sharing of 0 that it does not know.
        Cost: 1 round, 8 B from each role; with `shift`, what the circuit adds; `wide` as `jali.mpc.rep3.wide` says.
        References: Araki et al. 2016, section 2.2.
        """
        require_equal("mul", x.shape, y.shape)
        if wide:
            return (yield from self._in_wide(x, y, multiply, x.shape, shift=shift, exact=exact))
        a, b = yield from self._wires.openings.open(x, y)
        zero = self._mask(x.shape, shift)
        z = self._wires.compute(
            x.shape, lambda: kernels.replicated_product(a.first, a.second, b.first, b.second, zero, out=zero)
        )
        return (yield from self._finished(z, x.shape, shift))

    def dot(
        self, x: Share, y: Share, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, Share]:
        """Matrix product: z_i = x_i (y_i + y_(i+1)) + x_(i+1) y_i + (a sharing of 0).

        Cost: that of `mul` for each element of the result.
        """
        shape = matrix_shape(x.shape, y.shape)
        if wide:
            return (yield from self._in_wide(x, y, dot, shape, shift=shift, exact=exact))
        a, b = yield from self._wires.openings.open(x, y)
        zero = self._mask(shape, shift)

        def multiplied() -> NDArray[np.uint64]:
            first = kernels.matmul(a.first, b.first + b.second, add=zero)
            return kernels.matmul(a.second, b.first, add=first)

        return (yield from self._finished(self._wires.compute(shape, multiplied), shape, shift))

    def _in_wide(
        self, x: Share, y: Share, times: Times, shape: tuple[int, ...], *, shift: int, exact: bool
    ) -> Generator[Round, Any, Share]:
        """A product by way of Z_2^128; if `exact`, less what its truncation has too much."""
        found, above = yield from product(self._wires, x, y, times=times, shape=shape, shift=shift, exact=exact)
        if above is None:
            return found
        return self.linear(np.subtract, found, (yield from self.to_arithmetic(above)), shape=shape)

    def _mask(self, shape: tuple[int, ...], shift: int) -> NDArray[np.uint64]:
        dealt = shift and self.circuits.truncate_product
        return self._wires.masks_for_dealing(shape) if dealt else self._wires.sharing_of_zero(shape)

    def _finished(self, z: NDArray[np.uint64], shape: tuple[int, ...], shift: int) -> Generator[Round, Any, Share]:
        if shift and self.circuits.truncate_product:
            return (yield from self.circuits.truncate_product(self._wires, z, shape, shift))
        product = yield from self._wires.reshared(z, shape)
        return (yield from self.truncate(product, shift)) if shift else product

    def truncate(self, x: Share, bits: int) -> Generator[Round, Any, Share]:
        """floor(x / 2^bits) + e, e in {0, 1}, for -2^62 <= x < 2^62.

        Security: that of the circuit; the docs page says what to know before revealing many truncations.
        Cost: that of the circuit.
        """
        if not 0 < bits < 62:
            raise ProtocolUseError(f"truncate: expected 1 to 61 bits, found {bits}")
        return (yield from self.circuits.truncate(self._wires, x, bits))

    # -- bits ---------------------------------------------------------------------------------------------------
    def public_bits(self, value: NDArray[np.bool_]) -> Replicated:
        """Known bits, as the part x_0."""
        return self._wires.known(kernels.pack_bits(value.reshape(-1)), value.shape, bits=True)

    def random_bits(self, shape: tuple[int, ...]) -> Replicated:
        """Bits of three parts, each drawn by two roles together.

        Security: a role does not know the part that the two others drew; for it the bits are uniform. No communication.
        """
        wires, words = self._wires, layout(shape, bits=True)
        nonce = wires.nonce()
        first, second = (wires.drawn(words, role, nonce) for role in (wires.behind, wires.ahead))
        return Replicated(shape, first, second, bits=True)

    def permute_bits(self, function: Callable[..., NDArray[np.bool_]], *bits: Share, shape: tuple[int, ...]) -> Share:
        """Rearrange bits. No communication."""
        return self._wires.linear(on_bits(function, [part.shape for part in bits]), bits, shape, bits=True)

    def xor(self, a: Share, b: Share) -> Share:
        """Exclusive or; local."""
        require_equal("xor", a.shape, b.shape)
        return self._wires.linear(np.bitwise_xor, (a, b), a.shape, bits=True)

    def invert(self, a: Share) -> Share:
        """Not; local."""
        return self._wires.with_public(a, np.bitwise_not)

    def conjunction(self, a: Share, b: Share) -> Generator[Round, Any, Replicated]:
        """And: the product over Z_2. Cost: 1 round, 1/8 B from each role."""
        require_equal("conjunction", a.shape, b.shape)
        left, right = yield from self._wires.openings.open(a, b)
        return (yield from self._wires.conjunction(left, right))

    def sign(self, x: Share, *, bits: int = 64) -> Generator[Round, Any, Share]:
        """The top bit. Cost: that of the circuit."""
        return self.circuits.sign(self._wires, x, bits=bits)

    def at_least(self, x: Share, thresholds: Sequence[int], *, bits: int = 64) -> Generator[Round, Any, Share]:
        """[x >= t] for all thresholds. Cost: that of the circuit."""
        return self.circuits.at_least(self._wires, x, thresholds, bits=bits)

    def all_of(self, bits: Share) -> Generator[Round, Any, Replicated]:
        """And along the first axis, by halves. Cost: log2 of its length in rounds, 1/8 B a bit from each role."""
        count, shape = bits.shape[0], bits.shape[1:]
        size, width = math.prod(shape), layout(shape, bits=True)[0]
        wires = self._wires
        (opened,) = yield from wires.openings.open(bits)
        rows = wires.mapped(
            lambda words: one_as_rows(words, count, size).reshape(-1), (opened,), (count, 64 * width), bits=True
        )
        while count > 1:
            half = count // 2
            low, high, rest = (
                wires.mapped(
                    lambda words, start=start, stop=stop: words[start * width : stop * width],
                    (rows,),
                    (stop - start, 64 * width),
                    bits=True,
                )
                for start, stop in ((0, half), (half, 2 * half), (2 * half, count))
            )
            both = yield from wires.conjunction(low, high)
            count -= half
            rows = wires.mapped(lambda *a: np.concatenate(a), (both, rest), (count, 64 * width), bits=True)
        return wires.mapped(np.positive, (rows,), shape, bits=True)

    def is_zero(self, x: Share, *, bits: int = 64) -> Generator[Round, Any, Share]:
        """Whether x = 0. Cost: that of the circuit."""
        return self.circuits.is_zero(self._wires, x, bits=bits)

    def compare_with_zero(self, x: Share, *, bits: int = 64) -> Generator[Round, Any, tuple[Share, Share]]:
        """The top bit, and whether x mod 2^63 = 0. Cost: that of the circuit."""
        return self.circuits.compare_with_zero(self._wires, x, bits=bits)

    def to_arithmetic(self, b: Share) -> Generator[Round, Any, Share]:
        """The bits as numbers. Cost: that of the circuit."""
        return self.circuits.to_arithmetic(self._wires, b)

    def select(self, b: Share, x: Share) -> Generator[Round, Any, Share]:
        """The product b x. Cost: that of the circuit."""
        require_equal("select", b.shape, x.shape)
        return self.circuits.select(self._wires, b, x)

    # -- tables -------------------------------------------------------------------------------------------------
    def lookup(self, x: Share, table: Table) -> Generator[Round, Any, Share]:
        """The function of each element, from tables that role 2 deals. Cost: 1 round; see `jali.mpc.rep3.lookup`."""
        return lookup(self._wires, x, table)

    # -- order --------------------------------------------------------------------------------------------------
    def shuffle(self, *columns: Share) -> Generator[Round, Any, list[Replicated]]:
        """Permute the rows of columns by an order that no role knows.

        Cost: 3 rounds, 16 B from role 0 and 8 B from the others.
        """
        return shuffle(self._wires, columns)

    def disclose(self, x: Share) -> Generator[Round, Any, NDArray[Any] | None]:
        """Open what depends on no secret to all."""
        opened = yield from (self.reveal_bits if x.bits else self.reveal)(x, (0, 1, 2))
        return None if self._wires.empty else opened
