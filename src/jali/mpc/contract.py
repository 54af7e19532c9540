# SPDX-License-Identifier: Apache-2.0
"""What an MPC protocol must provide: about twenty operations on shares of ring elements.

A protocol is written once per *role* (the computing parties are roles 0, 1, ...; a dealer is a role too). All roles
run the same program, call the same operations in the same order and yield at the same points (a role that has
nothing to say yields `Round({}, {})`). Hence a plain counter names every mask, and corrections of a dealer arrive in
the order in which they are used. An owner of data who is no role joins `input` and `reveal` as the *guest*, with the
number that follows the roles'; it reveals an `Outline` of the share that it has no part of.

Everything above (fixed point, comparisons against constants, sigmoid, sorting) is written once over this contract,
for all protocols and all roles, and for the estimator, which has shapes and no data (`jali.mpc.cost.estimate`).

Shares outlive the instance that made them: a value that one node shared serves the nodes after it, concurrent ones
too. So an operation never changes a share, and what an instance learns of it (an opening) is kept in the instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jali.core.threat import Dealt, Threat
    from jali.crypto.prg import Prg
    from jali.mpc.functions.tables import Table
    from jali.mpc.rounds import Round
    from jali.transport.channel import Stream

__all__ = ["Arithmetic", "Boolean", "Dealable", "Estimable", "MpcProtocol", "Outline"]


class Outline:
    """The shape of a secret array, for a party that has no part of it."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Name the shape."""
        self.shape = shape


class Arithmetic(Protocol):
    """One role's part of a secret array over Z_2^64; has a shape, never a value, repr or truth."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the secret array."""
        ...


class Boolean(Protocol):
    """One role's part of a secret array of bits, packed 64 to a word in C order."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the secret array."""
        ...


