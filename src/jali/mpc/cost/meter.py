# SPDX-License-Identifier: Apache-2.0
"""Watches one role's side of a protocol: which operations of the contract it does, on how much, between which rounds.

The contract is the unit in which work is counted, because all protocols share it: what an operation costs a processor
is measured once for each protocol (`jali.mpc.cost.speed`), and how often a program calls it follows from shapes alone.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from jali.mpc.rings import Ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.mpc.rounds import Round

__all__ = ["Metered", "Work"]


class Work(NamedTuple):
    """An operation that a role has done: its kind, the words it is about, and when its parts began and ended.

    The parts lie between its rounds, so an operation of r rounds has r + 1. `products` counts the multiplications of a
    matrix product beyond one a word.
    """

    kind: str
    size: int
    parts: tuple[tuple[float, float], ...]
    products: int = 0


class Metered:
    """A side (see `jali.mpc.contract.MpcProtocol`) that notes what it is asked to do; `clock` says when."""

    def __init__(self, side: Any, *, clock: Callable[[], float], note: Callable[[Work], None]) -> None:
        """Watch `side`; `note` is told of each operation at its end."""
        self._side = side
        self._clock = clock
        self._note = note

    def __getattr__(self, name: str) -> Any:
        """The side's own attribute; if it is an operation that counts, with an eye on it."""
        attribute = getattr(self._side, name)
        if name not in _WORDS:
            return attribute

        def watched(*operands: Any, **options: Any) -> Any:
            kind = _variant(name, options)
            size = _WORDS[name](operands, options)
            begun = self._clock()
            result: Any = attribute(*operands, **options)
            if isinstance(result, Generator):
                return self._talk(kind, size, result, products=_products(operands, size) if name == "dot" else 0)
            self._note(Work(kind, size, ((begun, self._clock()),)))
            return result

        return watched

    def _talk(
        self, kind: str, size: int, talk: Generator[Round, Any, Any], *, products: int
    ) -> Generator[Round, Any, Any]:
        parts = []
        replies = None
        while True:
            begun = self._clock()
            try:
                round_ = talk.send(replies)
            except StopIteration as stop:
                parts.append((begun, self._clock()))
                self._note(Work(kind, size, tuple(parts), products))
                return stop.value
            parts.append((begun, self._clock()))
            replies = yield round_


def _variant(name: str, options: Any) -> str:
    """An operation by what makes it cost more or less than another of its name."""
    kind = f"{name}, shifted" if options.get("shift") else name
    if options.get("wide"):
        kind += ", wide, exact" if options.get("exact") else ", wide"
    bits = options.get("bits", 64)  # of a comparison; elsewhere it says that a share is of bits
    return kind if isinstance(bits, bool) or bits == Ring.WORDS else f"{kind} of {bits} bits"


def _first(operands: Any, options: Any) -> int:
    return _size(operands[0].shape)


def _all(operands: Any, options: Any) -> int:
    return sum(_size(x.shape) for x in operands)


def _shared(operands: Any, options: Any) -> int:
    return _size(operands[2])


def _in_and_out(operands: Any, options: Any) -> int:
    return _all(operands[1:], options) + _size(options["shape"])


def _matrices(operands: Any, options: Any) -> int:
    x, y = operands
    return _all(operands, options) + _size((*x.shape[:-1], y.shape[-1]))


def _products(operands: Any, size: int) -> int:
    x, y = operands
    return max(0, _size((*x.shape, y.shape[-1])) - size)


def _of_thresholds(operands: Any, options: Any) -> int:
    x, thresholds = operands
    return _size(x.shape) * len(thresholds)


def _table_words(operands: Any, options: Any) -> int:
    x, table = operands
    return _size(x.shape) * _size(table.words)


def _named(operands: Any, options: Any) -> int:
    return _size(operands[0])


def _from_parts(operands: Any, options: Any) -> int:
    return _size(operands[1])


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


_WORDS: dict[str, Callable[[Any, Any], int]] = {
    "input": _shared,
    "input_bits": _shared,
    "scatter": _shared,
    "from_parts": _from_parts,
    "detach": _first,
    "reveal": _first,
    "reveal_bits": _first,
    "settle": _all,
    "public": _first,
    "linear": _in_and_out,
    "add_public": _first,
    "mul": _first,
    "dot": _matrices,
    "truncate": _first,
    "public_bits": _first,
    "random_bits": _named,
    "permute_bits": _in_and_out,
    "xor": _first,
    "invert": _first,
    "conjunction": _first,
    "sign": _first,
    "at_least": _of_thresholds,
    "is_zero": _first,
    "all_of": _first,
    "compare_with_zero": _first,
    "to_arithmetic": _first,
    "select": _first,
    "lookup": _table_words,
    "shuffle": _all,
    "disclose": _first,
}
"""Operations that count, and how much one is about, from its operands."""
