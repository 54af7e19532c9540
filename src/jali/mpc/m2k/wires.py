# SPDX-License-Identifier: Apache-2.0
"""The states of m2k shares while a program runs: which are opened, and how they become so."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jali.core.threat import Dealt
from jali.mpc.m2k.shares import Additive, Masked, part_of
from jali.mpc.m2k.sides import DEALER
from jali.mpc.openings import Openings
from jali.mpc.rings import Ring, add, from_lanes, of_bits, to_lanes, words_of
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, gathered, layout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from jali.mpc.m2k.sides import Side

__all__ = ["Share", "Wires"]

Share = Additive | Masked


class Wires:
    """What one role remembers of shares, and the names of the masks that it used."""

    def __init__(self, role: int, side: Side) -> None:
        """Nothing is opened yet."""
        self._role = role
        self._side = side
        self.leader = role == 0
        self._nonces = itertools.count()
        self._openings = Openings(Additive, Masked, self._open_all)
        self._dealt: Counter[tuple[str, tuple[int, ...]]] = Counter()

    def nonce(self) -> int:
        """A new name for a mask, the same at every role."""
        return next(self._nonces)

    @property
    def role(self) -> int:
        """Whose they are."""
        return self._role

    @property
    def side(self) -> Side:
        """This role's part of every formula."""
        return self._side

    @property
    def openings(self) -> Openings[Additive, Masked]:
        """What is opened."""
        return self._openings

    @property
    def dealt(self) -> tuple[Dealt, ...]:
        """What was dealt so far, the same at every role, in the order of its first use."""
        return tuple(Dealt(kind=kind, shape=shape, count=count) for (kind, shape), count in self._dealt.items())

    def find(self, x: Share) -> Share:
        """The masked form, if x has one already."""
        return self._openings.find(x)

    def open(self, *shares: Share) -> Generator[Round, Any, list[Masked]]:
        """The masked form of shares; those that have none are opened under fresh masks, all in one round."""
        return self._openings.open(*shares)

    def _open_all(self, shares: list[Additive]) -> Generator[Round, Any, list[Masked]]:
        """Both evaluators add their mask to their part and swap the sums."""
        rings = [of_bits(x.bits) for x in shares]
        masks = [
            self._side.mask(words_of(x.shape, r), self.nonce(), ring=r) for x, r in zip(shares, rings, strict=True)
        ]
        sums = yield from self.summed([x.part for x in shares], masks, rings)
        forms = zip(shares, sums, masks, strict=True)
        return [Masked(x.shape, d, mask, bits=x.bits) for x, d, mask in forms]

    def open_in(self, x: Share, ring: Ring) -> Generator[Round, Any, tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
        """x + r and this role's part of r, a word an element, of which the low bits count.

        What is masked already is not opened again.
        """
        known = self.find(x)
        if ring is Ring.WORDS or isinstance(known, Masked):
            (opened,) = yield from self.open(known)
            return opened.masked, opened.mask
        words, side = words_of(x.shape, ring), self._side
        mask = side.mask(words, self.nonce(), ring=ring)
        part = side.evaluate(words, lambda: to_lanes(known.part, ring))
        (c,) = yield from self.summed([part], [mask], [ring])
        masked = side.evaluate(x.shape, lambda: from_lanes(c, x.shape, ring))
        return masked, side.track(x.shape, lambda: from_lanes(mask, x.shape, ring))

    def summed(
        self, parts: Sequence[NDArray[np.uint64]], masks: Sequence[NDArray[np.uint64]], rings: Sequence[Ring]
    ) -> Generator[Round, Any, list[NDArray[np.uint64]]]:
        """The sums of both evaluators' parts and masks, at both; nothing at the dealer. Cost: 1 round."""
        if self._role == DEALER or not masks:
            yield Round({}, {})
            return [NOTHING] * len(masks)
        mine = [self._added(*item) for item in zip(parts, masks, rings, strict=True)]
        theirs = yield from self.swap(mine, sum(words.size for words in mine))
        sums, start = [], 0
        for own, ring in zip(mine, rings, strict=True):
            sums.append(self._gathered(theirs[start : start + own.size].reshape(own.shape), own, ring))
            start += own.size
        return sums

    def _added(self, part: NDArray[np.uint64], mask: NDArray[np.uint64], ring: Ring) -> NDArray[np.uint64]:
        return self._side.evaluate(mask.shape, lambda: add(part, mask, ring))

    def _gathered(self, received: NDArray[np.uint64], own: NDArray[np.uint64], ring: Ring) -> NDArray[np.uint64]:
        return self._side.evaluate(own.shape, lambda: gathered(received, own, ring=ring))

    def swap(self, mine: list[NDArray[np.uint64]], size: int) -> Generator[Round, Any, NDArray[np.uint64]]:
        """Send words to the other evaluator and take as many from it."""
        peer = 1 - self._role
        theirs: NDArray[np.uint64] = (yield Round({peer: mine}, {peer: size}))[peer]
        return theirs

    def additive(self, x: Share) -> Additive:
        """The additive form. No communication."""
        if isinstance(x, Additive):
            return x
        part = self._side.evaluate(layout(x.shape, bits=x.bits), lambda: part_of(x, self._role))
        return Additive(x.shape, part, bits=x.bits)

    def mapped(
        self,
        function: Callable[..., NDArray[np.uint64]],
        shares: Sequence[Share],
        shape: tuple[int, ...],
        *,
        bits: bool,
    ) -> Share:
        """A linear function of the words of shares: masked if all of them are, else additive."""
        words = layout(shape, bits=bits)
        masked = self._openings.found(shares)
        if len(masked) == len(shares):
            d = self._side.evaluate(words, lambda: function(*(x.masked for x in masked)))
            mask = self._side.track(words, lambda: function(*(x.mask for x in masked)))
            return Masked(shape, d, mask, bits=bits)
        parts = [self.additive(x).part for x in shares]
        return Additive(shape, self._side.evaluate(words, lambda: function(*parts)), bits=bits)

    def known(self, words: NDArray[np.uint64], shape: tuple[int, ...], *, bits: bool) -> Masked:
        """A public value: its mask is 0."""
        return Masked(shape, words, self._side.track(words.shape, lambda: np.zeros_like(words)), bits=bits)

    def deal(
        self, words: tuple[int, ...], correlation: Callable[[], NDArray[np.uint64]], *, ring: Ring = Ring.WORDS
    ) -> NDArray[np.uint64]:
        """A share of what the dealer computes; see `Side.deal`."""
        self._dealt[_purpose(correlation), words] += 1
        return self._side.deal(words, self.nonce(), correlation, ring=ring)


def _purpose(correlation: Callable[[], NDArray[np.uint64]]) -> str:
    """The operation that a correlation was written down in, such as "mul" for `M2k.mul.<locals>.<lambda>`."""
    return _named(getattr(correlation, "__qualname__", "correlation"))


@cache
def _named(qualified: str) -> str:
    return qualified.partition(".<locals>")[0].rpartition(".")[2].strip("_")