class MpcProtocol(Protocol):
    """One role's side of a protocol, for the life of one graph node."""

    name: ClassVar[str]
    roles: ClassVar[tuple[str, ...]]
    owners: ClassVar[tuple[int, ...]]
    """The roles that own inputs and learn outputs; the others are helpers, who hold no data."""
    dealer: ClassVar[int | None]
    """The role that sends ahead of time what the others compute with."""
    threat: ClassVar[Threat]
    holders: ClassVar[tuple[int, ...]]
    role: int

    def __init__(self, role: int, *, prgs: Mapping[int, Prg], streams: Mapping[int, Stream]) -> None:
        """One role's side, or the guest's.

        `prgs` has a generator shared with each other role (and the guest), fresh for this instance; `streams` are
        those that `drive` uses, by role.
        """
        ...

    def finish(self) -> None:
        """Say that no operation follows; every role calls it once, after the last. A dealer sends what it holds back.

        Raises: ProtocolAbort if corrections are left over: the roles ran different programs.
        """
        ...

    @property
    def dealt(self) -> tuple[Dealt, ...]:
        """What a dealer sends ahead of time for the operations so far, known alike to every role."""
        ...

    # -- in and out ---------------------------------------------------------------------------------------------
    def input(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, Arithmetic]:
        """Share an array that `owner` (a role, or the guest) has in clear; everybody else passes None."""
        ...

    def input_bits(
        self, value: NDArray[np.bool_] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, Boolean]:
        """Share bits; like `input`."""
        ...

    def reveal(self, x: Arithmetic, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """Open to the roles (or guest) in `to`; None for everybody else. Cost: 1 round."""
        ...

    def reveal_bits(self, x: Boolean, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.bool_] | None]:
        """Open bits to the roles (or guest) in `to`."""
        ...

    # -- additive parts, for moves between devices and for saving ------------------------------------------------
    @classmethod
    def additive_part(cls, role: int, x: Arithmetic | Boolean) -> NDArray[np.uint64]:
        """The part of x that one of `holders` has: over all of them they add up to x (bits, packed: xor).

        Security: what others know of a part depends on how x came about: add a sharing of 0 before it goes anywhere.
        """
        ...

    def from_parts(
        self, part: NDArray[np.uint64] | None, shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, Any]:
        """The secret whose additive parts the `holders` pass in; everybody else passes None."""
        ...

    # -- linear, local ------------------------------------------------------------------------------------------
    def public(self, value: NDArray[np.uint64]) -> Arithmetic:
        """A value that everybody knows, as a share."""
        ...

    def linear(
        self,
        function: Callable[..., NDArray[np.uint64]],
        *shares: Arithmetic,
        shape: tuple[int, ...],
    ) -> Arithmetic:
        """Apply a Z_2^64-linear map (no constant term), known to all: sums, reshapes, gathers, public matrices."""
        ...

    def add_public(self, x: Arithmetic, value: NDArray[np.uint64]) -> Arithmetic:
        """x + value, broadcasting `value` to the shape of x."""
        ...

    # -- products -----------------------------------------------------------------------------------------------
    def mul(
        self, x: Arithmetic, y: Arithmetic, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, Arithmetic]:
        """Elementwise product (equal shapes), then `truncate` by `shift` bits when that is not 0.

        `wide`, with a shift of 1 to 64 bits: |x y| may reach 2^126 before it is truncated, where |x| < 2^62, |y| < 2^62
        and the result lies between -2^62 and 2^62. A `wide` product may be `exact`: floor(x y / 2^shift + 1/2).
        """
        ...

    def dot(
        self, x: Arithmetic, y: Arithmetic, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, Arithmetic]:
        """Matrix product (m, k) @ (k, n), or a batch (b, m, k) @ (b, k, n), then `truncate` by `shift`."""
        ...

    def truncate(self, x: Arithmetic, bits: int) -> Generator[Round, Any, Arithmetic]:
        """floor(x / 2^bits) + e with e in {0, 1}, for signed x with |x| < 2^62; never a wrap-around error."""
        ...

    # -- bits ---------------------------------------------------------------------------------------------------
    def public_bits(self, value: NDArray[np.bool_]) -> Boolean:
        """Bits that everybody knows, as a share."""
        ...

    def random_bits(self, shape: tuple[int, ...]) -> Boolean:
        """Fresh uniform bits of which every role lacks a part; local."""
        ...

    def permute_bits(
        self, function: Callable[..., NDArray[np.bool_]], *bits: Boolean, shape: tuple[int, ...]
    ) -> Boolean:
        """Apply a rearrangement (reshape, gather, concatenate, broadcast; no arithmetic) to arrays of bits."""
        ...

    def xor(self, a: Boolean, b: Boolean) -> Boolean:
        """Exclusive or; local."""
        ...

    def invert(self, a: Boolean) -> Boolean:
        """Not; local."""
        ...

    def conjunction(self, a: Boolean, b: Boolean) -> Generator[Round, Any, Boolean]:
        """And. Cost: 1 round."""
        ...

    def sign(self, x: Arithmetic, *, bits: int = 64) -> Generator[Round, Any, Boolean]:
        """Whether x < 0 as a signed number: the top bit of x mod 2^bits. Exact for every ring element.

        `bits` is 64, 32 or 16, here and below: who asks for less knows that -2^(bits - 1) <= x < 2^(bits - 1), or wants
        that bit. It may cost less.
        """
        ...

    def at_least(self, x: Arithmetic, thresholds: Sequence[int], *, bits: int = 64) -> Generator[Round, Any, Boolean]:
        """Bits [x >= t] for all public thresholds (signed ring elements) at once; |x - t| < 2^(bits - 1).

        Shapes: (K, *x.shape) for K thresholds.
        """
        ...

    def is_zero(self, x: Arithmetic, *, bits: int = 64) -> Generator[Round, Any, Boolean]:
        """Whether x = 0. Exact."""
        ...

    def all_of(self, bits: Boolean) -> Generator[Round, Any, Boolean]:
        """And along the first axis."""
        ...

    def compare_with_zero(self, x: Arithmetic, *, bits: int = 64) -> Generator[Round, Any, tuple[Boolean, Boolean]]:
        """The most significant bit, and whether all others are 0: x < 0 and x = 0, for x other than -2^(bits - 1).

        Cost: hardly more than `sign`.
        """
        ...

    def to_arithmetic(self, b: Boolean) -> Generator[Round, Any, Arithmetic]:
        """The bits as ring elements 0 and 1."""
        ...

    def select(self, b: Boolean, x: Arithmetic) -> Generator[Round, Any, Arithmetic]:
        """x where b, else 0 (equal shapes)."""
        ...

    # -- tables -------------------------------------------------------------------------------------------------
    def lookup(self, x: Arithmetic, table: Table) -> Generator[Round, Any, Arithmetic]:
        """The function of each element; anything outside the table's domain.

        Shapes: (table.outputs, *x.shape).
        """
        ...

    # -- order --------------------------------------------------------------------------------------------------
    def shuffle(self, *columns: Arithmetic) -> Generator[Round, Any, list[Arithmetic]]:
        """Columns of one shape (b, n), each row permuted in all of them alike, by an order that no role knows.

        The results are fresh, and stay in a form in which `linear` may apply a rearrangement that only those roles
        know to whom `disclose` opens: others never evaluate it. They must not be opened before.
        """
        ...

    def disclose(self, x: Arithmetic | Boolean) -> Generator[Round, Any, NDArray[Any] | None]:
        """Open numbers or bits to all roles from whom `shuffle` hides the order; None for others, and without data.

        Security: whoever calls it shows that x is independent of all secrets, as an order is after a shuffle.
        Cost: 1 round.
        """
        ...


class Estimable(Protocol):
    """What a protocol that communicates offers besides: its control flow without data, for `jali.mpc.cost.estimate`."""

    @classmethod
    def sizes(cls, role: int) -> MpcProtocol:
        """The side of a role whose arrays have shapes and no content, and whose rounds have the real sizes."""
        ...

    def prefetch(self) -> None:
        """Wait for all that a dealer sends."""
        ...


class Dealable(MpcProtocol, Estimable, Protocol):
    """What a protocol with a dealer offers besides, so that the dealer may have dealt before and be gone."""

    def scatter(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...], *, bits: bool = False
    ) -> Generator[Round, Any, Any]:
        """Share numbers, or packed bits, of an evaluator or the guest without the dealer."""
        ...

    def detach(self, x: Any) -> Any:
        """The same secret in a form that no mask of the dealer's has part in."""
        ...
