# SPDX-License-Identifier: Apache-2.0
"""An oblivious pseudo-random function by Diffie-Hellman: F(y) is a hash of y and k H(y), for the server's secret k.

The client sends r H(x) for its keys x and one secret r, gets k r H(x), and takes r off again. For few keys that is less
than `jali.psi.vole_oprf`, which has the same form, and it rests on less.

References: Jarecki, Kiayias, Krawczyk 2014 (ePrint 2014/650), section 3, for the function; one r for all keys as the
masking of `jali.psi.ecdh`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from jali import kernels
from jali.core.errors import LowOrderPointError
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import POINT_BYTES, Scalar
from jali.crypto.elligator import hash_to_curve
from jali.crypto.hashing import encode_parts
from jali.crypto.randomness import random_bytes
from jali.crypto.secret import Secret
from jali.psi.messages import receive_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jali.psi.contract import Step
    from jali.transport.channel import Stream

    Bytes = NDArray[np.uint8]

__all__ = ["CHUNK_KEYS", "EcdhOprfClient", "EcdhOprfServer", "ecdh_oprf_script"]

CHUNK_KEYS: Final = 8192
_VALUE: Final = 16
_ORDER = 2**252 + 27742317777372353535851937790883648493
_TO_CURVE = b"jali.prf.v1/curve25519_XMD:SHA-512_ELL2_NU_"


class EcdhOprfClient(Secret):
    """Has F at its own keys.

    Security: the server sees r H(x) for a random r: random points, under decisional Diffie-Hellman with H a random
    oracle. r is 8 times a number, so they lie in the group of prime order.
    """

    def __init__(self, stream: Stream, digests: Bytes, progress: Callable[[float, str], None]) -> None:
        """Run the client's part.

        Shapes: digests (n, 16).
        Raises: PsiFrameInvalid, LowOrderPointError.
        """
        secret = 8 * (int.from_bytes(random_bytes(POINT_BYTES), "little") % 2**252 or 1)
        inverse = pow(secret, -1, _ORDER)
        self._digests, self._products = digests, np.zeros((len(digests), POINT_BYTES), np.uint8)
        for at in range(-CHUNK_KEYS, len(digests), CHUNK_KEYS):  # one chunk is always under way
            ahead = digests[at + CHUNK_KEYS : at + 2 * CHUNK_KEYS]
            if len(ahead):
                stream.send(_times(hash_to_curve(ByteStrings.rows(ahead), domain=_TO_CURVE), secret).tobytes())
            if at >= 0:
                progress(at / len(digests), "keys evaluated")
                part = self._products[at : at + CHUNK_KEYS]
                part[:] = _times(receive_rows(stream, POINT_BYTES, len(part)), inverse)
        if not np.all(np.any(self._products, axis=1)):
            raise LowOrderPointError(f"{stream.peer!r} answered with a point of low order", party=stream.peer)

    def outputs(self, *, domain: str, width: int = _VALUE) -> Bytes:
        """F at each of the keys, cut to a width.

        Shapes: (n, width).
        """
        return _hashed(self._products, self._digests, domain, width)


class EcdhOprfServer(Secret):
    """Can evaluate F anywhere.

    Security: the client learns F at as many points as it sends, and elsewhere nothing, under the one-more gap
    Diffie-Hellman assumption; that holds for a malicious client, too.
    """

    def __init__(self, stream: Stream, n_theirs: int, progress: Callable[[float, str], None]) -> None:
        """Run the server's part, for a client with n_theirs keys. Raises: PsiFrameInvalid, LowOrderPointError."""
        self._scalar = Scalar()
        for at in range(0, n_theirs, CHUNK_KEYS):
            progress(at / n_theirs, "keys evaluated")
            points = receive_rows(stream, POINT_BYTES, min(CHUNK_KEYS, n_theirs - at))
            stream.send(self._scalar.multiply(points).tobytes())

    def outputs(self, digests: Bytes, *, domain: str, width: int = _VALUE) -> Bytes:
        """F at each of some keys, cut to a width.

        Shapes: (n, 16) to (n, width).
        """
        points = self._scalar.multiply(hash_to_curve(ByteStrings.rows(digests), domain=_TO_CURVE))
        return _hashed(points, digests, domain, width)


def ecdh_oprf_script(n: int, *, client: bool) -> Iterator[tuple[Step, int]]:
    """What one side does for n keys of the client: see `PsiProtocol.script`."""
    sizes = [min(CHUNK_KEYS, n - at) for at in range(0, n, CHUNK_KEYS)]
    if not client:
        for size in sizes:
            yield "receive", POINT_BYTES * size
            yield "multiply", size
            yield "send", POINT_BYTES * size
        return
    for i, size in enumerate([*sizes, 0]):
        if size:
            yield "mask", size
            yield "send", POINT_BYTES * size
        if i:
            yield "receive", POINT_BYTES * sizes[i - 1]
            yield "multiply", sizes[i - 1]


def _times(points: Bytes, scalar: int) -> Bytes:
    """Products with one scalar as it is, without the bits that key agreement sets."""
    scalars = np.frombuffer(scalar.to_bytes(POINT_BYTES, "little") * len(points), np.uint8).reshape(-1, POINT_BYTES)
    return kernels.curve_multiply_each(np.ascontiguousarray(points), scalars)


def _hashed(products: Bytes, digests: Bytes, domain: str, width: int) -> Bytes:
    rows = ByteStrings.rows(np.concatenate([products, digests], axis=1))
    return kernels.sha512_each(rows.data, rows.offsets, width=width, prefix=encode_parts(domain))
