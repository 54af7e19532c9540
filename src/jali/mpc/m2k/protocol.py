# SPDX-License-Identifier: Apache-2.0
"""m2k: two evaluators compute on masked values, a dealer who sees shapes and no data supplies what they multiply with.

A share is in one of two states, the same at every role. *Masked*: both evaluators know x + lam, where lam = lam_0 +
lam_1; the dealer draws lam_i from a generator that it shares with evaluator i. *Additive*: x = s_0 + s_1, the dealer
knows nothing. Opening an additive share under a fresh mask makes it masked (one round, once for each share); products
of masked values are additive. Packed bits follow the same rules with xor and and.

References: Chaudhari, Choudhury, Patra, Suresh 2019, ASTRA (ePrint 2019/429); Patra, Schneider, Suresh, Yalame 2021,
ABY2.0 (ePrint 2020/1225). The docs page "explanation/protocols/m2k" has the formulas and the security argument.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jali import kernels
from jali.core.errors import ProtocolUseError
from jali.core.threat import Threat
from jali.mpc.contract import Outline
from jali.mpc.functions.tables import CHUNK
from jali.mpc.m2k import convert, trees
from jali.mpc.m2k.scatter import GUEST, Scattering
from jali.mpc.m2k.shares import Additive, Masked, part_of
from jali.mpc.m2k.shuffle import shuffle
from jali.mpc.m2k.sides import DEALER, EVALUATORS, Dealer, Evaluator, Outsider, Side, Sizes
from jali.mpc.m2k.wide import product
from jali.mpc.m2k.wires import Wires
from jali.mpc.rings import Ring, of_bits
from jali.mpc.rounds import Round
from jali.mpc.wide import dot, multiply
from jali.mpc.words import (
    NOTHING,
    gathered,
    given,
    layout,
    matrix_shape,
    minus,
    on_bits,
    plus,
    require_equal,
    unpacked,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from jali.core.threat import Dealt
    from jali.crypto.prg import Prg
    from jali.mpc.functions.tables import Table
    from jali.mpc.m2k.wires import Share
    from jali.transport.channel import Stream

__all__ = ["M2k"]

_HEADROOM = np.uint64(1 << 62)
_TOP = np.uint64(63)


class M2k:
    """One role's side of m2k; see `jali.mpc.contract.MpcProtocol` for the operations.

    Security: semi-honest; one of the three corrupted (an evaluator and the dealer together learn everything).
    Cost: as each operation says, in bytes for each element that an evaluator sends (B), in rounds, and in bytes that
    the dealer sends to evaluator 1 ahead of time (offline B). Where operands are not masked yet, opening them adds
    8 B (bits: 1/8 B) each and one round for all together.
    """

    name: ClassVar[str] = "m2k"
    roles: ClassVar[tuple[str, ...]] = ("evaluator0", "evaluator1", "dealer")
    holders: ClassVar[tuple[int, ...]] = EVALUATORS
    owners: ClassVar[tuple[int, ...]] = EVALUATORS
    dealer: ClassVar[int | None] = DEALER
    threat: ClassVar[Threat] = Threat(
        parties=3,
        corrupt=1,
        adversary="semi-honest",
        abort="a message of the wrong length ends the program; wrong words are not noticed",
        assumptions=(
            "no evaluator colludes with the dealer",
            "AES-128 is a pseudo-random function",
            "truncated numbers lie within -2^62 and 2^62",
        ),
        paper="Chaudhari et al. 2019 (ePrint 2019/429), Patra et al. 2021 (ePrint 2020/1225)",
    )

    def __init__(self, role: int, *, prgs: Mapping[int, Prg], streams: Mapping[int, Stream]) -> None:
        """The side of `role`; `streams` are used for the dealer's corrections only.

        Without a generator shared with the dealer, an evaluator can do what needs none: `scatter`, `detach`, `reveal`.
        """
        if role == GUEST:
            side: Side = Outsider()
        elif role == DEALER:
            side = Dealer(dealing=(prgs[0], prgs[1]), stream=streams[1])
        else:
            side = Evaluator(role, dealing=prgs.get(DEALER), stream=streams.get(DEALER) if role == 1 else None)
        self._set_up(role, side, prgs)

    @classmethod
    def sizes(cls, role: int) -> Self:
        """The same control flow without data, for the estimator."""
        protocol = cls.__new__(cls)
        protocol._set_up(role, Sizes(), {})  # noqa: SLF001 - a second constructor
        return protocol

    def _set_up(self, role: int, side: Side, prgs: Mapping[int, Prg]) -> None:
        self.role = role
        self._side = side
        self._prgs = prgs
        self._leader = role == 0
        self._wires = Wires(role, side)
        self._scattering = Scattering(role, side, prgs)

    @property
    def dealt(self) -> tuple[Dealt, ...]:
        """What the dealer sent so far, or will send."""
        return self._wires.dealt

    def prefetch(self) -> None:
        """Wait for all of the dealer's corrections, so that what follows is online work only."""
        self._side.prefetch()

    def finish(self) -> None:
        """End the corrections.

        Raises: ProtocolAbort if some were not used.
        """
        self._wires.openings.forget()
        self._side.finish()

    # -- in and out ---------------------------------------------------------------------------------------------
    def input(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, Share]:
        """Share an array: masked if a role owns it, additive if the guest does.

        Security: an evaluator sees x + lam, uniform, or a uniform share; the dealer nothing of what is not its own.
        Cost: 1 round, 8 B one way; a dealer that owns data sends 8 B to both evaluators.
        Raises: ProtocolUseError if the owner cannot be one, or has no array of that shape.
        """
        return (yield from self._input(value, owner, shape, bits=False))

    def input_bits(
        self, value: NDArray[np.bool_] | None, owner: int, shape: tuple[int, ...]
    ) -> Generator[Round, Any, Share]:
        """Share bits; like `input` with 1/8 B for 8 B."""
        return (yield from self._input(value, owner, shape, bits=True))

    def _input(
        self, value: NDArray[Any] | None, owner: int, shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, Share]:
        if owner not in (*self.owners, GUEST):
            owners = ", ".join(map(str, self.owners))
            raise ProtocolUseError(f"{self.name} takes inputs of roles {owners} and of the guest, not of role {owner}")
        mine = owner == self.role and not isinstance(self._side, Sizes)
        array = given(value, shape, bits=bits) if mine else NOTHING
        if owner == GUEST:
            return (yield from self.scatter(array, owner, shape, bits=bits))
        words = layout(shape, bits=bits)
        nonce = self._wires.nonce()
        mask = self._side.mask(words, nonce, ring=of_bits(bits), owner=None if owner == DEALER else owner)
        masked = NOTHING
        if self.role == owner:
            masked = self._side.track(words, lambda: plus(array, mask, bits=bits))
            yield Round({peer: [masked] for peer in EVALUATORS if peer != owner}, {})
        elif self.role in EVALUATORS:
            masked = (yield Round({}, {owner: math.prod(words)}))[owner].reshape(words)
        else:
            yield Round({}, {})
        return Masked(shape, masked, mask, bits=bits)

    def scatter(
        self, value: NDArray[np.uint64] | None, owner: int, shape: tuple[int, ...], *, bits: bool = False
    ) -> Generator[Round, Any, Additive]:
        """Share numbers or packed bits additively, without the dealer.

        Security: each part alone is uniform.
        Cost: nothing from an evaluator; 1 round, 8 B from the guest (bits: 1/8 B).
        """
        return (yield from self._scattering.share(value, owner, shape, bits=bits))

    def detach(self, x: Share) -> Additive:
        """The additive form, of which the dealer holds nothing; local."""
        return self._wires.additive(x)

    def reveal(self, x: Any, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """Open to owners of data or the guest.

        Security: an evaluator sees its peer's share, which x and its own determine. Whoever has no share sees two that
        are made fresh, so that it learns x and not the sharing's history. A dealer that owns data knows the mask of a
        masked x, so x + lam tells it x and nothing else.
        Cost: 1 round, 8 B to an evaluator; 8 B from both evaluators to anybody else (x + lam: from one).
        """
        return (yield from self._reveal(x, to, bits=False))

    def reveal_bits(self, x: Any, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.bool_] | None]:
        """Open bits; like `reveal` with 1/8 B for 8 B."""
        words = yield from self._reveal(x, to, bits=True)
        if words is None:
            return None
        return unpacked(words, x.shape)

    def _reveal(
        self, x: Share | Outline, to: Sequence[int], *, bits: bool
    ) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        if not set(to) <= {*self.owners, GUEST}:
            owners = ", ".join(map(str, self.owners))
            raise ProtocolUseError(f"{self.name} reveals to roles {owners} and the guest, not to the roles {list(to)}")
        words = layout(x.shape, bits=bits)
        # The dealer knows the mask of a masked x; whoever else is no evaluator is sent two shares, made fresh.
        unmasks = DEALER in to and isinstance(x, Masked)
        outside = [role for role in (DEALER, GUEST) if role in to and not (role == DEALER and unmasks)]
        nonce = self._scattering.nonce() if outside else 0
        if self.role not in EVALUATORS or isinstance(x, Outline):
            return (yield from self._received(x, words, to, bits=bits))
        send = {}
        if 1 - self.role in to:
            send[1 - self.role] = [x.mask if isinstance(x, Masked) else x.part]
        if outside:
            part = self._wires.additive(x).part
            fresh = self._side.evaluate(words, lambda: self._refreshed(part, nonce, bits=bits))
            send |= {role: [fresh] for role in outside}
        if isinstance(x, Masked) and unmasks and self._leader:
            send[DEALER] = [x.masked]
        replies = yield Round(send, {1 - self.role: math.prod(words)} if self.role in to else {})
        if self.role not in to:
            return None
        theirs = replies[1 - self.role].reshape(words)
        if isinstance(x, Masked):
            return minus(minus(x.masked, x.mask, bits=bits), theirs, bits=bits)
        return plus(x.part, theirs, bits=bits)

    def _received(
        self, x: Share | Outline, words: tuple[int, ...], to: Sequence[int], *, bits: bool
    ) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """What the dealer or the guest learns: the sum of two shares, or x + lam less lam."""
        if self.role not in to:
            yield Round({}, {})
            return None
        senders = EVALUATORS[:1] if isinstance(x, Masked) else EVALUATORS
        with self._side.hurry():
            replies = yield Round({}, dict.fromkeys(senders, math.prod(words)))
        if isinstance(x, Masked):
            return minus(replies[0].reshape(words), x.mask, bits=bits)
        return plus(replies[0], replies[1], bits=bits).reshape(words)

    def _refreshed(self, part: NDArray[np.uint64], nonce: int, *, bits: bool) -> NDArray[np.uint64]:
        """The part plus this evaluator's part of a fresh sharing of 0."""
        prg = self._prgs[1 - self.role]
        if bits:
            return prg.xor(part, nonce)
        return prg.add(part, nonce) if self._leader else prg.sub(part, nonce)

    # -- additive parts -----------------------------------------------------------------------------------------
    @classmethod
    def additive_part(cls, role: int, x: Share) -> NDArray[np.uint64]:
        """An evaluator's part of the additive form; of a masked value the dealer knows what evaluator 1 holds."""
        return part_of(x, role)

    def from_parts(
        self, part: NDArray[np.uint64] | None, shape: tuple[int, ...], *, bits: bool
    ) -> Generator[Round, Any, Additive]:
        """The additive share. No communication."""
        yield from ()
        own = NOTHING if part is None else part
        return Additive(shape, self._side.evaluate(layout(shape, bits=bits), lambda: own), bits=bits)

    # -- linear, local ------------------------------------------------------------------------------------------
    def public(self, value: NDArray[np.uint64]) -> Masked:
        """A known value, masked by 0."""
        return self._wires.known(whole(value, value.shape), value.shape, bits=False)

    def linear(self, function: Callable[..., NDArray[np.uint64]], *shares: Share, shape: tuple[int, ...]) -> Share:
        """Apply a linear map; the result is masked if all operands are. No communication."""
        return self._wires.mapped(lambda *arrays: whole(function(*arrays), shape), shares, shape, bits=False)

    def add_public(self, x: Share, value: NDArray[np.uint64]) -> Share:
        """x + value: to what is public of x, or to evaluator 0's part. No communication."""
        known = self._wires.find(x)
        if isinstance(known, Masked):
            masked = self._side.evaluate(x.shape, lambda: whole(np.add(known.masked, value), x.shape))
            return Masked(x.shape, masked, known.mask)
        part = known.part
        if self._leader:
            part = self._side.evaluate(x.shape, lambda: whole(np.add(known.part, value), x.shape))
        return Additive(x.shape, part)

    # -- products -----------------------------------------------------------------------------------------------
    def settle(self, *shares: Share) -> Generator[Round, Any, list[Share]]:
        """The masked forms: copies of them, and their differences with public numbers, are not opened again."""
        return [*(yield from self._wires.open(*shares))]

    def mul(
        self, x: Share, y: Share, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, Share]:
        """Elementwise product: z_i = [i = 0] Dx Dy - Dx ly_i - Dy lx_i + g_i, where g shares lx ly.

        Cost: no round, 8 offline B; with `shift` one round, 8 B, 24 offline B; `wide` as `jali.mpc.m2k.wide` says.
        """
        require_equal("mul", x.shape, y.shape)
        if wide:
            return (yield from product(self._wires, x, y, times=multiply, shape=x.shape, shift=shift, exact=exact))
        mx, my = yield from self._wires.open(x, y)
        # The product that is truncated next has 2^62 added on the way, for nothing.
        offset = _HEADROOM if shift else np.uint64(0)
        g = self._wires.deal(x.shape, lambda: mx.mask * my.mask + offset)
        z = self._side.evaluate(
            x.shape,
            lambda: kernels.masked_product(mx.masked, my.masked, mx.mask, my.mask, g, leader=self._leader, out=g),
        )
        return (yield from self._shifted(z, x.shape, shift)) if shift else Additive(x.shape, z)

    def dot(
        self, x: Share, y: Share, *, shift: int = 0, wide: bool = False, exact: bool = False
    ) -> Generator[Round, Any, Share]:
        """Matrix product: z_i = Dx ([i = 0] Dy - ly_i) - lx_i Dy + g_i, where g shares lx ly.

        Cost: no round, 8 offline B for each element of the result; with `shift` one round, 8 B, 24 offline B.
        """
        shape = matrix_shape(x.shape, y.shape)
        if wide:
            return (yield from product(self._wires, x, y, times=dot, shape=shape, shift=shift, exact=exact))
        mx, my = yield from self._wires.open(x, y)
        offset = _HEADROOM if shift else np.uint64(0)
        g = self._wires.deal(shape, lambda: kernels.matmul(mx.mask, my.mask) + offset)

        def multiplied() -> NDArray[np.uint64]:
            right = my.masked - my.mask if self._leader else np.negative(my.mask)
            first = kernels.matmul(mx.masked, right, add=g)
            return kernels.matmul(np.negative(mx.mask), my.masked, add=first)

        z = self._side.evaluate(shape, multiplied)
        return (yield from self._shifted(z, shape, shift)) if shift else Additive(shape, z)

    def truncate(self, x: Share, bits: int) -> Generator[Round, Any, Additive]:
        """floor(x / 2^bits) + e, e in {0, 1}, for -2^62 <= x < 2^62.

        Security: c = x + 2^62 + r is uniform; the shares of the result are fresh. Which of the two neighbours comes
        out depends on x and the mask; see the docs page before revealing many truncations of one secret.
        Cost: 16 offline B; 1 round and 8 B unless x is masked already.
        References: Escudero, Ghosh, Keller, Rachuri, Scholl 2020 (ePrint 2020/338), on truncation with the top bit of
        the mask.
        """
        known = self._wires.find(x)
        if isinstance(known, Masked):
            c = self._side.evaluate(x.shape, lambda: known.masked + _HEADROOM)
            return self._rescaled(c, known.mask, x.shape, bits)
        part = known.part
        if self._leader:
            part = self._side.evaluate(x.shape, lambda: known.part + _HEADROOM)
        return (yield from self._shifted(part, x.shape, bits))

    def _shifted(self, part: NDArray[np.uint64], shape: tuple[int, ...], bits: int) -> Generator[Round, Any, Additive]:
        """Truncate additive shares of x + 2^62."""
        blinded = self._side.blind(part, shape, self._wires.nonce())
        if self.role == DEALER:
            yield Round({}, {})
            return self._rescaled(NOTHING, blinded, shape, bits)
        theirs = yield from self._wires.swap([blinded], math.prod(shape))
        c = self._side.evaluate(shape, lambda: gathered(theirs.reshape(shape), blinded))
        return self._rescaled(c, NOTHING, shape, bits)

    def _rescaled(self, c: NDArray[np.uint64], r: NDArray[np.uint64], shape: tuple[int, ...], bits: int) -> Additive:
        """(c >> bits) - 2^(62 - bits) - (c < 2^63 ? A : B), A = (r >> bits) - msb(r) 2^(64 - bits), B = r >> bits."""
        if not 0 < bits < 62:
            raise ProtocolUseError(f"truncate: expected 1 to 61 bits, found {bits}")
        low = np.uint64(bits)
        b = self._wires.deal(shape, lambda: r >> low)
        a = self._wires.deal(shape, lambda: (r >> low) - ((r >> _TOP) << np.uint64(64 - bits)))
        part = self._side.evaluate(shape, lambda: kernels.masked_truncate(c, a, b, bits, leader=self._leader, out=a))
        return Additive(shape, part)

    # -- bits ---------------------------------------------------------------------------------------------------
    def public_bits(self, value: NDArray[np.bool_]) -> Masked:
        """Known bits, masked by 0."""
        return self._wires.known(kernels.pack_bits(value.reshape(-1)), value.shape, bits=True)

    def random_bits(self, shape: tuple[int, ...]) -> Additive:
        """Bits of three summands: what each evaluator draws with the dealer, and what both draw together.

        Security: an evaluator does not know what the other one drew with the dealer, nor the dealer what the
        evaluators drew; for each of them the bits are uniform. No communication.
        """
        words, nonce = layout(shape, bits=True), self._wires.nonce()

        def part() -> NDArray[np.uint64]:
            own = self._prgs[DEALER].words(nonce, words)
            return self._prgs[1].xor(own, nonce) if self._leader else own

        return Additive(shape, self._side.evaluate(words, part), bits=True)

    def permute_bits(self, function: Callable[..., NDArray[np.bool_]], *bits: Share, shape: tuple[int, ...]) -> Share:
        """Rearrange bits; the result is masked if all operands are. No communication."""
        return self._wires.mapped(on_bits(function, [part.shape for part in bits]), bits, shape, bits=True)

    def xor(self, a: Share, b: Share) -> Share:
        """Exclusive or; local."""
        require_equal("xor", a.shape, b.shape)
        return self._wires.mapped(np.bitwise_xor, (a, b), a.shape, bits=True)

    def invert(self, a: Share) -> Share:
        """Not; local."""
        words = layout(a.shape, bits=True)
        known = self._wires.find(a)
        if isinstance(known, Masked):
            return Masked(a.shape, self._side.evaluate(words, lambda: ~known.masked), known.mask, bits=True)
        part = self._side.evaluate(words, lambda: ~known.part) if self._leader else known.part
        return Additive(a.shape, part, bits=True)

    def conjunction(self, a: Share, b: Share) -> Generator[Round, Any, Additive]:
        """And: the product over Z_2. Cost: no round, 1/8 offline B."""
        require_equal("conjunction", a.shape, b.shape)
        ma, mb = yield from self._wires.open(a, b)
        words = layout(a.shape, bits=True)
        g = self._wires.deal(words, lambda: ma.mask & mb.mask, ring=Ring.BITS)
        part = self._side.evaluate(
            words, lambda: kernels.masked_and(ma.masked, mb.masked, ma.mask, mb.mask, g, leader=self._leader, out=g)
        )
        return Additive(a.shape, part, bits=True)

    def sign(self, x: Share, *, bits: int = 64) -> Generator[Round, Any, Additive]:
        """The top bit. Cost: 2 rounds, 5 B, 43.9 offline B; of 32 bits 2.5 and 20.9 B; of 16 1 round, 1 and 10.4 B."""
        found = yield from trees.below(self._wires, x, [0], bits=bits)
        return Additive(x.shape, found.part, bits=True)

    def at_least(self, x: Share, thresholds: Sequence[int], *, bits: int = 64) -> Generator[Round, Any, Share]:
        """[x >= t] for all thresholds. Cost: 2 rounds, 5 B and 13.8 offline B each, and 30.1 offline B."""
        return self.invert((yield from trees.below(self._wires, x, thresholds, bits=bits)))

    def compare_with_zero(self, x: Share, *, bits: int = 64) -> Generator[Round, Any, tuple[Additive, Additive]]:
        """The top bit, and whether x mod 2^63 = 0. Cost: as `sign`."""
        return trees.compare_with_zero(self._wires, x, bits=bits)

    def is_zero(self, x: Share, *, bits: int = 64) -> Generator[Round, Any, Additive]:
        """Whether x = 0.

        Cost: 2 rounds, 2.5 B, 36.9 offline B; of 32 bits 1.25 and 17.9 B; of 16 bits 1 round, 0.5 and 8.9 B.
        """
        return trees.is_zero(self._wires, x, bits=bits)

    def all_of(self, bits: Share) -> Generator[Round, Any, Additive]:
        """And along the first axis. Cost: log4 of its length in rounds, less one if the bits are masked."""
        return trees.all_of(self._wires, bits)

    def to_arithmetic(self, b: Share) -> Generator[Round, Any, Additive]:
        """b = D + lam - 2 D lam, with shares of the bit lam over Z_2^64. Cost: no round, 8 offline B."""
        return convert.to_arithmetic(self._wires, b)

    def select(self, b: Share, x: Share) -> Generator[Round, Any, Additive]:
        """b x = D_b x + (1 - 2 D_b) (lam_b D_x - lam_b lam_x). Cost: no round, 16 offline B."""
        require_equal("select", b.shape, x.shape)
        return (yield from convert.select(self._wires, b, x))

    # -- order --------------------------------------------------------------------------------------------------
    def shuffle(self, *columns: Share) -> Generator[Round, Any, list[Additive]]:
        """Permute the rows of columns by an order that neither evaluator knows.

        Cost: 2 rounds, 8 B one way in each; 1 round and 8 B from evaluator 0 if all are masked; 16 offline B.
        """
        return (yield from shuffle(self._wires, self._side, columns, role=self.role))

    def disclose(self, x: Share) -> Generator[Round, Any, NDArray[Any] | None]:
        """Open what depends on no secret to both evaluators; the dealer, who knows the order, hears nothing."""
        opened = yield from (self.reveal_bits if x.bits else self.reveal)(x, EVALUATORS)
        return None if isinstance(self._side, Sizes) else opened

    # -- tables -------------------------------------------------------------------------------------------------
    def lookup(self, x: Share, table: Table) -> Generator[Round, Any, Additive]:
        """The function of each element, from one-time tables over the opened number.

        Security: the tables' shares are uniform to each evaluator; which entry serves follows from the opened x + r.
        Cost: no round; as many offline B as the table has entries times words times 8.
        """
        (mx,) = yield from self._wires.open(x)
        size, shape = math.prod(x.shape), (table.outputs, *x.shape)
        parts = [self._looked_up(mx, table, slice(k, min(k + CHUNK, size))) for k in range(0, max(size, 1), CHUNK)]
        return Additive(shape, self._side.evaluate(shape, lambda: np.concatenate(parts, axis=1).reshape(shape)))

    def _looked_up(self, mx: Masked, table: Table, part: slice) -> NDArray[np.uint64]:
        count = part.stop - part.start
        dealt = self._wires.deal((count, *table.words), lambda: table.dealt(mx.mask.reshape(-1)[part]))
        return self._side.evaluate((table.outputs, count), lambda: table.combined(mx.masked.reshape(-1)[part], dealt))
