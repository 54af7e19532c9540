# SPDX-License-Identifier: Apache-2.0
"""A dealer runs ahead of the evaluators by one window of a stream and no further, however large the program is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.crypto.prg import Prg
from jali.mpc.m2k.protocol import M2k
from jali.mpc.m2k.sides import PIECE_BYTES
from jali.mpc.rounds import drive
from jali.transport.memory import MemoryLink, connect_memory
from jali.transport.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from jali.mpc.rounds import Round

    Part = Generator[Round, Any, Any]

WINDOW = 12 << 20
STREAM = bytes(16)


def many_small(side: Any) -> Part:
    """64 MiB in arrays of 1 MiB."""
    x = yield from side.input(None, 0, (1 << 17,))
    for _ in range(64):
        yield from side.mul(x, x)


def one_large(side: Any) -> Part:
    """64 MiB in one array."""
    x = yield from side.input(None, 0, (1 << 23,))
    yield from side.mul(x, x)


@pytest.mark.parametrize("program", [many_small, one_large])
def test_an_evaluator_that_does_not_read_holds_one_window(
    program: Callable[[Any], Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Semaphore(0)
    awaiting = MemoryLink.await_credit

    def noted(link: MemoryLink, enough: Callable[[], bool]) -> None:
        waiting.release()
        awaiting(link, enough)

    monkeypatch.setattr(MemoryLink, "await_credit", noted)
    sessions = connect_memory(("evaluator", "dealer"), settings=Settings(window_bytes=WINDOW))
    inbox: Any = sessions["evaluator"].channel("dealer").stream(STREAM)
    outbox = sessions["dealer"].channel("evaluator").stream(STREAM)
    dealer = M2k(2, prgs={0: Prg(bytes(16)), 1: Prg(bytes([1] * 16))}, streams={1: outbox})

    def deal() -> None:
        drive(program(dealer), {})
        dealer.finish()

    thread = threading.Thread(target=deal, daemon=True)
    thread.start()
    assert waiting.acquire(timeout=30), "the dealer never had to wait"
    largest = total = 0
    while True:
        # The dealer waits for credit, or has sent all; whatever it sent before is here.
        largest = max(largest, inbox._received - inbox._consumed)
        message = inbox.receive()
        total += message.nbytes
        if not message.nbytes:
            break
    thread.join(30)
    [items] = dealer.dealt
    assert total == items.size_bytes == 64 << 20
    assert WINDOW - (1 << 20) - PIECE_BYTES < largest <= WINDOW
    for session in sessions.values():
        session.close()


def test_what_is_held_is_what_the_evaluator_reads() -> None:
    """Pieces of one array come together again, in the middle of others."""
    sessions = connect_memory(("evaluator", "dealer"), settings=Settings(window_bytes=WINDOW))
    n = PIECE_BYTES // 8 + 5
    words = np.arange(n, dtype=np.uint64)
    streams = [sessions[a].channel(b).stream(STREAM) for a, b in (("evaluator", "dealer"), ("dealer", "evaluator"))]
    keys = [bytes([k] * 16) for k in (1, 2)]
    dealer = M2k(2, prgs={0: Prg(keys[0]), 1: Prg(keys[1])}, streams={1: streams[1]})
    evaluator: Any = M2k(1, prgs={0: Prg(bytes(16)), 2: Prg(keys[1])}, streams={2: streams[0]})
    for length in (3, n, 4):
        dealer._wires.deal((length,), lambda length=length: words[:length])  # type: ignore[misc]
    dealer.finish()
    other = Prg(keys[0])
    for nonce, length in enumerate((3, n, 4)):
        found = evaluator._wires.deal((length,), lambda: words)
        np.testing.assert_array_equal(found + other.words(nonce, length), words[:length])
    evaluator.finish()
    for session in sessions.values():
        session.close()
