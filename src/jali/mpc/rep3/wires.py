# SPDX-License-Identifier: Apache-2.0
"""Replicated shares, and the steps that all rep3 operations are made of.

x = x_0 + x_1 + x_2 (xor for bits); role i holds x_i as `first` and x_(i+1) as `second`. What roles 0 and 1 compute with
what role 2 deals is in *halves*, x = u + v with u at role 0 and v at role 1, until a product needs it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jali import kernels
from jali.crypto.secret import Secret
from jali.mpc.openings import Openings
from jali.mpc.rings import Ring, of_bits
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, added, gathered, layout, minus, plus

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.crypto.prg import Prg

__all__ = ["Halves", "Replicated", "Share", "Wires", "half_of"]


class Replicated(Secret):
    """One role's two parts of a secret array, over Z_2^64 or packed bits.

    Shapes: both parts have `shape`, or for bits one word for 64 of them.
    """

    __slots__ = ("__weakref__", "bits", "first", "second", "shape")

    def __init__(
        self, shape: tuple[int, ...], first: NDArray[np.uint64], second: NDArray[np.uint64], *, bits: bool = False
    ) -> None:
        """Hold x_i and x_(i+1)."""
        self.shape = shape
        self.first = first
        self.second = second
        self.bits = bits


class Halves(Secret):
    """x = u + v (xor for bits): `part` is u at role 0, v at role 1 and nothing at role 2.

    Shapes: `part` has `shape`, or for bits one word for 64 of them.
    """

    __slots__ = ("__weakref__", "bits", "part", "shape")

    def __init__(self, shape: tuple[int, ...], part: NDArray[np.uint64], *, bits: bool = False) -> None:
        """Hold one role's part."""
        self.shape = shape
        self.part = part
        self.bits = bits


Share = Replicated | Halves


def half_of(x: Share, role: int) -> NDArray[np.uint64]:
    """What role 0 or 1 has in halves: u = x_0 + x_1, or v = x_2 (xor for bits)."""
    if isinstance(x, Halves):
        return x.part
    return np.asarray(plus(x.first, x.second, bits=x.bits)) if role == 0 else x.second


def _words(x: Share) -> tuple[int, ...]:
    return layout(x.shape, bits=x.bits)


