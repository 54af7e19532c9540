# SPDX-License-Identifier: Apache-2.0
"""What is known of values because of how they were made, which their intervals alone do not say.

x - max(x) is not positive, x x is not negative, a softmax lies between 0 and 1. Such a fact holds only where elements
meet as they should (`x - max(x)` along the wrong axis has no sign), so views are followed element by element: an array
of element numbers goes through the same views, and the numbers are compared. That is done once for a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jali.mpc.views import view_function

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jali.mpc.ir import Op, Program

__all__ = ["Condition", "Facts"]

_MOST_ELEMENTS = 1 << 22
_RECIPROCALS = {"reciprocal", "reciprocal_positive"}


class Condition(NamedTuple):
    """p < q, or its opposite. `order` says which comparison each bit is (None: in order), if that is `known`."""

    p: int
    q: int
    direct: bool
    order: NDArray[np.int64] | None
    known: bool


class Facts:
    """Facts about the operations of one program (or of one loop body)."""

    def __init__(self, program: Program) -> None:
        """Look at a program."""
        self.types = program.types
        self._made_by = {value: op for op in program.ops for value in op.outputs}

    # -- single operations --------------------------------------------------------------------------------------
    def is_square(self, op: Op) -> bool:
        """Whether a product (or an inner product) multiplies each element by itself."""
        x, y = op.inputs
        if op.kind == "mul":
            return self.same(x, y)
        # (..., 1, n) and (..., n, 1), laid out from one array in the same order
        thin = self.types[x].shape[-2] == 1 and self.types[y].shape[-1] == 1
        return thin and self._unshaped(x) == self._unshaped(y)

    def is_below_maximum(self, op: Op) -> bool:
        """Whether a difference is x - max(x), each element with the maximum of a group that it belongs to."""
        x, y = op.inputs
        base, maximum = self.root(x), self.maker(self.root(y))
        if maximum is None or maximum.kind != "maximum" or self.root(maximum.inputs[0]) != base:
            return False
        own, groups = self._places(x), self._groups(maximum, y)
        member = self._membership(maximum)
        if own is None or groups is None or member is None:
            return False
        return bool(np.all(member[own].reshape(-1) == np.broadcast_to(groups, own.shape).reshape(-1)))

    def quotient(self, op: Op) -> int | None:
        """The numerator of x / sum(x), each element with the sum of a group that it belongs to; else None."""
        for x, y in (op.inputs, op.inputs[::-1]):
            inverse = self.maker(self.root(y))
            if inverse is None or inverse.attributes.get("name") not in _RECIPROCALS:
                continue
            total = self.maker(self.root(inverse.inputs[0]))
            if total is None or total.kind != "sum" or self.root(total.inputs[0]) != self.root(x):
                continue
            if self._shares_group(x, y, total):
                return x
        return None

    def _shares_group(self, x: int, y: int, total: Op) -> bool:
        inverse = self.maker(self.root(y))
        own, outer, member = self._places(x), self._places(y), self._membership(total)
        inner = None if inverse is None else self._places(inverse.inputs[0])
        if own is None or outer is None or member is None or inner is None:
            return False
        groups = inner.reshape(-1)[outer]
        return bool(np.all(member[own].reshape(-1) == np.broadcast_to(groups, own.shape).reshape(-1)))

    def has_the_maximum(self, op: Op) -> bool:
        """Whether each sum is over exp(x - max(x)) for all x of a group, so that one of its terms is 1."""
        power = self.maker(self.root(op.inputs[0]))
        if power is None or power.attributes.get("name") != "exp":
            return False
        difference = self.maker(self.root(power.inputs[0]))
        if difference is None or difference.kind != "sub" or not self.is_below_maximum(difference):
            return False
        maximum = self.maker(self.root(difference.inputs[1]))
        terms, inner = self._places(op.inputs[0]), self._places(power.inputs[0])
        groups = None if maximum is None else self._groups(maximum, difference.inputs[1])
        own = self._places(difference.inputs[0])
        if maximum is None or terms is None or inner is None or groups is None or own is None:
            return False
        shape = self.types[difference.outputs[0]].shape
        order = inner.reshape(-1)[terms]
        rows = _grouped(np.broadcast_to(groups, shape).reshape(-1)[order], _axes(op))
        elements = np.sort(_grouped(own.reshape(-1)[order], _axes(op)), axis=0)
        wanted = self.types[maximum.inputs[0]].shape[_axis(maximum)]
        distinct = bool(np.all(elements[1:] != elements[:-1]))
        return rows.shape[0] == wanted and bool(np.all(rows == rows[:1])) and distinct

    def one_of_many(self, op: Op) -> int | None:
        """The value x in a sum of where(k == i, x, 0) over different public k, of which one can be meant; else None."""
        chosen = self.maker(self.root(op.inputs[0]))
        if chosen is None or chosen.kind != "select" or self.number(chosen.inputs[2]) != 0:
            return None
        test, terms = self.maker(self.root(chosen.inputs[0])), self._places(op.inputs[0])
        if test is None or test.kind != "equal" or terms is None:
            return None
        bits = self._places(chosen.inputs[0])
        for k, i in (test.inputs, test.inputs[::-1]):
            constant, index = self.maker(k), self._places(i)
            if constant is None or constant.constant is None or index is None or bits is None:
                continue
            shape = self.types[test.outputs[0]].shape
            order = bits.reshape(-1)[terms]
            keys = _grouped(np.broadcast_to(constant.constant.array, shape).reshape(-1)[order], _axes(op))
            places = _grouped(np.broadcast_to(index, shape).reshape(-1)[order], _axes(op))
            keys = np.sort(keys, axis=0)
            if bool(np.all(keys[1:] != keys[:-1])) and bool(np.all(places == places[:1])):
                return chosen.inputs[1]
        return None

    def condition(self, value: int) -> Condition | None:
        """The comparison that a bit is, or whose opposite it is; else None."""
        chain, direct = [], True
        op = self.maker(value)
        while op is not None and (op.kind == "not" or self._view(op.outputs[0]) is not None):
            direct = direct != (op.kind == "not")
            chain.append(op)
            op = self.maker(op.inputs[0])
        if op is None or op.kind != "less":
            return None
        moved = [step for step in chain if step.kind == "view" and step.attributes["how"] != "reshape"]
        order = self._followed(op.outputs[0], chain[::-1]) if moved else None
        known = not moved or order is not None
        p, q = op.inputs
        return Condition(p, q, direct, order, known)

    def relation(self, value: int, other: int, condition: Condition) -> int:
        """1 if a value is what a condition compares (`other`), element by element, -1 if it is its opposite, else 0."""
        if self.number(other) is not None:
            alike = self.number(value) == self.number(other)
            return int(alike and self.types[value].fraction == self.types[other].fraction)
        if not condition.known:
            return 0
        (own, negative), (base, opposite) = self._plain(value), self._plain(other)
        if own == base and condition.order is None:
            return 1 if negative == opposite else -1
        (own, negative, places), (base, opposite, compared) = self._signed(value), self._signed(other)
        if own != base or places is None or compared is None:
            return 0
        met = compared if condition.order is None else compared[condition.order.reshape(-1)]
        return (1 if negative == opposite else -1) if np.array_equal(places, met) else 0

    def _plain(self, value: int) -> tuple[int, bool]:
        """The value before reshapes and changes of sign, and whether its sign changed."""
        negative = False
        while True:
            value = self._unshaped(value)
            op = self.maker(value)
            if op is None or op.kind != "neg":
                return value, negative
            value, negative = op.inputs[0], not negative

    def _signed(self, value: int) -> tuple[int, bool, NDArray[np.int64] | None]:
        """The root of views and changes of sign, whether the sign changed, and where each element is in it."""
        chain, negative = [], False
        while (op := self._view(value) or self._opposite(value)) is not None:
            negative = negative != (op.kind == "neg")
            chain.append(op)
            value = op.inputs[0]
        places = self._followed(value, chain[::-1])
        return value, negative, None if places is None else places.reshape(-1)

    def _opposite(self, value: int) -> Op | None:
        op = self.maker(value)
        return op if op is not None and op.kind == "neg" else None

    # -- values -------------------------------------------------------------------------------------------------
    def maker(self, value: int) -> Op | None:
        """The operation that makes a value."""
        return self._made_by.get(value)

    def number(self, value: int) -> int | None:
        """The one ring element that a constant consists of, signed; else None."""
        op = self.maker(value)
        if op is None or op.constant is None or op.constant.bits:
            return None
        words = op.constant.array.view(np.int64)
        return int(words.flat[0]) if words.size and bool(np.all(words == words.flat[0])) else None

    def root(self, value: int) -> int:
        """The value that a chain of views starts from."""
        while (op := self._view(value)) is not None:
            value = op.inputs[0]
        return value

    def same(self, x: int, y: int) -> bool:
        """Whether two values have the same elements at the same places."""
        if x == y or self._unshaped(x) == self._unshaped(y):
            return True
        if self.root(x) != self.root(y):
            return False
        own, other = self._places(x), self._places(y)
        return own is not None and other is not None and np.array_equal(own.reshape(-1), other.reshape(-1))

    def _view(self, value: int) -> Op | None:
        op = self.maker(value)
        return op if op is not None and op.kind == "view" and op.attributes["how"] != "pad" else None

    def _unshaped(self, value: int) -> int:
        """The value before it was reshaped."""
        while (op := self._view(value)) is not None and op.attributes["how"] == "reshape":
            value = op.inputs[0]
        return value

    def _places(self, value: int) -> NDArray[np.int64] | None:
        """For each element of a view, its number in the root; None if that is too much work."""
        chain: list[Op] = []
        while (op := self._view(value)) is not None:
            chain.append(op)
            value = op.inputs[0]
        return self._followed(value, chain[::-1])

    def _followed(self, root: int, chain: list[Op]) -> NDArray[np.int64] | None:
        """Element numbers of a root after a chain of views; other operations of the chain keep elements in place."""
        kinds = [self.types[root], *(self.types[op.outputs[0]] for op in chain)]
        if any(kind.size > _MOST_ELEMENTS for kind in kinds):
            return None
        numbers: NDArray[Any] = np.arange(self.types[root].size).reshape(self.types[root].shape)
        for op in chain:
            if op.kind == "view":
                numbers = view_function(op.attributes, self.types[op.outputs[0]].shape)(numbers)
        return numbers

    def _groups(self, reduction: Op, value: int) -> NDArray[np.int64] | None:
        """For each element of a view of a reduction, the number of its group."""
        return self._places(value) if self.root(value) == reduction.outputs[0] else None

    def _membership(self, reduction: Op) -> NDArray[np.int64] | None:
        """For each element of the root that is reduced, the number of its group; -1 if it is in none."""
        pile = reduction.inputs[0]
        places = self._places(pile)
        if places is None:
            return None
        shape, axes = self.types[pile].shape, _axes(reduction)
        kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
        numbers = np.broadcast_to(np.arange(int(np.prod(kept, dtype=np.int64))).reshape(kept), shape)
        member = np.full(self.types[self.root(pile)].size, -1, np.int64)
        member[places.reshape(-1)] = numbers.reshape(-1)
        return member


def _axes(op: Op) -> tuple[int, ...]:
    axes = op.attributes.get("axes")
    return axes if isinstance(axes, tuple) else (_axis(op),)


def _axis(op: Op) -> int:
    axis = op.attributes["axis"]
    return axis if isinstance(axis, int) else 0


def _grouped(array: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """The summed axes first, as one; all others second."""
    kept = tuple(axis for axis in range(array.ndim) if axis not in axes)
    count = int(np.prod([array.shape[axis] for axis in axes], dtype=np.int64))
    return array.transpose(*axes, *kept).reshape(count, -1)
