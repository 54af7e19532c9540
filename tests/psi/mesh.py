# SPDX-License-Identifier: Apache-2.0
"""Several parties in threads, with a stream that has a window between each two."""

from __future__ import annotations

from itertools import combinations
from threading import Thread
from typing import TYPE_CHECKING, Any

from tests.psi.pairs import stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.psi.pairs import PairStream

__all__ = ["NodeView", "mesh", "run_all"]


def mesh(parties: Sequence[str], *, window: int = 2**19) -> dict[str, dict[str, PairStream]]:
    """Each party's ends, by peer; see `stream_pair`."""
    ends: dict[str, dict[str, PairStream]] = {party: {} for party in parties}
    for a, b in combinations(parties, 2):
        ends[a][b], ends[b][a] = stream_pair(a, b, window=window)
    return ends


class NodeView:
    """What a node gives an operation, for several parties."""

    def __init__(self, party: str, participants: tuple[str, ...], streams: Mapping[str, PairStream]) -> None:
        self.party, self.participants, self.streams = party, participants, streams
        self.reports: list[tuple[float, str]] = []

    def progress(self, done: float, what: str) -> None:
        self.reports.append((done, what))

    def stream(self, peer: str, label: str = "") -> PairStream:
        raise NotImplementedError

    def prg(self, *parties: str, label: str) -> Any:
        raise NotImplementedError


def run_all(
    streams: Mapping[str, Mapping[str, PairStream]], part: Callable[[str], Any], *, errors: bool = False
) -> dict[str, Any]:
    """Run every party's part at once; give their results, or with `errors` what each raised (None if nothing)."""
    results: dict[str, Any] = {}
    raised: dict[str, BaseException | None] = dict.fromkeys(streams)

    def run(party: str) -> None:
        try:
            results[party] = part(party)
        except BaseException as error:  # noqa: BLE001 - handed to the test below
            raised[party] = error
            for stream in streams[party].values():
                stream.close()

    threads = [Thread(target=run, args=(party,)) for party in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        return raised
    for error in sorted(filter(None, raised.values()), key=lambda e: "has stopped" in str(e)):
        raise error
    return results
