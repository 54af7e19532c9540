# SPDX-License-Identifier: Apache-2.0
"""Private retrieval: the right rows at every shape, queries that look random, updates, and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from jali.core.errors import KeyInvalid, PsiFrameInvalid, PsiKeysDiffer, TableInvalid
from jali.kernels import matmul
from jali.psi.keys import Keys
from jali.psi.pir import index as module
from jali.psi.pir import two_server
from jali.psi.pir.index import Hint, IndexClient, IndexServer, answer, ask, leaks, query_cost
from jali.psi.pir.keyword import KeywordClient, KeywordServer, Layout, ask_keys, keyword_leaks
from tests.psi.pairs import run_both, stream_pair

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_IN_A_MILLION = 1e-6


def table(n: int, width: int, seed: int = 0) -> Any:
    """Random bytes, with rows of the extremes, which make the most noise."""
    rows = np.random.default_rng(seed).integers(0, 256, (n, width), np.uint8)
    rows[::3] = 0
    rows[1::3] = 255
    return rows


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_the_rows_that_are_asked_for(n: int, width: int, data: st.DataObject) -> None:
    rows = table(n, width)
    server = IndexServer(rows)
    indices = data.draw(st.lists(st.integers(0, n - 1), max_size=5))
    client, streams = IndexClient(server.hint), stream_pair()
    count, found = run_both(streams, lambda s: answer(s, server), lambda s: ask(s, client, indices))
    np.testing.assert_array_equal(found, rows[indices].reshape(len(indices), width))
    cost = query_cost(server.hint, len(indices))
    assert count == len(indices)
    assert streams[1].counters.bytes_sent == cost.bytes_sent["me"]
    assert streams[0].counters.bytes_sent == cost.bytes_sent["peer"]


@pytest.mark.slow
def test_a_large_table_of_the_noisiest_bytes() -> None:
    rows = table(200_000, 32)
    server = IndexServer(rows)
    indices = [0, 1, 2, 99_999, 199_999]
    query = IndexClient(server.hint).query(indices)
    found = query.decode(server.hint, server.answer(query.message.astype(np.uint64)))
    np.testing.assert_array_equal(found, rows[indices])
    assert server.hint.columns > 5_000


def test_noise_stays_far_from_its_limit() -> None:
    """Bytes of -128 everywhere: the deviation is 6.4 times 128 times the root of the columns, the limit 2^23."""
    for columns in (2**13, 2**20):
        assert 2**23 / (6.4 * 128 * columns**0.5) > 9.9
    rows = np.zeros((4096, 4), np.uint8)
    server = IndexServer(rows)
    query = IndexClient(server.hint).query([5])
    noisy = server.answer(query.message.astype(np.uint64))[: server.hint.width, 0].astype(np.int64)
    mask = matmul(server.hint.rows[: server.hint.width].astype(np.uint64), query._secrets)[:, 0]
    noise = (noisy - mask.view(np.int64) + (128 << 24) + 2**31) % 2**32 - 2**31
    assert np.all(np.abs(noise) < 8 * 6.4 * 128 * server.hint.columns**0.5)


def test_queries_look_random_and_differ() -> None:
    server = IndexServer(table(3000, 8))
    client = IndexClient(server.hint)
    first, second = (client.query([7] * 40).message for _ in range(2))
    assert not np.any(first == second)
    for message in (first, client.query([2999] * 40).message):
        assert chisquare(np.bincount(message.view(np.uint8).reshape(-1), minlength=256)).pvalue > ONE_IN_A_MILLION
    assert repr(client.query([1])) == "<Query>"


def test_errors_have_the_distribution() -> None:
    errors = module._errors(200_000).view(np.int64)
    assert abs(float(np.mean(errors))) < 0.08
    assert float(np.std(errors)) == pytest.approx(6.4, abs=0.06)
    weights = np.exp(-(np.arange(-20, 21) ** 2) / (2 * 6.4**2))
    inside = errors[np.abs(errors) <= 20]
    expected = weights / weights.sum() * len(inside)
    assert chisquare(np.bincount(inside + 20, minlength=41), expected).pvalue > ONE_IN_A_MILLION


def test_updates_change_the_table_and_the_hints() -> None:
    rows = table(500, 6)
    server = IndexServer(rows)
    client = IndexClient(IndexServer(rows, seed=server.hint.seed).hint)
    for row, content in ((0, b"\xff" * 6), (499, b"abcdef"), (0, b"\0" * 6)):
        client.follow(server.update(row, content))
    np.testing.assert_array_equal(client.hint.rows, server.hint.rows)
    _, found = run_both(stream_pair(), lambda s: answer(s, server), lambda s: ask(s, client, [0, 499, 1]))
    assert [row.tobytes() for row in found] == [b"\0" * 6, b"abcdef", rows[1].tobytes()]
    for row, content in ((500, b"abcdef"), (-1, b"abcdef"), (0, b"abc")):
        with pytest.raises(TableInvalid):
            server.update(row, content)


@pytest.mark.parametrize(
    "rows", [np.zeros((0, 3), np.uint8), np.zeros((3, 0), np.uint8), np.zeros(3, np.uint8), np.zeros((3, 3))]
)
def test_what_is_no_table(rows: Any) -> None:
    with pytest.raises(TableInvalid):
        IndexServer(rows)


def test_rows_that_are_not_there() -> None:
    client = IndexClient(IndexServer(table(5, 2)).hint)
    for index in (-1, 5):
        with pytest.raises(TableInvalid):
            client.query([index])


@pytest.mark.parametrize(
    ("side", "change"),
    [
        (1, lambda m: m[:-1]),
        (1, lambda m: b""),
        (1, lambda m: b"x" + m[1:]),
        (1, lambda m: m[:8] + (2**31).to_bytes(4, "little") + m[12:]),
        (1, lambda m: m[:16] + bytes(16) + m[32:]),
        (0, lambda m: m[:-4]),
    ],
)
def test_messages_of_another_form_are_named(side: int, change: Callable[[bytes], bytes]) -> None:
    server, streams = IndexServer(table(50, 2)), stream_pair()
    streams[side].tamper = lambda i, m: change(m)
    client = IndexClient(server.hint)
    raised = run_both(streams, lambda s: answer(s, server), lambda s: ask(s, client, [3]), errors=True)
    assert isinstance(raised[1 - side], PsiFrameInvalid)


def values_of(n: int, width: int = 5) -> Any:
    return np.random.default_rng(1).integers(0, 256, (n, width), np.uint8)


@pytest.mark.parametrize("n", [1, 2, 9, 500, 3000])
def test_values_by_key(n: int) -> None:
    names, values = [f"n{i}" for i in range(n)], values_of(n)
    server = KeywordServer(Keys(names), values)
    client = KeywordClient(server.layout, server.hint)
    wanted = [f"n{i}" for i in (0, n - 1, n, n + 5)]
    keys, streams = Keys(wanted), stream_pair()
    _, (found, got) = run_both(streams, lambda s: answer(s, server.index), lambda s: ask_keys(s, client, keys))
    for position, row in enumerate(keys.rows[keys.starts[:-1]]):
        number = int(wanted[row][1:])
        assert found[position] == (number < n)
        assert got[position].tobytes() == (values[number].tobytes() if number < n else bytes(5))


def test_bins_are_about_as_full() -> None:
    server = KeywordServer(Keys(np.arange(20_000)), values_of(20_000, 1))
    assert server.layout.bins == 2_500
    assert server.layout.capacity <= 12


def test_what_is_no_table_by_key() -> None:
    with pytest.raises(KeyInvalid, match="1 repetition"):
        KeywordServer(Keys(["a", "a"]), values_of(2))
    wrong: list[Any] = [values_of(3), np.zeros((2, 2))]
    for values in wrong:
        with pytest.raises(TableInvalid):
            KeywordServer(Keys(["a", "b"]), values)
    server = KeywordServer(Keys(["a", "b"]), values_of(2))
    with pytest.raises(PsiKeysDiffer):
        KeywordClient(server.layout, server.hint).bins_of(Keys([1]))


def test_leaks_say_that_the_table_is_not_kept_from_who_asks() -> None:
    for found in (leaks("shop", "bank"), keyword_leaks("shop", "bank")):
        assert {leak.to for leak in found} == {"shop", "bank"}
        assert any("not kept" in leak.why for leak in found if leak.to == "shop")


def test_what_a_client_gets_goes_through_bytes() -> None:
    server = KeywordServer(Keys(np.arange(30)), values_of(30))
    hint, layout = Hint.from_bytes(server.hint.to_bytes()), Layout.from_bytes(server.layout.to_bytes())
    assert layout == server.layout
    assert (hint.n, hint.width, hint.columns, hint.seed) == tuple(
        getattr(server.hint, name) for name in ("n", "width", "columns", "seed")
    )
    np.testing.assert_array_equal(hint.rows, server.hint.rows)
    raw = server.hint.to_bytes()
    assert len(raw) == server.hint.size_bytes
    for bad in (b"", raw[:-1], b"x" + raw[1:], raw[:24] + bytes(8) + raw[32:]):
        with pytest.raises(PsiFrameInvalid, match="hint"):
            Hint.from_bytes(bad)
    for bad in (b"", b"\x80", msgspec.msgpack.encode({**msgspec.structs.asdict(layout), "bins": 0})):
        with pytest.raises(PsiFrameInvalid, match="layout"):
            Layout.from_bytes(bad)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1500), st.data())
def test_two_keys_differ_in_one_bit(n: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, n - 1))
    first, second = (two_server.expand(key, n) for key in two_server.keys_for(n, index))
    assert np.flatnonzero(first ^ second).tolist() == [index]


@pytest.mark.parametrize("n", [1, 127, 128, 129, 256, 257, 128 * 8, 128 * 8 + 1, 100_000])
def test_rows_from_two_servers(n: int) -> None:
    rows, indices = table(n, 7), [0, n // 2, n - 1]
    pairs = [stream_pair("client", server) for server in ("one", "two")]
    results: list[Any] = []

    def servers(_: Any) -> None:
        results.extend(two_server.answer(at_server, rows) for _, at_server in pairs)

    def client(_: Any) -> Any:
        return two_server.ask((pairs[0][0], pairs[1][0]), indices, n=n, width=7)

    found, _ = run_both(stream_pair(), client, servers)
    np.testing.assert_array_equal(found, rows[indices])
    cost = two_server.query_cost(n, 7, 3)
    assert sum(pair[0].counters.bytes_sent for pair in pairs) == cost.bytes_sent["me"]
    assert [pair[1].counters.bytes_sent for pair in pairs] == [cost.bytes_sent["peer"]] * 2
    assert results == [3, 3]


def test_keys_look_random_whatever_the_row() -> None:
    for index in (0, 4095):
        keys = [two_server.keys_for(4096, index)[1] for _ in range(200)]
        raw = np.frombuffer(b"".join(key[1:17] + key[17:33] + key[-16:] for key in keys), np.uint8)
        assert chisquare(np.bincount(raw, minlength=256)).pvalue > ONE_IN_A_MILLION
        share = np.mean([two_server.expand(key, 4096)[index] for key in keys])
        assert 0.3 < share < 0.7


def test_what_is_no_key() -> None:
    key, _ = two_server.keys_for(1000, 3)
    for bad in (b"", key[:-1], key + b"x", b"\x02" + key[1:]):
        with pytest.raises(PsiFrameInvalid):
            two_server.expand(bad, 1000)
    for index in (-1, 1000):
        with pytest.raises(TableInvalid):
            two_server.keys_for(1000, index)
    for change in (lambda m: m[:-1], lambda m: b"x" + m[1:], lambda m: b"", lambda m: m[:8] + bytes(8) + m[16:]):
        at_client, at_server = stream_pair()
        at_client.tamper = lambda i, m, change=change: change(m)  # type: ignore[misc]
        at_client.send(two_server._HELLO.pack(b"jalidpf1", 1000, 1), key)
        with pytest.raises(PsiFrameInvalid, match="queries"):
            two_server.answer(at_server, table(1000, 2))
    assert {leak.to for leak in two_server.leaks("shop", ("one", "two"))} == {"one", "two"}


def test_values_by_key_change_and_hints_follow() -> None:
    names = [f"k{i}" for i in range(500)]
    server = KeywordServer(Keys(names), table(500, 7))
    client = KeywordClient(Layout.from_bytes(server.layout.to_bytes()), Hint.from_bytes(server.hint.to_bytes()))
    known = dict(zip(names, table(500, 7), strict=True))

    def look(keys: list[str]) -> dict[str, bytes | None]:
        held = Keys(keys)
        _, (found, values) = run_both(
            stream_pair(), lambda s: answer(s, server.index), lambda s: ask_keys(s, client, held)
        )
        order = held.rows[held.starts[:-1]]
        return {
            keys[row]: value.tobytes() if there else None
            for row, there, value in zip(order, found, values, strict=True)
        }

    new, changed, gone = ["n1", "n2"], ["k7", "k8"], ["k9", "k499", "never"]
    fresh = table(4, 7, seed=5)
    for change in server.put(Keys(new + changed), fresh) + server.remove(Keys(gone)):
        client.index.follow(change)
    wanted = {**{key: value.tobytes() for key, value in known.items()}}
    wanted |= {key: value.tobytes() for key, value in zip(new + changed, fresh, strict=True)}
    asked = ["k6", "k7", "k8", "k9", "k10", "k499", "n1", "n2", "never"]
    assert look(asked) == {key: None if key in gone else wanted[key] for key in asked}
    assert server.remove(Keys(gone)) == []


def test_what_does_not_fit_into_a_table_by_key() -> None:
    server = KeywordServer(Keys(["a", "b"]), table(2, 3))
    with pytest.raises(PsiKeysDiffer):
        server.put(Keys([1]), table(1, 3))
    with pytest.raises(TableInvalid, match="1 values of 3 bytes"):
        server.put(Keys(["a"]), table(1, 4))
    before = server.index.row(0).tobytes()
    with pytest.raises(TableInvalid, match="are full"):
        server.put(Keys([f"n{i}" for i in range(50)]), table(50, 3))
    assert server.index.row(0).tobytes() == before
    with pytest.raises(TableInvalid, match="below 1"):
        server.index.row(1)
