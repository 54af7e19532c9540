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

import itertools
import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jali import kernels
from jali.core.errors import ProtocolUseError
from jali.core.threat import Threat
from jali.mpc import m2k_compare as compare
from jali.mpc.contract import Outline
from jali.mpc.m2k_shares import Additive, Masked
from jali.mpc.m2k_sides import DEALER, EVALUATORS, Dealer, Evaluator, Outsider, Side, Sizes
from jali.mpc.m2k_wires import Wires
from jali.mpc.rounds import Round
from jali.mpc.words import NOTHING, as_numbers, gathered, layout, minus, on_bits, plus, unpacked, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.crypto.prg import Prg
    from jali.mpc.m2k_wires import Share
    from jali.transport.channel import Stream

__all__ = ["M2k"]

GUEST = 3

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
        """The side of `role`; `streams` are used for the dealer's corrections only."""
        if role == GUEST:
            side: Side = Outsider()
        elif role == DEALER:
            side = Dealer(dealing=(prgs[0], prgs[1]), stream=streams[1])
        else:
            side = Evaluator(role, dealing=prgs[DEALER], stream=streams[DEALER] if role == 1 else None)
        self._set_up(role, side, prgs)

    @classmethod
    def sizes(cls, role: int) -> M2k:
        """The same control flow without data, for the estimator."""
        protocol = cls.__new__(cls)
        protocol._set_up(role, Sizes(), {})  # noqa: SLF001 - a second constructor
        return protocol

    def _set_up(self, role: int, side: Side, prgs: Mapping[int, Prg]) -> None:
        self.role = role
        self._side = side
        self._prgs = prgs
        self._leader = role == 0
        self._guest_nonces = itertools.count()
        self._wires = Wires(role, side)

    @property
    def dealt_bytes(self) -> int:
        """What the dealer would have sent so far; known to the estimator only."""
        return self._side.dealt_bytes if isinstance(self._side, Sizes) else 0

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
        """Share an array: masked if an evaluator owns it, additive if the guest does.

        Security: the other evaluator sees x + lam, uniform, or a uniform share; the dealer nothing.
        Cost: 1 round, 8 B one way.
        Raises: ProtocolUseError if the owner cannot be one, or has no array of that shape.
        """
        if owner not in (*EVALUATORS, GUEST):
            raise ProtocolUseError(f"m2k takes inputs of evaluators and of the guest, not of role {owner}")
        given = NOTHING
        if owner == self.role and not isinstance(self._side, Sizes):
            if value is None or value.shape != shape:
                found = "none" if value is None else f"the shape {value.shape}"
                raise ProtocolUseError(f"expected an array of shape {shape} to share, found {found}")
            given = value
        if owner == GUEST:
            return (yield from self._input_of_guest(given, shape))
        nonce = self._wires.nonce()
        mask = self._side.mask(shape, nonce, bits=False, owner=owner)
        peer = 1 - owner
        if self.role == owner:
            masked = self._side.evaluate(shape, lambda: given + mask)
            yield Round({peer: [masked]}, {})
        elif self.role == peer:
            masked = (yield Round({}, {owner: math.prod(shape)}))[owner].reshape(shape)
        else:
            masked = NOTHING
            yield Round({}, {})
        return Masked(shape, masked, mask)

    def _input_of_guest(self, value: NDArray[np.uint64], shape: tuple[int, ...]) -> Generator[Round, Any, Additive]:
        """s_0 is drawn by the guest and evaluator 0 alike, s_1 = x - s_0 is sent to evaluator 1."""
        nonce = next(self._guest_nonces)
        part = NOTHING
        if self.role == GUEST:
            rest = self._side.evaluate(shape, lambda: self._prgs[0].sub(value, nonce))
            yield Round({1: [rest]}, {})
        elif self.role == 1:
            part = (yield Round({}, {GUEST: math.prod(shape)}))[GUEST].reshape(shape)
        else:
            yield Round({}, {})
        if self._leader:
            part = self._side.evaluate(shape, lambda: self._prgs[GUEST].words(nonce, shape))
        return Additive(shape, part)

    def reveal(self, x: Any, to: Sequence[int]) -> Generator[Round, Any, NDArray[np.uint64] | None]:
        """Open to evaluators or the guest.

        Security: an evaluator sees its peer's share, which x and its own determine; the guest sees two shares that are
        made fresh, so that it learns x and not the sharing's history.
        Cost: 1 round, 8 B to each receiver (the guest receives it from both evaluators).
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
        if not set(to) <= {*EVALUATORS, GUEST}:
            raise ProtocolUseError(f"m2k reveals to evaluators and to the guest, not to the roles {list(to)}")
        words = layout(x.shape, bits=bits)
        size = math.prod(words)
        nonce = self._wires.nonce() if GUEST in to else 0
        if self.role == GUEST:
            replies = yield Round({}, dict.fromkeys(EVALUATORS, size) if GUEST in to else {})
            return plus(replies[0], replies[1], bits=bits).reshape(words) if GUEST in to else None
        if self.role == DEALER or isinstance(x, Outline):
            yield Round({}, {})
            return None
        send = {}
        if 1 - self.role in to:
            send[1 - self.role] = [x.mask if isinstance(x, Masked) else x.part]
        if GUEST in to:
            part = self._wires.additive(x).part
            fresh = self._side.evaluate(words, lambda: self._refreshed(part, nonce, bits=bits))
            send[GUEST] = [fresh]
        replies = yield Round(send, {1 - self.role: size} if self.role in to else {})
        if self.role not in to:
            return None
        theirs = replies[1 - self.role].reshape(words)
        if isinstance(x, Masked):
            return minus(minus(x.masked, x.mask, bits=bits), theirs, bits=bits)
        return plus(x.part, theirs, bits=bits)

    def _refreshed(self, part: NDArray[np.uint64], nonce: int, *, bits: bool) -> NDArray[np.uint64]:
        """The part plus this evaluator's part of a fresh sharing of 0."""
        prg = self._prgs[1 - self.role]
        if bits:
            return prg.xor(part, nonce)
        return prg.add(part, nonce) if self._leader else prg.sub(part, nonce)

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
            masked = self._side.evaluate(x.shape, lambda: whole(known.masked + value, x.shape))
            return Masked(x.shape, masked, known.mask)
        part = known.part
        if self._leader:
            part = self._side.evaluate(x.shape, lambda: whole(known.part + value, x.shape))
        return Additive(x.shape, part)

    # -- products -----------------------------------------------------------------------------------------------
    def settle(self, *shares: Share) -> Generator[Round, Any, list[Share]]:
        """The masked forms: copies of them, and their differences with public numbers, are not opened again."""
        return [*(yield from self._wires.open(*shares))]

    def mul(self, x: Share, y: Share, *, shift: int = 0) -> Generator[Round, Any, Additive]:
        """Elementwise product: z_i = [i = 0] Dx Dy - Dx ly_i - Dy lx_i + g_i, where g shares lx ly.

        Cost: no round, 8 offline B; with `shift` one round, 8 B, 24 offline B.
        """
        if x.shape != y.shape:
            raise ProtocolUseError(f"mul: the shapes {x.shape} and {y.shape} must be equal")
        mx, my = yield from self._wires.open(x, y)
        # The product that is truncated next has 2^62 added on the way, for nothing.
        offset = _HEADROOM if shift else np.uint64(0)
        g = self._wires.deal(x.shape, lambda: mx.mask * my.mask + offset)
        z = self._side.evaluate(
            x.shape,
            lambda: kernels.masked_product(mx.masked, my.masked, mx.mask, my.mask, g, leader=self._leader, out=g),
        )
        return (yield from self._shifted(z, x.shape, shift)) if shift else Additive(x.shape, z)

    def dot(self, x: Share, y: Share, *, shift: int = 0) -> Generator[Round, Any, Additive]:
        """Matrix product: z_i = Dx ([i = 0] Dy - ly_i) - lx_i Dy + g_i, where g shares lx ly.

        Cost: no round, 8 offline B for each element of the result; with `shift` one round, 8 B, 24 offline B.
        """
        if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-2] or x.shape[:-2] != y.shape[:-2]:
            raise ProtocolUseError(f"dot: the shapes {x.shape} and {y.shape} do not fit")
        shape = (*x.shape[:-1], y.shape[-1])
        mx, my = yield from self._wires.open(x, y)
        offset = _HEADROOM if shift else np.uint64(0)
        g = self._wires.deal(shape, lambda: kernels.matmul(mx.mask, my.mask) + offset)

        def product() -> NDArray[np.uint64]:
            right = my.masked - my.mask if self._leader else np.negative(my.mask)
            first = kernels.matmul(mx.masked, right, add=g)
            return kernels.matmul(np.negative(mx.mask), my.masked, add=first)

        z = self._side.evaluate(shape, product)
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
        if a.shape != b.shape:
            raise ProtocolUseError(f"xor: the shapes {a.shape} and {b.shape} must be equal")
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
        if a.shape != b.shape:
            raise ProtocolUseError(f"conjunction: the shapes {a.shape} and {b.shape} must be equal")
        ma, mb = yield from self._wires.open(a, b)
        words = layout(a.shape, bits=True)
        g = self._wires.deal(words, lambda: ma.mask & mb.mask, bits=True)
        part = self._side.evaluate(
            words, lambda: kernels.masked_and(ma.masked, mb.masked, ma.mask, mb.mask, g, leader=self._leader, out=g)
        )
        return Additive(a.shape, part, bits=True)

    def sign(self, x: Share) -> Generator[Round, Any, Additive]:
        """The top bit: msb(x) = msb(c) ^ msb(r) ^ [c mod 2^63 < r mod 2^63], for c = x + r.

        Cost: 2 rounds, 5 B, 43.9 offline B.
        """
        (mx,) = yield from self._wires.open(x)
        # Comparing the low 63 bits is comparing all 64 after a shift to the left.
        r = self._side.track((64, _width(x)), lambda: kernels.bit_planes((mx.mask << np.uint64(1)).reshape(-1)))
        leaves = self._wires.deal((15, 16, _width(x)), lambda: compare.leaf_monomials(r), bits=True)
        top = self._wires.deal((_width(x),), lambda: compare.top_bits(mx.mask), bits=True)

        def start() -> NDArray[np.uint64]:
            c = kernels.bit_planes((mx.masked << np.uint64(1)).reshape(-1))
            return compare.in_blocks(lambda *a: compare.leaf_borrow(*a, leader=self._leader), 32, c, leaves)

        borrow = yield from self._tree(self._side.evaluate((32, _width(x)), start), _width(x), borrow=True)
        part = self._side.evaluate(
            (_width(x),), lambda: borrow[0] ^ top ^ compare.top_bits(mx.masked) if self._leader else borrow[0] ^ top
        )
        return Additive(x.shape, part, bits=True)

    def is_zero(self, x: Share) -> Generator[Round, Any, Additive]:
        """Whether c = x + r equals r, bit by bit. Cost: 2 rounds, 2.5 B, 36.9 offline B."""
        (mx,) = yield from self._wires.open(x)
        r = self._side.track((64, _width(x)), lambda: kernels.bit_planes(mx.mask.reshape(-1)))
        leaves = self._wires.deal((15, 16, _width(x)), lambda: compare.leaf_monomials(r), bits=True)

        def start() -> NDArray[np.uint64]:
            c = kernels.bit_planes(mx.masked.reshape(-1))
            return compare.in_blocks(lambda *a: compare.leaf_equal(*a, leader=self._leader), 16, c, leaves)

        equal = yield from self._tree(self._side.evaluate((16, _width(x)), start), _width(x), borrow=False)
        return Additive(x.shape, self._side.evaluate((_width(x),), lambda: equal[0]), bits=True)

    def _tree(self, part: NDArray[np.uint64], width: int, *, borrow: bool) -> Generator[Round, Any, NDArray[np.uint64]]:
        """From 16 digits to 4 to 1; each level opens the one before, g and p together."""
        for rows in (32, 8) if borrow else (16, 4):
            (level,) = yield from self._wires.open(Additive((rows, 64 * width), part.reshape(-1), bits=True))
            part = self._level(level, rows, width, borrow=borrow)
        return part

    def _level(self, level: Masked, rows: int, width: int, *, borrow: bool) -> NDArray[np.uint64]:
        """Join every four digits into one."""
        masks = level.mask.reshape(rows, width)
        monomials, nodes = (22, rows // 8) if borrow else (11, rows // 4)
        join = compare.node_borrow if borrow else compare.product
        dealt = self._wires.deal(
            (monomials, nodes, width), lambda: compare.tree_monomials(masks, borrow=borrow), bits=True
        )
        return self._side.evaluate(
            (rows // 4, width),
            lambda: compare.in_blocks(
                lambda *a: join(*a, leader=self._leader), rows // 4, level.masked.reshape(rows, width), masks, dealt
            ),
        )

    def to_arithmetic(self, b: Share) -> Generator[Round, Any, Additive]:
        """b = D + lam - 2 D lam, with shares of the bit lam over Z_2^64. Cost: no round, 8 offline B."""
        (mb,) = yield from self._wires.open(b)
        m = self._wires.deal(b.shape, lambda: as_numbers(mb.mask, b.shape))

        def value() -> NDArray[np.uint64]:
            d = as_numbers(mb.masked, b.shape)
            flipped = (np.uint64(1) - d - d) * m
            return d + flipped if self._leader else flipped

        return Additive(b.shape, self._side.evaluate(b.shape, value))

    def select(self, b: Share, x: Share) -> Generator[Round, Any, Additive]:
        """b x = D_b x + (1 - 2 D_b) (lam_b D_x - lam_b lam_x). Cost: no round, 16 offline B."""
        if b.shape != x.shape:
            raise ProtocolUseError(f"select: the shapes {b.shape} and {x.shape} must be equal")
        mb, mx = yield from self._wires.open(b, x)
        m = self._wires.deal(b.shape, lambda: as_numbers(mb.mask, b.shape))
        q = self._wires.deal(b.shape, lambda: as_numbers(mb.mask, b.shape) * mx.mask)

        def value() -> NDArray[np.uint64]:
            d = as_numbers(mb.masked, b.shape)
            own = mx.masked - mx.mask if self._leader else np.negative(mx.mask)
            return d * own + (np.uint64(1) - d - d) * (m * mx.masked - q)

        return Additive(b.shape, self._side.evaluate(b.shape, value))


def _width(x: Share) -> int:
    return layout(x.shape, bits=True)[0]
