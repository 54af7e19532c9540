# SPDX-License-Identifier: Apache-2.0
"""Every protocol of `jali.psi` against Python's sets: sizes, overlaps, duplicates, skew. One wrong key is a failure.

Columns of ids go in, as tables have them: with duplicates each id stands in one to four rows, in random order; with
skew the second party has a hundredth of the first's ids. What comes out are the ids that a party's rows at the found
places have, and where rows are aligned their number is that of an SQL join.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jali.core.config import load
from jali.psi import circuit
from jali.psi.cache import Cache, build, scalar_of
from jali.psi.contract import PSI_PROTOCOLS
from jali.psi.count import count
from jali.psi.intersection import intersect
from jali.psi.keys import Keys
from jali.psi.many import Round, common, leader_of
from jali.psi.oprf import answer, ask
from jali.psi.rows import exchange_counts, joined_rows
from jali.psi.spine import spine
from jali.transport.authority import create_federation
from jali.transport.pipe import stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = (0, 1, 10, 1_000, 10_000, 100_000, 1_000_000)
OVERLAPS = (0.0, 0.5, 1.0)
SKEW = 100


class Case(NamedTuple):
    """Two columns of ids."""

    left: np.ndarray[Any, Any]
    right: np.ndarray[Any, Any]
    text: str


class Wrong(NamedTuple):
    """How many ids were missed, how many were too many, and how many rows of a join were amiss."""

    missed: int
    invented: int
    rows: int = 0


def cases(sizes: tuple[int, ...], draw: np.random.Generator) -> Iterator[Case]:
    """All combinations. Ids are numbers for even and text for odd sizes of the list."""
    for (kind, n), overlap, duplicates, skew in itertools.product(
        enumerate(sizes), OVERLAPS, (False, True), (False, True)
    ):
        m = n // SKEW if skew else n
        shared = int(overlap * min(n, m))
        columns = [np.arange(n), np.concatenate([np.arange(shared), np.arange(n, n + m - shared)])]
        if duplicates:
            columns = [np.repeat(column, draw.integers(1, 5, len(column))) for column in columns]
        columns = [draw.permutation(column) for column in columns]
        if kind % 2:
            columns = [column.astype(np.str_) for column in columns]
        left, right = columns
        yield Case(left, right, f"n {n:,} m {m:,} overlap {overlap:g}{' duplicates' if duplicates else ''}")


def quiet(done: float, what: str) -> None:
    """Progress that nobody sees."""
    del done, what


def both(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Two parties at once."""
    streams = stream_pair("left", "right")
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(part, stream) for part, stream in zip((first, second), streams, strict=True)]
        return futures[0].result(), futures[1].result()


def ids_of(column: np.ndarray[Any, Any], keys: Keys, found: np.ndarray[Any, Any]) -> set[Any]:
    """The ids of the found keys."""
    return set(column[keys.rows[keys.starts[found]]].tolist())


def wrong(found: set[Any], expected: set[Any]) -> Wrong:
    """The difference of two sets."""
    return Wrong(len(expected - found), len(found - expected))


def aligned(protocol: str) -> Callable[[Case], Wrong]:
    """An intersection with the rows of its join."""

    def run(case: Case) -> Wrong:
        def side(stream: Any, column: np.ndarray[Any, Any], *, first: bool) -> tuple[set[Any], np.ndarray[Any, Any]]:
            keys = Keys(column)
            found = intersect(stream, keys, protocol=protocol, learns="both", first=first, progress=quiet)
            assert found is not None  # noqa: S101 - both learn
            rows = joined_rows(keys, found, exchange_counts(stream, keys.counts[found]), left=first)
            return ids_of(column, keys, found), column[rows]

        (mine, left), (theirs, right) = both(
            lambda stream: side(stream, case.left, first=True), lambda stream: side(stream, case.right, first=False)
        )
        expected = set(case.left.tolist()) & set(case.right.tolist())
        a, b = Counter(case.left.tolist()), Counter(case.right.tolist())
        rows = sum(a[key] * b[key] for key in expected)
        amiss = abs(len(left) - rows) + abs(len(right) - rows)
        if not amiss and len(left):
            amiss = int(np.sum(left.astype(np.str_) != right.astype(np.str_)))
        errors = [wrong(mine, expected), wrong(theirs, expected)]
        return Wrong(max(e.missed for e in errors), max(e.invented for e in errors), amiss)

    return run


def counted(case: Case) -> Wrong:
    """The number of common keys."""
    a, b = Keys(case.left), Keys(case.right)
    mine, theirs = both(
        lambda stream: count(stream, a, progress=quiet), lambda stream: count(stream, b, progress=quiet)
    )
    expected = len(set(case.left.tolist()) & set(case.right.tolist()))
    return Wrong(max(expected - mine, expected - theirs, 0), max(mine - expected, theirs - expected, 0))


def asked(case: Case) -> Wrong:
    """The second party's ids against a cache of the first's."""
    owner, client = Keys(case.left), Keys(case.right)
    with tempfile.TemporaryDirectory() as name:
        federation = load(create_federation(name, ("owner", "client"), helpers=()))
        entry, path = federation.parties["owner"], Path(name) / "cache.ppsi"
        header = build(
            owner, path, party="owner", certificate=Path(entry.certificate), key=Path(entry.key), progress=quiet
        )
        cache, scalar = Cache(path, authority=Path(federation.authority), party="owner"), scalar_of(path, header)
        found, _ = both(lambda stream: ask(stream, cache, client), lambda stream: answer(stream, header, scalar))
    return wrong(ids_of(case.right, client, found), set(case.left.tolist()) & set(case.right.tolist()))


