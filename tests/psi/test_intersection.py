# SPDX-License-Identifier: Apache-2.0
"""Intersections in buckets, with checkpoints, and by a protocol that both agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jali.core.errors import InputError, PsiFrameInvalid, PsiKeysDiffer
from jali.psi import intersection
from jali.psi.choice import choose, settled, speed_here
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.ecdh import EcdhPsi
from jali.psi.hello import HELLO_BYTES, Hello, Speed, read_hello, write_hello
from jali.psi.intersection import buckets, intersect, intersection_cost, padded
from jali.psi.keys import Keys
from jali.psi.normalise import STEPS
from jali.transport.network import Network
from tests.psi.pairs import quiet, run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.psi.pairs import PairStream

FAST = Speed(3e-6, 5e-7)


class Kept:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.results: dict[int, NDArray[np.int64] | None] = {}
        self.saved: list[int] = []
        self.of: tuple[int, int, str, int] | None = None

    def begin(self, n_mine: int, n_theirs: int, protocol: str, count: int) -> NDArray[np.bool_]:
        if self.of != (n_mine, n_theirs, protocol, count):
            self.results.clear()
        self.of = n_mine, n_theirs, protocol, count
        return np.array([bucket in self.results for bucket in range(count)])

    def load(self, bucket: int) -> NDArray[np.int64] | None:
        return self.results[bucket]

    def save(self, bucket: int, found: NDArray[np.int64] | None) -> None:
        self.saved.append(bucket)
        self.results[bucket] = found


def both(
    a: Keys, b: Keys, *, protocols: tuple[str, str] = ("ecdh", "ecdh"), kept: tuple[Any, Any] = (None, None), **how: Any
) -> tuple[Any, tuple[PairStream, PairStream]]:
    streams = stream_pair()

    def part(side: int) -> Callable[[PairStream], Any]:
        return lambda stream: intersect(
            stream,
            (a, b)[side],
            protocol=protocols[side],
            learns="both",
            first=side == 0,
            checkpoints=kept[side],
            progress=quiet,
        )

    return run_both(streams, part(0), part(1), **how), streams


@pytest.mark.parametrize("protocol", PSI_PROTOCOLS.names())
@pytest.mark.parametrize(("n", "m"), [(500, 700), (700, 3), (1, 700), (101, 101)])
def test_buckets_give_what_one_gives(monkeypatch: pytest.MonkeyPatch, protocol: str, n: int, m: int) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 100)
    monkeypatch.setattr(intersection, "_FEWEST_CHECKED", 40)
    monkeypatch.setattr(intersection, "_MOST_CHECKED", 7)
    a, b = Keys(np.arange(n)), Keys(np.arange(n // 2, n // 2 + m))
    found, streams = both(a, b, protocols=(protocol, protocol))
    common = {digest.tobytes() for digest in a.digests} & {digest.tobytes() for digest in b.digests}
    for keys, positions in zip((a, b), found, strict=True):
        assert {digest.tobytes() for digest in keys.digests[positions]} == common
        assert np.all(np.diff(positions) > 0)
    cost = intersection_cost(PSI_PROTOCOLS.get(protocol)(), n, m, learns="both")
    assert (streams[0].counters.bytes_sent, streams[0].counters.rounds) == (cost.bytes_sent["me"], cost.rounds)


def test_who_lies_finds_no_room_in_buckets() -> None:
    """Against malicious parties, what fills buckets up is few beside the keys of either, whatever the peer wants."""
    checked = PSI_PROTOCOLS.get("vole-malicious")()
    million = 10**6
    for n, m in [(1, 4 * million), (20_000, 20_000), (million, 50 * million), (40 * million, 30 * million)]:
        for bucket_keys in (0, 1 << 14, 1 << 19):
            try:
                count = buckets(checked, n, m, bucket_keys)
            except InputError:
                assert bucket_keys < 1 << 20
                assert max(n, m) > 4 * bucket_keys
                continue
            assert count == buckets(checked, m, n, bucket_keys)
            for size in (n, m):
                assert count * padded(size, count) <= 1.08 * size
    assert buckets(checked, 40 * million, 30 * million) == buckets(EcdhPsi(), 40 * million, 30 * million) == 39
    with pytest.raises(InputError, match="allow more memory"):
        buckets(checked, 1, 5 * million)


def test_a_bucket_shows_nothing_of_how_many_keys_fell_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages have the same sizes for any keys of the same number."""
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 50)
    sizes = []
    for start in (0, 1000):
        _, streams = both(Keys(np.arange(start, start + 200)), Keys(np.arange(150)))
        sizes.append([len(message) for message in streams[0].sent])
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) == 1 + 2 * buckets(EcdhPsi(), 200, 150)


def test_keys_that_all_fall_into_one_bucket_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 100)
    keys = Keys(np.arange(400))
    keys.digests[:, 0] = 7
    raised, _ = both(keys, Keys(np.arange(400)), errors=True)
    assert isinstance(raised[0], PsiFrameInvalid)


def test_only_what_is_not_done_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 100)
    a, b, kept = Keys(np.arange(450)), Keys(np.arange(200, 600)), (Kept(), Kept())
    first, _ = both(a, b, kept=kept)
    assert kept[0].saved == [0, 1, 2, 3, 4]
    del kept[0].results[1], kept[1].results[3]
    for side in kept:
        side.saved.clear()
    second, streams = both(a, b, kept=kept)
    assert kept[0].saved == kept[1].saved == [1, 3]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(streams[0].sent[1]) == 1