class Wires:
    """One role's generators, and the names of the masks that it used."""

    def __init__(self, role: int, prgs: Mapping[int, Prg], *, empty: bool) -> None:
        """With `empty`, arrays have a shape and neither memory nor content (for the estimator)."""
        self.role = role
        self.ahead = (role + 1) % 3
        self.behind = (role + 2) % 3
        self.prgs = prgs
        self.empty = empty
        self.openings = Openings(Halves, Replicated, self._replicate)
        self._nonces = itertools.count()

    def nonce(self) -> int:
        """A new name for a mask, the same at every role."""
        return next(self._nonces)

    def compute(self, words: tuple[int, ...], formula: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """The formula, which gives an array of the shape `words`."""
        # numpy turns sums of arrays without axes into scalars, which warn when they wrap around.
        return np.broadcast_to(np.uint64(0), words) if self.empty else np.asarray(formula())

    def zeros(self, words: tuple[int, ...]) -> NDArray[np.uint64]:
        """A part that is 0."""
        return self.compute(words, lambda: np.zeros(words, np.uint64))

    def drawn(self, words: tuple[int, ...], role: int, nonce: int) -> NDArray[np.uint64]:
        """Words that this role and `role` draw alike."""
        return self.compute(words, lambda: self.prgs[role].words(nonce, words))

    def sharing_of_zero(self, words: tuple[int, ...], *, bits: bool = False) -> NDArray[np.uint64]:
        """This role's part of a fresh additive sharing of 0: drawn with the role ahead, minus that with the one behind.

        References: Araki et al. 2016, section 2.2.
        """
        nonce = self.nonce()

        def difference() -> NDArray[np.uint64]:
            ahead, behind = self.prgs[self.ahead].words(nonce, words), self.prgs[self.behind]
            return behind.xor(ahead, nonce) if bits else behind.sub(ahead, nonce)

        return self.compute(words, difference)

    def mask_of_2(self, words: tuple[int, ...], *, ring: Ring = Ring.WORDS) -> NDArray[np.uint64]:
        """A fresh mask that role 2 knows: its summand i at role i < 2, all of it at role 2."""
        nonce = self.nonce()
        if self.role < 2:
            return self.drawn(words, 2, nonce)
        return self.compute(words, lambda: added(self.prgs[0].words(nonce, words), self.prgs[1], nonce, ring=ring))

    def masks_for_dealing(self, words: tuple[int, ...]) -> NDArray[np.uint64]:
        """A sharing of 0 whose parts at roles 0 and 1 are known to role 2, and to nobody else."""
        nonce = self.nonce()
        if self.role < 2:
            return self.drawn(words, 2, nonce)

        def rest() -> NDArray[np.uint64]:
            both = self.prgs[1].add(self.prgs[0].words(nonce, words), nonce)
            return np.negative(both, out=both)

        return self.compute(words, rest)

    def _replicate(self, shares: list[Halves]) -> Generator[Round, Any, list[Replicated]]:
        """y_0 and y_2 are drawn with role 2; y_1 = (u - y_0) + (v - y_2) is opened to roles 0 and 1.

        Security: what role 0 or 1 receives is masked by what role 2 and the sender drew; role 2 receives nothing.
        Cost: 1 round, 8 B from roles 0 and 1.
        """
        names = [self.nonce() for _ in shares]
        if self.role == 2 or not shares:
            yield Round({}, {})
            return [
                Replicated(x.shape, *(self.drawn(_words(x), role, name) for role in (1, 0)), bits=x.bits)
                for x, name in zip(shares, names, strict=True)
            ]
        own = [self.drawn(_words(x), 2, name) for x, name in zip(shares, names, strict=True)]
        rest = [self._difference(x, y) for x, y in zip(shares, own, strict=True)]
        peer = 1 - self.role
        received = (yield Round({peer: rest}, {peer: sum(part.size for part in rest)}))[peer]
        result, start = [], 0
        for x, y, part in zip(shares, own, rest, strict=True):
            y1 = self._sum(received[start : start + part.size].reshape(part.shape), part, bits=x.bits)
            start += part.size
            result.append(Replicated(x.shape, *((y, y1) if self.role == 0 else (y1, y)), bits=x.bits))
        return result

    def _difference(self, x: Halves, y: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return self.compute(y.shape, lambda: minus(x.part, y, bits=x.bits))

    def _sum(self, received: NDArray[np.uint64], own: NDArray[np.uint64], *, bits: bool) -> NDArray[np.uint64]:
        return self.compute(own.shape, lambda: gathered(received, own, ring=of_bits(bits)))

    def swap(self, part: NDArray[np.uint64], ring: Ring = Ring.BITS) -> Generator[Round, Any, NDArray[np.uint64]]:
        """The sum of the parts of roles 0 and 1, at both; role 2 says and hears nothing. Cost: 1 round."""
        if self.role == 2:
            yield Round({}, {})
            return NOTHING
        peer = 1 - self.role
        replies = yield Round({peer: [part]}, {peer: part.size})
        return self.compute(part.shape, lambda: gathered(replies[peer].reshape(part.shape), part, ring=ring))

    def halves(self, x: Share) -> Halves:
        """u = x_0 + x_1 and v = x_2. No communication."""
        if isinstance(x, Halves):
            return x
        part = NOTHING if self.role == 2 else self.compute(_words(x), lambda: half_of(x, self.role))
        return Halves(x.shape, part, bits=x.bits)

    def linear(
        self,
        function: Callable[..., NDArray[np.uint64]],
        shares: Sequence[Share],
        shape: tuple[int, ...],
        *,
        bits: bool = False,
    ) -> Share:
        """A linear function of words: replicated if all shares are, else in halves. No communication."""
        replicated = self.openings.found(shares)
        if len(replicated) == len(shares):
            return self.mapped(function, replicated, shape, bits=bits)
        parts = [self.halves(x).part for x in shares]
        if self.role == 2:
            return Halves(shape, NOTHING, bits=bits)
        return Halves(shape, self.compute(layout(shape, bits=bits), lambda: function(*parts)), bits=bits)

    def reshared(
        self, part: NDArray[np.uint64], shape: tuple[int, ...], *, bits: bool = False
    ) -> Generator[Round, Any, Replicated]:
        """From z = z_0 + z_1 + z_2, masked by a sharing of 0: role i sends z_i to the role before it."""
        replies = yield Round({self.behind: [part]}, {self.ahead: part.size})
        return Replicated(shape, part, replies[self.ahead].reshape(part.shape), bits=bits)

    def conjunction(self, a: Replicated, b: Replicated) -> Generator[Round, Any, Replicated]:
        """And of bits. Cost: 1 round, 1/8 B from each role."""
        words = a.first.shape
        zero = self.sharing_of_zero(words, bits=True)
        z = self.compute(words, lambda: kernels.replicated_and(a.first, a.second, b.first, b.second, zero, out=zero))
        return (yield from self.reshared(z, a.shape, bits=True))

    def product(self, x: Replicated, y: Replicated) -> NDArray[np.uint64]:
        """This role's part z_i of x y = z_0 + z_1 + z_2, elementwise. No communication."""
        zero = self.sharing_of_zero(x.shape)
        return self.compute(
            x.shape, lambda: kernels.replicated_product(x.first, x.second, y.first, y.second, zero, out=zero)
        )

    def shared(
        self, value: Callable[[], NDArray[np.uint64]], owner: int, shape: tuple[int, ...], *, bits: bool = False
    ) -> Generator[Round, Any, Replicated]:
        """What `owner` knows: it draws its first part with the role behind it, and sends the second to that ahead."""
        words = layout(shape, bits=bits)
        nonce = self.nonce()
        if self.role == owner:
            first = self.drawn(words, self.behind, nonce)
            second = self.compute(words, lambda: minus(value(), first, bits=bits))
            yield Round({self.ahead: [second]}, {})
            return Replicated(shape, first, second, bits=bits)
        if self.role == (owner + 1) % 3:
            replies = yield Round({}, {owner: math.prod(words)})
            return Replicated(shape, replies[owner].reshape(words), self.zeros(words), bits=bits)
        yield Round({}, {})
        return Replicated(shape, self.zeros(words), self.drawn(words, self.ahead, nonce), bits=bits)

    def sum_01(
        self,
        x: Replicated,
        function: Callable[[NDArray[np.uint64]], NDArray[np.uint64]],
        shape: tuple[int, ...],
        *,
        bits: bool,
    ) -> Generator[Round, Any, Replicated]:
        """function(x_0 + x_1), which role 0 knows."""
        return self.shared(lambda: function(plus(x.first, x.second, bits=x.bits)), 0, shape, bits=bits)

    def part_2(
        self,
        x: Replicated,
        function: Callable[[NDArray[np.uint64]], NDArray[np.uint64]],
        shape: tuple[int, ...],
        *,
        bits: bool,
    ) -> Replicated:
        """function(x_2), which roles 1 and 2 know. No communication."""
        words = layout(shape, bits=bits)
        first = self.compute(words, lambda: function(x.first)) if self.role == 2 else self.zeros(words)
        second = self.compute(words, lambda: function(x.second)) if self.role == 1 else self.zeros(words)
        return Replicated(shape, first, second, bits=bits)

    def known(self, words: NDArray[np.uint64], shape: tuple[int, ...], *, bits: bool) -> Replicated:
        """A public value, as x_0."""
        zero = self.zeros(words.shape)
        return Replicated(shape, words if self.role == 0 else zero, words if self.role == 2 else zero, bits=bits)

    def mapped(
        self,
        function: Callable[..., NDArray[np.uint64]],
        shares: Sequence[Replicated],
        shape: tuple[int, ...],
        *,
        bits: bool,
    ) -> Replicated:
        """A linear function of the words of shares."""
        words = layout(shape, bits=bits)
        first = self.compute(words, lambda: function(*(x.first for x in shares)))
        second = self.compute(words, lambda: function(*(x.second for x in shares)))
        return Replicated(shape, first, second, bits=bits)

    def with_public(self, x: Share, function: Callable[[NDArray[np.uint64]], NDArray[np.uint64]]) -> Share:
        """Change role 0's half, or x_0."""
        known = self.openings.find(x)
        if isinstance(known, Replicated):
            return self.with_part_0(known, function)
        part = self.compute(_words(known), lambda: function(known.part)) if self.role == 0 else known.part
        return Halves(known.shape, part, bits=known.bits)

    def with_part_0(self, x: Replicated, function: Callable[[NDArray[np.uint64]], NDArray[np.uint64]]) -> Replicated:
        """Change x_0, wherever it is held."""
        first = self.compute(x.first.shape, lambda: function(x.first)) if self.role == 0 else x.first
        second = self.compute(x.second.shape, lambda: function(x.second)) if self.role == 2 else x.second
        return Replicated(x.shape, first, second, bits=x.bits)