def joined_secretly(case: Case) -> Wrong:
    """The parts of a secret join: zeros, and cells that come out as they were."""
    a, b = Keys(case.left), Keys(case.right)
    placed = circuit.place(a.digests)
    cells = np.arange(len(b), dtype=np.uint64)[:, None] + np.uint64(1)
    mine, theirs = both(
        lambda stream: circuit.left_parts(stream, placed, len(b), 1, quiet),
        lambda stream: circuit.right_parts(stream, b.digests, cells, len(a), quiet),
    )
    opened = mine + theirs
    places = np.flatnonzero(opened[:, 0] == 0)
    holders = placed.holder[places]
    empty = int(np.sum(holders < 0))
    result = wrong(ids_of(case.left, a, holders[holders >= 0]), set(case.left.tolist()) & set(case.right.tolist()))
    cells_of = opened[places[holders >= 0], 1].astype(np.int64) - 1
    if len(cells_of) and (cells_of.min() < 0 or cells_of.max() >= len(b)):
        return Wrong(result.missed, result.invented + empty, len(cells_of))
    same = case.left[a.rows[a.starts[holders[holders >= 0]]]].astype(np.str_) == case.right[
        b.rows[b.starts[cells_of]]
    ].astype(np.str_)
    return Wrong(result.missed, result.invented + empty, int(np.sum(~same)))


def placed(case: Case) -> Wrong:
    """The id spine: complete, and equal keys in equal places."""
    a, b = Keys(case.left), Keys(case.right)
    mine, theirs = both(
        lambda stream: spine(stream, a, first=True, progress=quiet),
        lambda stream: spine(stream, b, first=False, progress=quiet),
    )
    left, right = set(case.left.tolist()), set(case.right.tolist())
    whole = np.full((2, mine.size), -1, np.int64)
    whole[0, mine.places], whole[1, theirs.places] = a.rows[a.starts[:-1]], b.rows[b.starts[:-1]]
    both_there = np.all(whole >= 0, axis=0)
    same = case.left[whole[0, both_there]].astype(np.str_) == case.right[whole[1, both_there]].astype(np.str_)
    found = set(case.left[whole[0, both_there]].tolist())
    errors = wrong(found, left & right)
    amiss = abs(mine.size - len(left | right)) + abs(theirs.size - mine.size) + int(np.sum(~same))
    return Wrong(errors.missed, errors.invented, amiss + int(np.sum(np.all(whole < 0, axis=0))))


def of_three(protocol: str) -> Callable[[Case], Wrong]:
    """The first party's ids, the second's, and those of a third that has every other one of the first's."""

    def run(case: Case) -> Wrong:
        third = np.unique(case.left)[::2]
        keys = {"a": Keys(case.left), "b": Keys(case.right), "c": Keys(third)}
        sizes = {party: len(own) for party, own in keys.items()}
        if not all(sizes.values()):
            return Wrong(0, 0)  # nothing runs
        streams: dict[str, dict[str, Any]] = {party: {} for party in keys}
        for x, y in itertools.combinations(keys, 2):
            streams[x][y], streams[y][x] = stream_pair(x, y)
        leader, learners = leader_of(sizes, tuple(keys)), tuple(keys)

        def part(party: str) -> np.ndarray[Any, Any] | None:
            return common(streams[party], keys[party], Round(party, sizes, leader, learners, protocol), quiet)

        with ThreadPoolExecutor(3) as pool:
            found = dict(zip(keys, pool.map(part, keys), strict=True))
        expected = set(case.left.tolist()) & set(case.right.tolist()) & set(third.tolist())
        columns = {"a": case.left, "b": case.right, "c": third}
        errors = [wrong(ids_of(columns[p], keys[p], np.asarray(found[p])), expected) for p in keys]
        return Wrong(max(e.missed for e in errors), max(e.invented for e in errors))

    return run


PROTOCOLS: dict[str, Callable[[Case], Wrong]] = {
    **{name: aligned(name) for name in PSI_PROTOCOLS.names()},
    "count": counted,
    "oprf": asked,
    "circuit": joined_secretly,
    "spine": placed,
    "three ecdh": of_three("ecdh"),
    "three vole": of_three("vole"),
}


def main() -> int:
    """Run the grid; a line for each protocol and size; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", action="append", choices=sorted(PROTOCOLS), help="again for several; all if none")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest size")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    sizes = tuple(n for n in SIZES if n <= chosen.most)
    failed = 0
    print(f"seed {chosen.seed}; sizes {sizes}, overlaps {OVERLAPS}, duplicates or not, a hundredth at one side or not")
    for name in chosen.protocol or PROTOCOLS:
        start, runs, ids = time.perf_counter(), 0, 0
        amiss = np.zeros(3, np.int64)
        for case in cases(sizes, np.random.default_rng(chosen.seed)):
            found = PROTOCOLS[name](case)
            runs, ids = runs + 1, ids + len(case.left) + len(case.right)
            amiss += found
            if any(found):
                failed += 1
                print(f"  WRONG {name} {case.text}: {found}")
        print(
            f"{name:16} {runs} runs, {ids:,} rows in {time.perf_counter() - start:.0f} s: {amiss[0]} missed, "
            f"{amiss[1]} invented, {amiss[2]} rows amiss",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
