# SPDX-License-Identifier: Apache-2.0
"""What a peer can send, what a guest can learn, and what a share shows by accident."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import MaskReuseError, PeerLost, ProtocolAbort
from jali.mpc.contract import Outline
from jali.mpc.rounds import Round, drive, lockstep
from tests.mpc.roles import DEALT, SECURE, make_sides, run_lockstep
from tests.protocol.uniformity import suspicious

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    Part = Generator[Round, Any, Any]

N = 100
X = np.arange(N, dtype=np.uint64)


def program(side: Any) -> Part:
    x = yield from side.input(X if side.role == 0 else None, 0, (N,))
    y = yield from side.input(X if side.role == 1 else None, 1, (N,))
    product = yield from side.mul(x, y, shift=3)
    sign = yield from side.sign(product)
    return (yield from side.reveal((yield from side.select(sign, product)), [0, 1]))


class LyingStream:
    """A stream whose `at`-th outgoing message is replaced."""

    def __init__(self, inner: Any, *, at: int, by: Any) -> None:
        self.inner = inner
        self.at = at
        self.by = by
        self.peer = inner.peer
        self.counters = inner.counters

    def send(self, *parts: Any) -> None:
        if self.counters.messages_sent == self.at:
            self.inner.send(self.by(b"".join(parts)))
        else:
            self.inner.send(*parts)

    def receive(self) -> memoryview:
        received: memoryview = self.inner.receive()
        return received


class LostStream:
    """A stream whose peer is gone when it should answer."""

    peer = "role 1"

    def send(self, *parts: Any) -> None:
        """Still buffered."""

    def receive(self) -> memoryview:
        raise PeerLost("role 1 is gone", party=self.peer)


def run_against(protocol: str, victim: int, liar: int, *, at: int, by: Any) -> BaseException | None:
    """The victim's error when one message of the liar to it is changed; the others are honest."""
    sides, streams = make_sides(protocol)
    lying: dict[int, Any] = dict(streams[liar])
    lying[victim] = LyingStream(lying[victim], at=at, by=by)
    if protocol in DEALT and liar == 2:
        sides[2]._side._corrections._stream = lying[1]
    errors: dict[int, BaseException] = {}

    def play(role: int) -> None:
        try:
            drive(program(sides[role]), lying if role == liar else streams[role])
            sides[role].finish()
        except ProtocolAbort as error:
            errors[role] = error

    threads = [threading.Thread(target=play, args=(role,), daemon=True) for role in range(3)]
    for thread in threads:
        thread.start()
    threads[victim].join(30)
    assert not threads[victim].is_alive(), "a wrong message must not make anybody wait"
    return errors.get(victim)


CHANGES = {
    "short": lambda message: message[:-8],
    "long": lambda message: message + b"\0" * 8,
    "ragged": lambda message: message[:-1],
    "empty": lambda message: b"",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("protocol", "victim", "liar", "at"),
    [
        ("m2k", 0, 1, 0),
        ("m2k", 1, 0, 1),
        ("m2k", 0, 1, 2),
        ("m2k", 1, 2, 0),
        ("m3k", 1, 2, 0),
        ("rep3", 1, 0, 0),
        ("rep3", 0, 2, 0),
        ("aby3", 1, 2, 1),
        ("aby3", 2, 1, 1),
    ],
)
def test_a_message_of_the_wrong_length_aborts_naming_the_peer(
    protocol: str, victim: int, liar: int, at: int, change: str
) -> None:
    error = run_against(protocol, victim, liar, at=at, by=CHANGES[change])
    assert isinstance(error, ProtocolAbort)
    assert error.party == f"role {liar}"
    assert "expected" in error.message
    assert "found" in error.message


def test_changed_words_of_the_right_length_are_not_noticed() -> None:
    """Semi-honest protocols promise no more, and the threat record says so."""
    flip = lambda message: bytes(byte ^ 1 for byte in message)  # noqa: E731
    assert run_against("m2k", 0, 1, at=1, by=flip) is None
    sides, _ = make_sides("m2k")
    assert "wrong words are not noticed" in sides[0].threat.abort


@pytest.mark.parametrize("protocol", SECURE)
def test_a_lost_peer_ends_the_program_under_its_own_name(protocol: str) -> None:
    sides, _ = make_sides(protocol)
    lost: Any = {role: LostStream() for role in (1, 2)}
    with pytest.raises(PeerLost) as failed:
        drive(program(sides[0]), lost)
    assert failed.value.party == "role 1"


@pytest.mark.parametrize("protocol", SECURE)
def test_a_generator_serves_one_instance(protocol: str) -> None:
    """Two instances with the same generators would repeat their masks."""
    sides, streams = make_sides(protocol)
    if protocol in DEALT:
        lockstep({2: program(sides[2])})
    prgs = sides[2]._prgs
    if protocol not in DEALT:
        lockstep({role: program(side) for role, side in sides.items()})
    again = type(sides[2])(2, prgs=prgs, streams=streams[2])
    with pytest.raises(MaskReuseError):
        drive(again.input(X, 0, (N,)), {})


@pytest.mark.parametrize("protocol", SECURE)
def test_shares_show_nothing(protocol: str) -> None:
    kept: list[Any] = []

    def operation(side: Any) -> Part:
        x = yield from side.input(X if side.role == 0 else None, 0, (N,))
        kept.extend([x, (yield from side.mul(x, x)), (yield from side.sign(x))])

    run_lockstep(protocol, operation)
    for share in kept:
        assert repr(share) == f"<{type(share).__name__}>" == str(share)
        assert not hasattr(share, "__dict__")
        for use in (bool, list, lambda s: s == 1, hash, copy.copy, pickle.dumps):
            with pytest.raises(TypeError):
                use(share)


@pytest.mark.parametrize("protocol", SECURE)
@pytest.mark.parametrize("bits", [False, True])
def test_the_guest_learns_the_sum_and_not_the_summands(protocol: str, *, bits: bool) -> None:
    """An input of an evaluator is, in its own part, the input itself: what is revealed must be shared anew."""
    own = np.full(N, 7, np.uint64)
    seen: list[list[NDArray[np.uint64]]] = []

    def operation(side: Any) -> Part:
        x = yield from side.input(own if side.role == 0 else None, 0, (N,))
        y = yield from side.input(own if side.role == 1 else None, 1, (N,))
        if bits:
            x = side.permute_bits(lambda p: np.tile(p, 64), side.public_bits(own == 7), shape=(64 * N,))
            return (yield from side.reveal_bits(x, [3]))
        return (yield from side.reveal(side.linear(np.add, x, y, shape=(N,)), [3]))

    def guest(side: Any) -> Part:
        yield from side.input(None, 0, (N,))
        yield from side.input(None, 1, (N,))
        outline = Outline((64 * N,) if bits else (N,))
        return (yield from (side.reveal_bits if bits else side.reveal)(outline, [3]))

    def observe(rounds: Any) -> None:
        messages = [array.copy() for role in sorted(rounds) for array in rounds[role].send.get(3, ())]
        if messages:
            seen.append(messages)

    for seed in range(20):
        results = run_lockstep(protocol, operation, seed=seed, guest=guest, observe=observe)
        np.testing.assert_array_equal(results[3], np.ones(64 * N, np.bool_) if bits else own + own)
    assert [len(messages) for messages in seen] == [2] * 20
    for sender in (0, 1):
        assert suspicious([("to the guest", np.stack([messages[sender] for messages in seen]))]) == []
