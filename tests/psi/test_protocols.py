# SPDX-License-Identifier: Apache-2.0
"""Conformance: every registered protocol finds exactly the intersection, at exactly the declared cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import ProtocolUseError, PsiKeysDiffer
from jali.psi import intersection
from jali.psi.contract import PSI_PROTOCOLS, Learns
from jali.psi.hello import Speed, write_hello
from jali.psi.intersection import intersection_cost
from jali.psi.keys import Keys
from jali.transport.memory import connect_memory
from jali.transport.settings import Settings
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.psi.contract import PsiProtocol
    from tests.psi.pairs import PairStream

OPPOSITE: dict[Learns, Learns] = {"both": "both", "me": "peer", "peer": "me"}


@pytest.fixture(params=PSI_PROTOCOLS.names())
def protocol(request: pytest.FixtureRequest) -> PsiProtocol:
    made: PsiProtocol = PSI_PROTOCOLS.get(request.param)()
    return made


def intersect(
    protocol: PsiProtocol, ours: Keys, theirs: Keys, *, learns: Learns = "both"
) -> tuple[tuple[Any, Any], tuple[PairStream, PairStream]]:
    streams = stream_pair()

    def part(keys: Keys, who: Learns, *, first: bool) -> Callable[[PairStream], Any]:
        return lambda stream: intersection.intersect(
            stream, keys, protocol=protocol.name, learns=who, first=first, progress=quiet
        )

    return run_both(streams, part(ours, learns, first=True), part(theirs, OPPOSITE[learns], first=False)), streams


def _rows(digests: Any) -> set[bytes]:
    return {digest.tobytes() for digest in digests}


def check_exact(protocol: PsiProtocol, a: Any, b: Any, *, learns: Learns = "both") -> None:
    ours, theirs = Keys(a), Keys(b)
    results, streams = intersect(protocol, ours, theirs, learns=learns)
    common = _rows(ours.digests) & _rows(theirs.digests)
    for keys, found, who in ((ours, results[0], learns), (theirs, results[1], OPPOSITE[learns])):
        if who == "peer":
            assert found is None
        else:
            assert _rows(keys.digests[found]) == common
            assert found.dtype == np.int64
            assert np.all(np.diff(found) > 0)
    for stream, mine, other, who in (
        (streams[0], ours, theirs, learns),
        (streams[1], theirs, ours, OPPOSITE[learns]),
    ):
        cost = intersection_cost(protocol, len(mine), len(other), learns=who, first=stream is streams[0])
        counted = stream.counters
        assert (counted.rounds, counted.bytes_sent, counted.bytes_received) == (
            cost.rounds,
            cost.bytes_sent["me"],
            cost.bytes_sent["peer"],
        )


@pytest.mark.parametrize("learns", ["both", "me", "peer"])
@pytest.mark.parametrize(
    ("n", "m", "overlap"), [(0, 0, 0), (0, 1, 0), (1, 1, 1), (1, 1, 0), (10, 10, 10), (10, 3, 2), (7, 50, 7)]
)
def test_exact(protocol: PsiProtocol, n: int, m: int, overlap: int, learns: Learns) -> None:
    check_exact(protocol, np.arange(n), np.arange(n - overlap, n - overlap + m), learns=learns)


@pytest.mark.parametrize("overlap", [0, 500, 1000])
def test_exact_for_a_thousand(protocol: PsiProtocol, overlap: int) -> None:
    check_exact(protocol, np.arange(1000), np.arange(1000 - overlap, 2000 - overlap)[::-1])


@pytest.mark.parametrize("kind", ["whole numbers", "text", "bytes"])
def test_exact_for_a_thousand_rows_with_duplicates(protocol: PsiProtocol, kind: str) -> None:
    """700 and 600 distinct keys, 350 in common, in 1,000 rows each."""
    a, b = [i % 700 for i in range(1000)], [i % 600 + 350 for i in range(1000)]
    as_kind: dict[str, Callable[[int], Any]] = {
        "whole numbers": lambda i: i - 500,
        "text": lambda i: f"\u5ba2\u6236-{i}\u0308",
        "bytes": lambda i: i.to_bytes(2, "big") + b"\x00\xff",
    }
    columns = [[as_kind[kind](i) for i in column] for column in (a, b)]
    assert Keys(columns[0]).kinds == (kind,)
    check_exact(protocol, *columns)


@pytest.mark.slow
@pytest.mark.parametrize("learns", ["both", "me"])
def test_exact_over_several_chunks(protocol: PsiProtocol, learns: Learns) -> None:
    """Both sides cross the chunk size, one by one key: 16,385 and 8,192."""
    check_exact(protocol, np.arange(16_385), np.arange(16_000, 24_192), learns=learns)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (["ana", "bo", "ana", "bo", "bo"], ["bo", "cy", "cy", "ana"]),
        (["Zo\u00eb", "\u5c71\u7530", "\U0001f600"], ["Zoe\u0308 ", "\u5c71\u7530", "x"]),
        ([b"\x00", b"\x00\x00", b"\xff"], [b"\x00\x00", b"\xff\x00"]),
        ([-1, 2**63 - 1, -(2**63)], [2**63 - 1, 1]),
        (["a" * 10_000, "b"], ["a" * 10_000, "a" * 9_999]),
    ],
    ids=["duplicates", "unicode", "bytes", "integers", "long"],
)
def test_kinds_of_keys(protocol: PsiProtocol, a: Any, b: Any) -> None:
    check_exact(protocol, a, b)


def test_keys_that_cannot_match_are_an_error_at_both(protocol: PsiProtocol) -> None:
    for a, b, says in (
        (Keys([1, 2]), Keys(["1", "2"]), "are text, this party on whole numbers"),
        (Keys(["a"], normalise="exact"), Keys(["a"]), "('trimmed') than this party (normalise = 'exact'"),
        (Keys([], normalise="exact"), Keys(["a"]), "nothing is done"),
        (Keys(["a"], normalise="trim,nfc"), Keys(["a"]), "normalise = 'trim,nfc': trim, then nfc"),
        (Keys(["a"]), Keys(["a"], normalise="trim,nfc"), "in another way than this party (normalise = 'trimmed'"),
        (Keys({"a": ["a"], "b": [1]}), Keys({"b": [1], "a": ["a"]}), "convert the column"),
        (Keys({"a": ["a"], "b": [1]}), Keys(["a"]), "are text, this party on text and whole numbers"),
    ):
        raised = run_both(
            stream_pair(),
            *[
                lambda stream, keys=keys, first=first: intersection.intersect(
                    stream, keys, protocol=protocol.name, learns="both", first=first, progress=quiet
                )
                for keys, first in ((a, True), (b, False))
            ],
            errors=True,
        )
        assert all(isinstance(error, PsiKeysDiffer) for error in raised)
        assert says in str(raised[0])


def test_no_rows_match_any_kind(protocol: PsiProtocol) -> None:
    check_exact(protocol, np.zeros(0), np.arange(3))
    check_exact(protocol, [], [b"x"])
    check_exact(protocol, [], {"a": ["x"], "b": [1]})
    check_exact(protocol, {"a": [], "b": []}, {"a": [1], "b": ["x"]})


def test_declared_leaks_name_both_parties(protocol: PsiProtocol) -> None:
    both = protocol.leaks(("bank", "bureau"), learners=("bank", "bureau"))
    one = protocol.leaks(("bank", "bureau"), learners=("bank",))
    assert {leak.to for leak in both} == {"bank", "bureau"}
    assert set(one) < set(both)
    assert [leak.to for leak in both if leak not in one] == ["bureau"]
    assert protocol.threat.parties == 2
    assert protocol.threat.assumptions


def test_progress_grows_and_leaves_the_end_to_the_caller(protocol: PsiProtocol) -> None:
    seen: list[float] = []
    keys = Keys(np.arange(20))
    run_both(
        stream_pair(),
        lambda stream: intersection.intersect(
            stream,
            keys,
            protocol=protocol.name,
            learns="both",
            first=True,
            progress=lambda done, what: seen.append(done),
        ),
        lambda stream: intersection.intersect(
            stream, keys, protocol=protocol.name, learns="both", first=False, progress=quiet
        ),
    )
    assert seen
    assert seen == sorted(seen)
    assert 0 <= seen[0] <= seen[-1] < 1.0


@pytest.mark.parametrize("window_bytes", [1 << 16, 64 << 20])
def test_over_real_sessions(protocol: PsiProtocol, window_bytes: int) -> None:
    """The streams that programs use, also with a window that holds no more than a part of what is sent."""
    ours, theirs = Keys(np.arange(600)), Keys(np.arange(500, 800))
    sessions = connect_memory(("alice", "bob"), settings=Settings(window_bytes=window_bytes, wait_s=30))
    try:
        streams = [sessions[me].channel(peer).stream(bytes(16)) for me, peer in (("alice", "bob"), ("bob", "alice"))]
        with ThreadPoolExecutor(2) as pool:
            found = list(
                pool.map(
                    lambda stream, keys: intersection.intersect(
                        stream, keys, protocol=protocol.name, learns="both", first=keys is ours, progress=quiet
                    ),
                    streams,
                    (ours, theirs),
                )
            )
    finally:
        for session in sessions.values():
            session.close()
    assert [len(positions) for positions in found if positions is not None] == [100, 100]
    assert (
        streams[0].counters.bytes_sent
        == intersection_cost(protocol, 600, 300, learns="both", first=True).bytes_sent["me"]
    )


def test_a_name_that_does_not_fit_into_the_greeting_is_refused() -> None:
    with pytest.raises(ProtocolUseError, match="up to 16 bytes"):
        write_hello(Keys(["a"]), "seventeen-letters", Speed(0.0, 0.0), resumable=False)