def test_checkpoints_of_one_side_only_are_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 100)
    a, b, kept = Keys(np.arange(250)), Keys(np.arange(200, 400)), Kept()
    for _ in range(2):
        found, _ = both(a, b, kept=(kept, None))
        assert len(found[0]) == 50
    assert kept.saved == [0, 1, 2, 0, 1, 2]


def test_a_report_of_checkpoints_of_another_length_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", 100)
    streams = stream_pair()
    streams[1].tamper = lambda i, m: m + b"\0" if i == 1 else m
    keys = Keys(np.arange(250))
    raised = run_both(
        streams,
        *[
            lambda stream, first=first: intersect(
                stream, keys, protocol="ecdh", learns="both", first=first, checkpoints=Kept(), progress=quiet
            )
            for first in (True, False)
        ],
        errors=True,
    )
    assert isinstance(raised[0], PsiFrameInvalid)
    assert "checkpoints" in str(raised[0])


def test_auto_is_the_same_at_both() -> None:
    found, streams = both(Keys(np.arange(30)), Keys(np.arange(20, 50)), protocols=("auto", "auto"))
    assert [len(positions) for positions in found] == [10, 10]
    assert len(streams[0].sent[0]) == HELLO_BYTES
    found, _ = both(Keys(np.arange(30)), Keys(np.arange(20, 50)), protocols=("auto", "vole"))
    assert [len(positions) for positions in found] == [10, 10]


def test_a_speed_is_the_same_number_at_both() -> None:
    """Or they might choose differently where two protocols are about as fast."""
    message = write_hello(Keys(["a"]), "auto", speed_here(), resumable=False)
    assert read_hello(memoryview(message), Keys(["a"]), peer="bob").speed == speed_here()


def test_a_greeting_of_steps_that_this_version_does_not_know_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later one may have more: it is a difference like any other, and not a message that nobody understands."""
    monkeypatch.setitem(STEPS, "soundex", str.strip)
    message = write_hello(Keys(["a"], normalise="nfc,soundex"), "ecdh", FAST, resumable=False)
    monkeypatch.undo()
    with pytest.raises(PsiKeysDiffer, match=r"in another way than this party .*'trimmed': nfc, then trim"):
        read_hello(memoryview(message), Keys(["a"]), peer="bob")


def test_greetings_of_other_versions_are_refused() -> None:
    keys = Keys(["a"])
    message = bytearray(write_hello(keys, "ecdh", FAST, resumable=True))
    assert len(message) == HELLO_BYTES == 48
    assert read_hello(memoryview(message), keys, peer="bob").resumable
    for place, value in ((4, 3), (5, 2), (6, 0)):
        other = bytearray(message)
        other[place] = value
        with pytest.raises(PsiFrameInvalid, match="both parties need the same jali"):
            read_hello(memoryview(other), keys, peer="bob")


@pytest.mark.parametrize("protocol", PSI_PROTOCOLS.names())
@pytest.mark.parametrize("bucket", [1000, 100])
def test_keys_that_are_filled_up_look_like_more(monkeypatch: pytest.MonkeyPatch, protocol: str, bucket: int) -> None:
    monkeypatch.setattr(intersection, "BUCKET_KEYS", bucket)
    sizes = []
    for n in (0, 30, 300):
        streams, b = stream_pair(), Keys(np.arange(20, 220))
        a = Keys(np.arange(300)).without(np.arange(300) >= n)
        ways = ((a, "me", True, 300), (b, "peer", False, None))
        found, _ = run_both(
            streams,
            *[
                lambda stream, keys=keys, learns=learns, first=first, more=more: intersect(
                    stream, keys, protocol=protocol, learns=learns, first=first, filled_to=more, progress=quiet
                )
                for keys, learns, first, more in ways
            ],
        )
        assert {a.digests[place].tobytes() for place in found} == set(map(bytes, a.digests)) & set(
            map(bytes, b.digests)
        )
        sizes.append([len(message) for message in streams[0].sent + streams[1].sent])
    assert sizes[0] == sizes[1] == sizes[2]


def test_protocols_that_differ_are_named() -> None:
    raised, _ = both(Keys(["a"]), Keys(["a"]), protocols=("ecdh", "vole"), errors=True)
    assert all(isinstance(error, PsiKeysDiffer) for error in raised)
    with pytest.raises(PsiKeysDiffer, match="'kkrt'"):
        settled("auto", Hello(n=1, protocol="kkrt", speed=FAST, resumable=False), None, peer="bob")


@pytest.mark.parametrize(
    ("n", "network", "protocol"),
    [
        ((1000, 1000), "lan", "ecdh"),
        ((10**6, 10**6), "lan", "vole"),
        ((10**6, 10**6), "loopback", "vole"),
        ((10**6, 10**6), "wan", "vole"),
        ((20_000, 20_000), Network(rtt_s=1.0, bandwidth=1e9), "ecdh"),
        ((100, 10**6), "lan", "vole"),
    ],
)
def test_the_choice(n: tuple[int, int], network: Any, protocol: str) -> None:
    choice = choose(n, (FAST, FAST), learns="both", network=network)
    other = choose(n[::-1], (FAST, FAST), learns="both", network=network, first=False)
    assert choice.protocol == other.protocol == protocol
    assert choice.seconds == pytest.approx(other.seconds)
    assert "keys: ecdh about" in choice.reason


def test_a_machine_without_a_fast_curve_chooses_vole_sooner() -> None:
    slow = Speed(30e-6, 5e-7)
    n = (30_000, 30_000)
    assert choose(n, (FAST, FAST), learns="both", network="lan").seconds["ecdh"] < 0.3
    assert choose(n, (slow, slow), learns="both", network="lan").seconds["ecdh"] > 2.0
