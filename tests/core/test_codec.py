# SPDX-License-Identifier: Apache-2.0
"""The wire codec: what goes in comes out, and nothing but named errors for anything else."""

from __future__ import annotations

import contextlib
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jali.core import codec
from jali.core.errors import CodecVersionUnknown, MalformedMessage, UnsupportedValue
from jali.core.table import Table
from jali.core.tree import named_tuple_type

Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind is what users have

DTYPES = ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


def message_of(value: object) -> bytes:
    """One message, whole."""
    return b"".join(bytes(part) for part in codec.encode(value))


def same(a: Any, b: Any) -> bool:
    """Equality of values, with types and with NaN equal to NaN."""
    if isinstance(a, np.generic):
        a = np.asarray(a)
    if isinstance(a, np.ndarray):
        fits = isinstance(b, np.ndarray) and a.shape == b.shape and a.dtype.kind == b.dtype.kind
        return fits and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, Table):
        return isinstance(b, Table) and a.equals(b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        named = getattr(a, "_fields", ()) == getattr(b, "_fields", ())
        kind = isinstance(b, list) if isinstance(a, list) else isinstance(b, tuple)
        return kind and named and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b or a != a)  # noqa: PLR0124 - NaN


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
arrays = st.one_of(
    st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))),
    hnp.arrays("U5", hnp.array_shapes(max_dims=2, min_side=0), elements=words),
)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.binary(max_size=600))
values = st.recursive(
    scalars | arrays,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(texts | st.integers(), inner, max_size=4),
        st.tuples(inner, inner).map(lambda pair: Point(*pair)),
    ),
    max_leaves=12,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_a_value_comes_back(value: object) -> None:
    assert same(value, codec.decode(message_of(value)))


@pytest.mark.parametrize(
    "number", [0, -1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 3**2000, -(3**2000)]
)
def test_whole_numbers_of_any_size(number: int) -> None:
    assert codec.decode(message_of(number)) == number


def test_a_table_comes_back_with_types() -> None:
    table = Table({"id": ["a", "", "中文"], "n": [1, 2, 3], "x": [0.5, float("nan"), 1e300], "b": [True, False, True]})
    back = codec.decode(message_of({"t": table}))["t"]
    assert back.equals(table)
    assert back.dtypes == table.dtypes


def test_numpy_scalars_become_arrays_without_dimensions() -> None:
    back = codec.decode(message_of([np.float32(1.5), np.int8(-3), np.str_("é")]))
    assert [array.shape for array in back] == [(), (), ()]
    assert [str(array.dtype) for array in back] == ["float32", "int8", "<U1"]


def test_other_orders_are_converted() -> None:
    grid = np.arange(12, dtype=">i4").reshape(3, 4).T
    back = codec.decode(message_of(grid))
    assert back.flags.c_contiguous
    assert same(grid, back)


def test_arrays_are_neither_copied_in_nor_out() -> None:
    array = np.arange(1000)
    parts = codec.encode(array)
    assert any(
        np.shares_memory(np.frombuffer(memoryview(part), np.uint8), array)
        for part in parts
        if memoryview(part).nbytes == 8000
    )
    message = bytearray(b"".join(bytes(part) for part in parts))
    back = codec.decode(message)
    assert np.shares_memory(np.frombuffer(message, np.uint8), back)
    assert not back.flags.writeable


def test_buffers_are_aligned_in_the_message() -> None:
    message = message_of([np.full(3, 7, np.uint8), np.full(5, 9, np.uint8)])
    first, second = message.index(b"\7\7\7"), message.index(b"\t\t\t\t\t")
    assert first % 64 == 0
    assert second % 64 == 0


def test_an_unaligned_message_gives_aligned_arrays() -> None:
    message = b"x" + message_of(np.arange(10.0))
    assert codec.decode(memoryview(message)[1:]).flags.aligned


class Opaque:
    """Something that is never sent."""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, {"a": Opaque()}], r"the value\[1\]\['a'\] is of type 'Opaque'"),
        (len, "builtin_function"),
        ({1.5: 2}, "keys of type 'float'"),
        (np.array([1 + 2j]), "complex128"),
        (np.array([object()]), "object"),
        (np.array([b"x"]), "S1"),
        ({1, 2}, "set"),
        ("\ud800", "surrogates"),
        (np.array(["\ud800"]), "surrogates"),
        pytest.param(1 << (8 << 16), "whole number of 65537 bytes", id="huge"),
    ],
)
def test_what_cannot_be_sent_is_named(value: object, words: str) -> None:
    with pytest.raises(UnsupportedValue, match=words):
        codec.encode(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnsupportedValue, match="nested at most 64"):
        codec.encode(loop)


def test_text_with_one_giant_string_is_refused() -> None:
    lengths = np.array(["x" * 40_000] + [""] * 999)
    with pytest.raises(UnsupportedValue, match="far longer"):
        codec.encode(lengths)


def test_an_unknown_version_is_a_version_error() -> None:
    message = bytearray(message_of(1))
    message[4] = 9
    with pytest.raises(CodecVersionUnknown, match="found 9"):
        codec.decode(message)


