# SPDX-License-Identifier: Apache-2.0
"""Rows by their number, from two servers that hold the same table and do not collude, by distributed point functions.

A *distributed point function* cuts the bits "1 at this place, 0 elsewhere" into two short keys, each of which says
nothing of the place. Each server expands its key to a bit for each row, and returns the sum of the rows whose bit is 1.
All rows but one are in both sums or in none, so the two differ in the row that was asked for.

References: Boyle, Gilboa, Ishai 2016 (ePrint 2018/707), figure 1, with early termination at 128 bits; Chor, Goldreich,
Kushilevitz, Sudan 1995 for sums of rows.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.core.errors import PsiFrameInvalid, TableInvalid
from jali.core.threat import Cost, Leak, Threat
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["MOST_QUERIES", "THREAT", "answer", "ask", "expand", "key_bytes", "keys_for", "leaks", "query_cost", "sums"]

MOST_QUERIES: Final = 1024
THREAT: Final = Threat(
    parties=3,
    corrupt=1,
    adversary="malicious server for what is asked, semi-honest for the answer; servers do not collude",
    abort="malformed messages raise a named error",
    assumptions=("SHA-512 is a pseudo-random generator", "the two servers do not put their keys together"),
    paper="Boyle, Gilboa, Ishai 2016 (ePrint 2018/707)",
)
_SEED, _LEAF_BITS = 16, 128
_HELLO = struct.Struct("<8sQI")
_MAGIC = b"jalidpf1"
_TO_CHILDREN, _TO_LEAF = "jali.dpf.v1", "jali.dpf.leaf.v1"


def key_bytes(n: int) -> int:
    """The size of a key for a table of n rows: a seed, 17 bytes for each level, and a leaf."""
    return 1 + _SEED + _levels(n) * (_SEED + 1) + _LEAF_BITS // 8


def keys_for(n: int, index: int) -> tuple[bytes, bytes]:
    """Two keys for row `index` of n, one for each server.

    Security: each alone is pseudo-random, whatever the index is.
    Raises: TableInvalid for a row that is not there.
    """
    if not 0 <= index < n:
        raise TableInvalid(f"expected a row below {n}, found {index}")
    roots = [random_bytes(_SEED), random_bytes(_SEED)]
    seeds = np.frombuffer(b"".join(roots), np.uint8).reshape(2, _SEED)
    bits = np.array([0, 1], np.uint8)
    corrections = []
    leaf, depth = index // _LEAF_BITS, _levels(n)
    for level in range(depth):
        turn = leaf >> (depth - 1 - level) & 1
        children, child_bits = _children(seeds)  # (2 parties, 2 sides, 16), (2, 2)
        lost = children[0, 1 - turn] ^ children[1, 1 - turn]
        left = child_bits[0, 0] ^ child_bits[1, 0] ^ turn ^ 1
        right = child_bits[0, 1] ^ child_bits[1, 1] ^ turn
        corrections.append(lost.tobytes() + bytes([int(left) | int(right) << 1]))
        seeds = children[:, turn] ^ lost * bits[:, None]
        bits = child_bits[:, turn] ^ bits * (right if turn else left)
    unit = (1 << index % _LEAF_BITS).to_bytes(_LEAF_BITS // 8, "little")
    leaves = _leaves(seeds)
    last = (leaves[0] ^ leaves[1] ^ np.frombuffer(unit, np.uint8)).tobytes()
    shared = b"".join(corrections) + last
    return bytes([0]) + roots[0] + shared, bytes([1]) + roots[1] + shared


def expand(key: bytes, n: int) -> NDArray[np.bool_]:
    """A server's bit for each of n rows.

    Shapes: (n,).
    Cost: local, a hash for every 43 rows or so.
    Raises: PsiFrameInvalid for what is no key for n rows.
    """
    if len(key) != key_bytes(n) or key[0] > 1:
        raise PsiFrameInvalid(f"expected a key of {key_bytes(n)} bytes for {n} rows, found {len(key)}")
    seeds = np.frombuffer(key, np.uint8, _SEED, 1).reshape(1, _SEED)
    bits, at, count = np.array([key[0]], np.uint8), 1 + _SEED, -(-n // _LEAF_BITS)
    depth = _levels(n)
    for level in range(depth):
        correction, flags = np.frombuffer(key, np.uint8, _SEED, at), key[at + _SEED]
        at += _SEED + 1
        children, child_bits = _children(seeds)
        children ^= (correction * bits[:, None])[:, None]
        child_bits ^= bits[:, None] * np.array([flags & 1, flags >> 1 & 1], np.uint8)
        needed = -(-count // 2 ** (depth - 1 - level))
        seeds, bits = children.reshape(-1, _SEED)[:needed], child_bits.reshape(-1)[:needed]
    last = np.frombuffer(key, np.uint8, _LEAF_BITS // 8, at)
    leaves = _leaves(seeds) ^ last * bits[:, None]
    return np.unpackbits(leaves.reshape(-1), bitorder="little")[:n].astype(np.bool_)


def sums(table: Bytes, keys: Sequence[bytes]) -> Bytes:
    """The sum of the rows that each key picks.

    Shapes: table (n, width) to (keys, width).
    """
    return (
        np.stack([np.bitwise_xor.reduce(table[expand(key, len(table))], axis=0) for key in keys]) if keys else table[:0]
    )


def ask(streams: tuple[Stream, Stream], indices: Sequence[int], *, n: int, width: int) -> Bytes:
    """Rows of a table of n rows of `width` bytes, from two servers that run `answer`.

    Shapes: to (indices, width).
    Security: each server learns how many rows are asked for; both together learn which.
    Raises: TableInvalid, PsiFrameInvalid.
    """
    pairs = [keys_for(n, index) for index in indices]
    for side, stream in enumerate(streams):
        stream.send(_HELLO.pack(_MAGIC, n, len(pairs)), *(pair[side] for pair in pairs))
    found = np.zeros((len(pairs), width), np.uint8)
    for stream in streams:
        message = stream.receive()
        if message.nbytes != len(pairs) * width:
            raise PsiFrameInvalid(
                f"expected {len(pairs)} rows of {width} bytes from {stream.peer!r}, found {message.nbytes} bytes",
                party=stream.peer,
            )
        found ^= np.frombuffer(message, np.uint8).reshape(len(pairs), width)
    return found


def answer(stream: Stream, table: Bytes, *, most: int = MOST_QUERIES) -> int:
    """A server's part, for one message; gives the number of queries.

    Shapes: table (n, width), the same at both servers.
    Raises: PsiFrameInvalid.
    """
    message, size = stream.receive(), key_bytes(len(table))
    count = -1
    if message.nbytes >= _HELLO.size:
        magic, n, count = _HELLO.unpack_from(message)
        if (magic, n) != (_MAGIC, len(table)) or count > most or message.nbytes != _HELLO.size + count * size:
            count = -1
    if count < 0:
        raise PsiFrameInvalid(
            f"expected up to {most} queries of a table of {len(table)} rows from {stream.peer!r}, found another "
            "message",
            party=stream.peer,
        )
    raw = bytes(message[_HELLO.size :])
    stream.send(sums(table, [raw[at : at + size] for at in range(0, len(raw), size)]).tobytes())
    return int(count)


def query_cost(n: int, width: int, queries: int) -> Cost:
    """Exact bytes of the roles "me" (to both servers) and "peer" (each of them)."""
    return Cost(
        rounds=1,
        bytes_sent={"me": 2 * (_HELLO.size + key_bytes(n) * queries), "peer": width * queries},
    )


def leaks(client: str, servers: tuple[str, str]) -> tuple[Leak, ...]:
    """What each party learns."""
    return tuple(
        Leak(what=f"how many rows {client} asks for, and when", to=server, why="number of keys") for server in servers
    )


def _levels(n: int) -> int:
    """Of a tree with a leaf for every 128 rows."""
    return max(0, (-(-n // _LEAF_BITS) - 1).bit_length())


def _children(seeds: Bytes) -> tuple[Bytes, Bytes]:
    """Both children of each seed, and their bits.

    Shapes: (n, 16) to (n, 2, 16) and (n, 2).
    """
    rows = ByteStrings.rows(seeds)
    hashed = kernels.sha512_each(rows.data, rows.offsets, width=2 * _SEED + 2, prefix=encode_parts(_TO_CHILDREN))
    return hashed[:, : 2 * _SEED].reshape(-1, 2, _SEED).copy(), hashed[:, 2 * _SEED :] & np.uint8(1)


def _leaves(seeds: Bytes) -> Bytes:
    """Shapes: (n, 16) to (n, 16)."""
    rows = ByteStrings.rows(seeds)
    return kernels.sha512_each(rows.data, rows.offsets, width=_LEAF_BITS // 8, prefix=encode_parts(_TO_LEAF))
