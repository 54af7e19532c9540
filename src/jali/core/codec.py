# SPDX-License-Identifier: Apache-2.0
"""The wire codec: values to buffers and back, without pickle and without copying arrays.

A message is::

    0   "jali"          magic
    4   version         one byte; an unknown one is refused
    5   zeros           three bytes
    8   header length   uint32, little-endian
    12  header          msgpack: [sizes of the buffers, value]
    ..  buffers         raw, each starting at a multiple of 64, padded with zeros in between

In the header a value is itself when it is None, a boolean, a whole number of 64 bits, a float or a string; anything
else is an array whose first element is a tag (`LIST`, `TUPLE`, ...). Arrays are C order, little-endian. Text arrays go
as the lengths of their strings in characters (uint32) and the UTF-8 of all of them in a row.

What changes on the way: numpy scalars become arrays of shape (); bytearrays become bytes; arrays in another order or
byte order are copied into C order and little-endian. Decoded arrays are read-only views of the message.

Security: decoding never executes anything and raises nothing but the errors named here. What it allocates is bounded
by what was received: nothing for arrays, up to 64 times the size for text arrays beyond 64 MiB, and Python's cost of
small objects (about 60 times) for the header, which has at most 16 MiB.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import CodecVersionUnknown, JaliError, MalformedMessage, UnsupportedValue
from jali.core.table import Table
from jali.core.tree import is_named_tuple, named_tuple_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["VERSION", "decode", "encode"]

_HEADERS = msgspec.msgpack.Decoder(tuple[list[int], Any])

VERSION = 1
MAGIC = b"jali"
PREFIX_BYTES = 12
ALIGNMENT = 64
MAX_DEPTH = 64
MAX_HEADER_BYTES = 16 << 20
MAX_BUFFERS = 1 << 16
MAX_DIMENSIONS = 32
MAX_NAMED_TYPES = 64
MAX_INTEGER_BYTES = 1 << 16
MAX_LENGTH = 1 << 48
INLINE_BYTES = 256
TEXT_EXPANSION = 64
TEXT_ALLOWANCE = 64 << 20

LIST, TUPLE, DICT, NAMED, INTEGER, BYTES, LONG_BYTES, ARRAY, TEXT, TABLE = range(10)

DTYPES = tuple(
    np.dtype(name) for name in ("?", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
)
DTYPE_NUMBERS = {dtype: number for number, dtype in enumerate(DTYPES)}


def encode(value: object) -> list[Buffer]:
    """The message for a value, as buffers to send one after the other; arrays are not copied.

    Values: None, bool, int of any size, float, str, bytes, numpy arrays of booleans, numbers and text, `Table`, and
    lists, tuples, namedtuples and dicts (keys: str, int, bool) of these. Objects with numpy's `__array__` interface,
    such as jax arrays, go as arrays. The arrays must not change until the buffers are sent.

    Raises: UnsupportedValue, which names the type and where in the value it was found.
    """
    return _Encoder().message(value)


def decode(message: Buffer) -> Any:
    """The value in a message; its arrays are read-only views that keep the message's memory alive.

    Raises: MalformedMessage if it does not follow the format; CodecVersionUnknown if it is of another version.
    """
    view = memoryview(message).cast("B")
    sizes, body, start = _header(view)
    try:
        decoder = _Decoder(view, sizes, start)
        value = decoder.value(body, 0)
        decoder.finish()
    except JaliError as error:
        if isinstance(error, MalformedMessage):
            raise
        raise MalformedMessage(f"the message holds an impossible value: {error.message}") from None
    return value


class _Encoder:
    """Collects buffers while it turns a value into the header's form."""

    def __init__(self) -> None:
        self.buffers: list[memoryview] = []
        self.named_types: set[type[Any]] = set()

    def message(self, value: object) -> list[Buffer]:
        body = self.value(value, "the value", 0)
        try:
            header = msgspec.msgpack.encode(([len(buffer) for buffer in self.buffers], body))
        except UnicodeEncodeError:
            raise UnsupportedValue("expected strings that are valid Unicode, found lone surrogates") from None
        if len(header) > MAX_HEADER_BYTES or len(self.buffers) > MAX_BUFFERS:
            raise UnsupportedValue(
                f"expected at most {MAX_BUFFERS} arrays and {MAX_HEADER_BYTES} bytes of other values, found "
                f"{len(self.buffers)} and {len(header)}: put numbers and strings into arrays"
            )
        parts: list[Buffer] = [MAGIC + bytes((VERSION, 0, 0, 0)) + len(header).to_bytes(4, "little"), header]
        offset = PREFIX_BYTES + len(header)
        for buffer in self.buffers:
            if offset % ALIGNMENT:
                parts.append(bytes(-offset % ALIGNMENT))
                offset += -offset % ALIGNMENT
            if len(buffer):
                parts.append(buffer)
            offset += len(buffer)
        return [b"".join(parts[:2]), *parts[2:]]

    def value(self, value: Any, where: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise UnsupportedValue(f"expected containers nested at most {MAX_DEPTH} deep, found deeper ones")
        if value is None or type(value) in {bool, float, str}:
            return value
        if type(value) is int:
            return value if -(1 << 63) <= value < 1 << 64 else self.integer(value, where)
        if isinstance(value, bytes | bytearray) and not isinstance(value, np.generic):
            return self.octets(value)
        if isinstance(value, Table):
            columns = [self.array(value[name], f"{where}[{name!r}]") for name in value.columns]
            return [TABLE, list(value.columns), columns]
        if isinstance(value, list | tuple | dict):
            return self.container(value, where, depth + 1)
        if isinstance(value, np.ndarray | np.generic) or _is_array_like(value):
            return self.array(np.asarray(value), where)
        raise UnsupportedValue(
            f"{where} is of type {type(value).__qualname__!r}, which is not sent between parties: return numbers, "
            "strings, numpy arrays, tables, or lists, tuples and dicts of them"
        )

    def container(self, value: Any, where: str, depth: int) -> list[Any]:
        if isinstance(value, dict):
            wrong = next((type(key).__name__ for key in value if type(key) not in {str, int, bool}), None)
            if wrong is not None:
                raise UnsupportedValue(f"{where} has keys of type {wrong!r}; expected strings or whole numbers")
            items = [self.value(item, f"{where}[{key!r}]", depth) for key, item in value.items()]
            return [DICT, [self.value(key, where, depth) for key in value], items]
        items = [self.value(item, f"{where}[{index}]", depth) for index, item in enumerate(value)]
        if is_named_tuple(value):
            self.named_types.add(type(value))
            if len(self.named_types) > MAX_NAMED_TYPES:
                raise UnsupportedValue(f"expected at most {MAX_NAMED_TYPES} kinds of namedtuples, found more")
            return [NAMED, type(value).__name__, list(type(value)._fields), items]
        if type(value) not in {list, tuple}:
            raise UnsupportedValue(f"{where} is of type {type(value).__qualname__!r}: make it a list or a tuple")
        return [LIST if type(value) is list else TUPLE, items]

    def integer(self, value: int, where: str) -> list[Any]:
        size = value.bit_length() // 8 + 1
        if size > MAX_INTEGER_BYTES:
            raise UnsupportedValue(f"{where} is a whole number of {size} bytes; expected at most {MAX_INTEGER_BYTES}")
        return [INTEGER, value.to_bytes(size, "little", signed=True)]

    def octets(self, value: bytes | bytearray) -> list[Any]:
        if len(value) <= INLINE_BYTES:
            return [BYTES, bytes(value)]
        self.buffers.append(memoryview(value))
        return [LONG_BYTES]

    def array(self, array: NDArray[Any], where: str) -> list[Any]:
        if array.dtype.kind == "U":
            lengths, text = _pack_text(array, where)
            self.buffers += [_octets_of(lengths), memoryview(text)]
            return [TEXT, list(array.shape)]
        number = DTYPE_NUMBERS.get(array.dtype.newbyteorder("<"))
        if number is None or array.ndim > MAX_DIMENSIONS:
            raise UnsupportedValue(
                f"{where} is an array of {array.dtype} with {array.ndim} dimensions; expected booleans, whole numbers "
                f"or floats of up to 64 bits, or text, with at most {MAX_DIMENSIONS} dimensions"
            )
        self.buffers.append(_octets_of(np.asarray(array, dtype=DTYPES[number], order="C")))
        return [ARRAY, number, list(array.shape)]


class _Decoder:
    """Turns the header's form back into a value, taking the buffers in order."""

    def __init__(self, view: memoryview, sizes: list[int], start: int) -> None:
        self.view = view
        self.sizes = sizes
        self.offset = start
        self.next = 0
        self.named_types: set[tuple[str, ...]] = set()
        self.forms: dict[int, Callable[[list[Any], int], Any]] = {
            LIST: self.sequence,
            TUPLE: self.sequence,
            DICT: self.mapping,
            NAMED: self.named,
            INTEGER: self.integer,
            BYTES: self.octets,
            LONG_BYTES: self.octets,
            ARRAY: self.array,
            TEXT: self.text,
            TABLE: self.table,
        }

    def finish(self) -> None:
        if self.next != len(self.sizes):
            raise MalformedMessage(f"the message has {len(self.sizes)} buffers, its value uses {self.next}")

    def value(self, body: Any, depth: int) -> Any:
        if body is None or type(body) in {bool, int, float, str}:
            return body
        if type(body) is not list or not body or depth > MAX_DEPTH:
            raise MalformedMessage("the header of a message holds a form that no value has")
        form = self.forms.get(body[0]) if type(body[0]) is int else None
        if form is None:
            raise MalformedMessage("the header of a message has an unknown tag")
        return form(body, depth + 1)

    def buffer(self) -> memoryview:
        if self.next >= len(self.sizes):
            raise MalformedMessage("the value of a message uses more buffers than there are")
        start = _aligned(self.offset)
        self.offset = start + self.sizes[self.next]
        self.next += 1
        return self.view[start : self.offset]

    def sequence(self, body: list[Any], depth: int) -> Any:
        tag, items = _fields(body, int, list)
        values = [self.value(item, depth) for item in items]
        return values if tag == LIST else tuple(values)

    def mapping(self, body: list[Any], depth: int) -> dict[Any, Any]:
        _, keys, items = _fields(body, int, list, list)
        names = [self.value(key, depth) for key in keys]
        typed = all(type(name) in {str, int, bool} for name in names)
        if not typed or not len(set(names)) == len(names) == len(items):
            raise MalformedMessage("a dict in a message has keys that repeat, are of a wrong type, or have no value")
        return {name: self.value(item, depth) for name, item in zip(names, items, strict=True)}

    def named(self, body: list[Any], depth: int) -> Any:
        _, name, fields, items = _fields(body, int, str, list, list)
        if len(fields) != len(items) or not all(type(field) is str for field in fields):
            raise MalformedMessage("a namedtuple in a message has not one value for each field")
        self.named_types.add((name, *fields))
        if len(self.named_types) > MAX_NAMED_TYPES:
            raise MalformedMessage(f"a message has more than {MAX_NAMED_TYPES} kinds of namedtuples")
        factory = named_tuple_type(name, tuple(fields))
        return factory(*(self.value(item, depth) for item in items))

    def integer(self, body: list[Any], depth: int) -> int:  # noqa: ARG002 - all forms have one signature
        _, octets = _fields(body, int, bytes)
        if not 8 <= len(octets) <= MAX_INTEGER_BYTES:
            raise MalformedMessage(f"a whole number in a message has {len(octets)} bytes")
        return int.from_bytes(octets, "little", signed=True)

    def octets(self, body: list[Any], depth: int) -> bytes:  # noqa: ARG002
        if body[0] == LONG_BYTES:
            _fields(body, int)
            return bytes(self.buffer())
        octets: bytes = _fields(body, int, bytes)[1]
        return octets

    def array(self, body: list[Any], depth: int) -> NDArray[Any]:  # noqa: ARG002
        _, number, shape = _fields(body, int, int, list)
        _require_shape(shape)
        if not 0 <= number < len(DTYPES):
            raise MalformedMessage("an array in a message has an unknown type")
        dtype = DTYPES[number]
        octets = self.buffer()
        if len(octets) != prod(shape) * dtype.itemsize:
            raise MalformedMessage(f"an array of {dtype}{shape} in a message has {len(octets)} bytes")
        array = np.frombuffer(octets, np.uint8)
        if dtype == np.bool_ and array.size and int(array.max()) > 1:
            raise MalformedMessage("an array of booleans in a message holds something else")
        if array.ctypes.data % dtype.itemsize:
            array = array.copy()
        array = array.view(dtype).reshape(shape) if array.size else np.empty(shape, dtype)
        array.flags.writeable = False
        return array

    def text(self, body: list[Any], depth: int) -> NDArray[np.str_]:  # noqa: ARG002
        _, shape = _fields(body, int, list)
        _require_shape(shape)
        lengths = np.frombuffer(bytes(self.buffer()), np.uint8)
        if lengths.size != 4 * prod(shape):
            raise MalformedMessage(f"a text array of shape {shape} in a message has {lengths.size // 4} lengths")
        array = _unpack_text(lengths.view("<u4"), self.buffer()).reshape(shape)
        array.flags.writeable = False
        return array

    def table(self, body: list[Any], depth: int) -> Table:
        _, names, columns = _fields(body, int, list, list)
        named = all(type(name) is str for name in names) and len(set(names)) == len(names) == len(columns)
        if not named or not all(type(column) is list and column[:1] in ([ARRAY], [TEXT]) for column in columns):
            raise MalformedMessage("a table in a message has not one array for each name")
        return Table({name: self.value(column, depth) for name, column in zip(names, columns, strict=True)})


def _header(view: memoryview) -> tuple[list[int], Any, int]:
    """Sizes of the buffers, the value's form, and where the header ends; the total length is checked."""
    prefix = bytes(view[:PREFIX_BYTES])
    if len(prefix) < PREFIX_BYTES or not prefix.startswith(MAGIC):
        raise MalformedMessage(f"expected a message of jali's format, found {len(view)} bytes of something else")
    if prefix[4] != VERSION:
        raise CodecVersionUnknown(f"expected wire format {VERSION}, found {prefix[4]}: upgrade the older side")
    size = int.from_bytes(prefix[8:], "little")
    if any(prefix[5:8]) or size > min(MAX_HEADER_BYTES, len(view) - PREFIX_BYTES):
        raise MalformedMessage(f"a message of {len(view)} bytes says that its header has {size}")
    end = PREFIX_BYTES + size
    try:
        sizes, body = _HEADERS.decode(view[PREFIX_BYTES:end])
    except (msgspec.MsgspecError, RecursionError, ValueError, TypeError, OverflowError):
        raise MalformedMessage("the header of a message is not msgpack of the expected form") from None
    if len(sizes) > MAX_BUFFERS or any(not 0 <= length <= MAX_LENGTH for length in sizes):
        raise MalformedMessage("a message has too many buffers, or one of an impossible size")
    offset = end
    for length in sizes:
        start = _aligned(offset)
        if any(view[offset:start]):
            raise MalformedMessage("the space between the buffers of a message is not empty")
        offset = start + length
    if offset != len(view):
        raise MalformedMessage(f"a message of {len(view)} bytes describes {offset} bytes")
    return sizes, body, end


def _fields(body: list[Any], *types: type[Any]) -> list[Any]:
    if len(body) != len(types) or not all(type(part) is cls for part, cls in zip(body, types, strict=True)):
        raise MalformedMessage("the header of a message holds a form with wrong parts")
    return body


def _require_shape(shape: list[Any]) -> None:
    whole = len(shape) <= MAX_DIMENSIONS and all(type(size) is int and 0 <= size <= MAX_LENGTH for size in shape)
    if not whole or prod(size or 1 for size in shape) > MAX_LENGTH:
        raise MalformedMessage("an array in a message has an impossible shape")


def _aligned(offset: int) -> int:
    return offset + -offset % ALIGNMENT


def _is_array_like(value: object) -> bool:
    return all(hasattr(value, name) for name in ("__array__", "dtype", "shape"))


def _octets_of(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _pack_text(array: NDArray[np.str_], where: str) -> tuple[NDArray[np.uint32], bytes]:
    """Lengths in characters, (n,), and the UTF-8 of all strings one after the other."""
    width = max(array.dtype.itemsize // 4, 1)
    dense = np.ascontiguousarray(array.astype(f"<U{width}", copy=False)).reshape(-1)
    lengths = np.strings.str_len(dense).astype("<u4")
    code_points = dense.view("<u4").reshape(len(dense), width)[np.arange(width) < lengths[:, None]]
    try:
        text = code_points.tobytes().decode("utf-32-le").encode()
    except UnicodeError:
        raise UnsupportedValue(f"{where} has strings that are not valid Unicode (lone surrogates)") from None
    if not _is_moderate(len(dense), int(lengths.max(initial=0)), 4 * len(dense) + len(text)):
        raise UnsupportedValue(f"{where} has one string far longer than the others: send it by itself")
    return lengths, text


def _unpack_text(lengths: NDArray[np.uint32], octets: memoryview) -> NDArray[np.str_]:
    width = int(lengths.max(initial=0))
    if not _is_moderate(len(lengths), width, lengths.nbytes + len(octets)):
        raise MalformedMessage("a text array in a message has one string far longer than the others")
    try:
        code_points = np.frombuffer(str(octets, "utf-8").encode("utf-32-le"), "<u4")
    except UnicodeError:
        raise MalformedMessage("a text array in a message is not UTF-8") from None
    if int(lengths.sum(dtype=np.uint64)) != len(code_points):
        raise MalformedMessage("the lengths of a text array in a message do not add up")
    dense = np.zeros((len(lengths), max(width, 1)), "<u4")
    dense[np.arange(max(width, 1)) < lengths[:, None]] = code_points
    return dense.view(f"<U{max(width, 1)}").reshape(-1)


def _is_moderate(count: int, width: int, size_bytes: int) -> bool:
    """Whether the dense form of a text array is not far larger than what is sent."""
    return 5 * count * width <= TEXT_ALLOWANCE + TEXT_EXPANSION * size_bytes