def try_to_decode(message: bytes | bytearray) -> None:
    """Decode, or end in one of the two errors; anything else fails the test."""
    with contextlib.suppress(MalformedMessage, CodecVersionUnknown):
        codec.decode(message)


SAMPLE = message_of(
    {
        "a": [np.arange(5), np.array([True, False]), np.array(["ab", "", "ç"])],
        "t": Table({"id": ["a", "b"], "x": [1.0, 2.0]}),
        "p": Point(10**30, b"x" * 300),
        "n": (None, 1.5, b"raw"),
    }
)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_never_surprise(noise: bytes) -> None:
    with pytest.raises((MalformedMessage, CodecVersionUnknown)):  # hypothesis knows the magic bytes
        codec.decode(noise)
    try_to_decode(codec.MAGIC + bytes((1, 0, 0, 0)) + len(noise).to_bytes(4, "little") + noise)


def test_every_truncation_is_malformed() -> None:
    for end in range(len(SAMPLE)):
        with pytest.raises(MalformedMessage):
            codec.decode(SAMPLE[:end])
    with pytest.raises(MalformedMessage):
        codec.decode(SAMPLE + b"\0")


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_flipped_bits_never_surprise(flips: list[tuple[int, int]]) -> None:
    message = bytearray(SAMPLE)
    for place, mask in flips:
        message[place] ^= mask
    try_to_decode(message)


def framed(body: Any, *buffers: bytes, sizes: list[Any] | None = None) -> bytes:
    """A message with any header, right or wrong."""
    import msgspec

    header = msgspec.msgpack.encode([[len(b) for b in buffers] if sizes is None else sizes, body])
    message = codec.MAGIC + bytes((1, 0, 0, 0)) + len(header).to_bytes(4, "little") + header
    for buffer in buffers:
        message += bytes(-len(message) % 64) + buffer
    return message


@pytest.mark.parametrize(
    "message",
    [
        framed([99, []]),
        framed([]),
        framed([True, []]),
        framed({"a": 1}),
        framed([codec.DICT, ["a", "a"], [1, 2]]),
        framed([codec.DICT, ["a"], []]),
        framed([codec.DICT, [[codec.LIST, []]], [1]]),
        framed([codec.NAMED, "P", ["__class__"], [1]]),
        framed([codec.NAMED, "P", ["a", "a"], [1, 2]]),
        framed([codec.NAMED, "import os", ["a"], [1]]),
        framed([codec.INTEGER, b""]),
        framed([codec.ARRAY, 3, [2**40, 2**40]], b""),
        framed([codec.ARRAY, 3, [0, 2**60]], b""),
        framed([codec.ARRAY, 3, [-1]], b""),
        framed([codec.ARRAY, 77, [1]], b"12345678"),
        framed([codec.ARRAY, 0, [1]], b"\2"),
        framed([codec.ARRAY, 4, [2]], b"12345678"),
        framed([codec.ARRAY, 4, [1]]),
        framed(1, b"surplus"),
        framed([codec.TEXT, [1]], b"\xff\xff\xff\xff", b"a"),
        framed([codec.TEXT, [2]], b"\1\0\0\0", b"a"),
        framed([codec.TEXT, [1]], b"\1\0\0\0", b"\xff"),
        framed([codec.TABLE, ["a"], []]),
        framed([codec.TABLE, ["a"], [[codec.LIST, []]]]),
        framed([codec.TABLE, ["a", "b"], [[codec.ARRAY, 1, [1]], [codec.ARRAY, 1, [2]]]], b"1", b"12"),
        framed([codec.TABLE, ["a"], [[codec.ARRAY, 1, [1, 1]]]], b"1"),
        framed(1, sizes=[2**62]),
        framed(1, sizes=[-1]),
    ],
)
def test_forged_headers_are_malformed(message: bytes) -> None:
    with pytest.raises(MalformedMessage):
        codec.decode(message)


def test_kinds_of_namedtuples_are_bounded() -> None:
    kinds = [[codec.NAMED, f"P{n}", ["a"], [n]] for n in range(65)]
    assert len(codec.decode(framed([codec.LIST, kinds[:64]]))) == 64
    with pytest.raises(MalformedMessage, match="more than 64"):
        codec.decode(framed([codec.LIST, kinds]))
    with pytest.raises(UnsupportedValue, match="at most 64"):
        codec.encode([named_tuple_type(f"P{n}", ("a",))(n) for n in range(65)])


def test_forged_nesting_is_malformed() -> None:
    body: list[Any] = [codec.LIST, []]
    for _ in range(200):
        body = [codec.LIST, [body]]
    with pytest.raises(MalformedMessage):
        codec.decode(framed(body))
    deep = b"\x92\x90" + b"\x92\x00\x91" * 200_000
    with pytest.raises(MalformedMessage):
        codec.decode(codec.MAGIC + bytes((1, 0, 0, 0)) + len(deep).to_bytes(4, "little") + deep)
