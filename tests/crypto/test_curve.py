# SPDX-License-Identifier: Apache-2.0
"""The curve: the RFCs' vectors, always the curve and never the twist, bad points refused."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import LowOrderPointError
from jali.crypto.bytestrings import ByteStrings
from jali.crypto.curve import Scalar, tags
from jali.crypto.elligator import expand_messages, hash_to_curve
from jali.kernels import curve_map
from jali.kernels.reference_curve import J, P, on_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jali.crypto.curve import Points

DOMAIN = b"jali test of the curve"
LONG_Q, LONG_A = "q128_" + "q" * 128, "a512_" + "a" * 512

# RFC 9380, appendix J.4.2: message, u, Q.x and P.x = (8 Q).x
ELLIGATOR = [
    (
        "",
        "608d892b641f0328523802a6603427c26e55e6f27e71a91a478148d45b5093cd",
        "51125222da5e763d97f3c10fcc92ea6860b9ccbbd2eb1285728f566721c1e65b",
        "1bb913f0c9daefa0b3375378ffa534bda5526c97391952a7789eb976edfe4d08",
    ),
    (
        "abc",
        "46f5b22494bfeaa7f232cc8d054be68561af50230234d7d1d63d1d9abeca8da5",
        "7d56d1e08cb0ccb92baf069c18c49bb5a0dcd927eff8dcf75ca921ef7f3e6eeb",
        "7c22950b7d900fa866334262fcaea47a441a578df43b894b4625c9b450f9a026",
    ),
    (
        "abcdef0123456789",
        "235fe40c443766ce7e18111c33862d66c3b33267efa50d50f9e8e5d252a40aaa",
        "3fbe66b9c9883d79e8407150e7c2a1c8680bee496c62fabe4619a72b3cabe90f",
        "31ad08a8b0deeb2a4d8b0206ca25f567ab4e042746f792f4b7973f3ae2096c52",
    ),
    (
        LONG_Q,
        "001e92a544463bda9bd04ddbe3d6eed248f82de32f522669efc5ddce95f46f5b",
        "227e0bb89de700385d19ec40e857db6e6a3e634b1c32962f370d26f84ff19683",
        "027877759d155b1997d0d84683a313eb78bdb493271d935b622900459d52ceaa",
    ),
    (
        LONG_A,
        "1a68a1af9f663592291af987203393f707305c7bac9c8d63d6a729bdc553dc19",
        "3bcd651ee54d5f7b6013898aab251ee8ecc0688166fce6e9548d38472f6bd196",
        "5fd892c0958d1a75f54c3182a18d286efab784e774d1e017ba2fb252998b5dc1",
    ),
]
LOW_ORDER = [
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


def _point(x: int) -> Points:
    return np.frombuffer(x.to_bytes(32, "little"), np.uint8).reshape(1, 32)


def _uniform(us: list[int]) -> NDArray[np.uint8]:
    """Field elements as the map takes them."""
    return np.frombuffer(b"".join(u.to_bytes(48, "big") for u in us), np.uint8).reshape(-1, 48)


def _hashed(*messages: bytes) -> Points:
    return hash_to_curve(ByteStrings.of(messages), domain=DOMAIN)


def _double(x: int) -> int:
    """x(2 Q) = (x^2 - 1)^2 / (4 x (x^2 + J x + 1))."""
    return (x * x - 1) ** 2 * pow(4 * x * (x * x + J * x + 1), -1, P) % P


@pytest.mark.parametrize(("message", "u", "q_x", "p_x"), ELLIGATOR, ids=[row[0][:4] for row in ELLIGATOR])
def test_rfc_9380_vectors(message: str, u: str, q_x: str, p_x: str) -> None:
    domain = b"QUUX-V01-CS02-with-curve25519_XMD:SHA-512_ELL2_NU_"
    [uniform] = expand_messages(ByteStrings.of([message.encode()]), domain=domain, size_bytes=48)
    assert int.from_bytes(uniform.tobytes(), "big") % P == int(u, 16)
    assert curve_map(_uniform([int(u, 16)])).tobytes() == bytes.fromhex(q_x)[::-1]
    assert _double(_double(_double(int(q_x, 16)))) == int(p_x, 16)
    assert hash_to_curve(ByteStrings.of([message.encode()]), domain=domain).tobytes() == bytes.fromhex(q_x)[::-1]


@pytest.mark.parametrize(
    ("message", "expanded"),
    [
        ("", "6b9a7312411d92f921c6f68ca0b6380730a1a4d982c507211a90964c394179ba"),
        ("abc", "0da749f12fbe5483eb066a5f595055679b976e93abe9be6f0f6318bce7aca8dc"),
    ],
)
def test_rfc_9380_expansion(message: str, expanded: str) -> None:
    """RFC 9380, appendix K.3."""
    domain = b"QUUX-V01-CS02-with-expander-SHA512-256"
    assert expand_messages(ByteStrings.of([message.encode()]), domain=domain, size_bytes=32).tobytes().hex() == expanded


def test_expansions_of_other_sizes() -> None:
    """Lengths enter the hash, so a shorter result is no prefix of a longer one."""
    messages = ByteStrings.of([b"m", b"", b"n" * 300])
    results = [expand_messages(messages, domain=DOMAIN, size_bytes=size) for size in (31, 63, 64)]
    assert [result.shape for result in results] == [(3, 31), (3, 63), (3, 64)]
    assert len({row[:31].tobytes() for result in results for row in result}) == 9
    for bad in (0, 65):
        with pytest.raises(ValueError, match="to 64"):
            expand_messages(messages, domain=DOMAIN, size_bytes=bad)
    for domain in (b"short", bytes(256)):
        with pytest.raises(ValueError, match="16 to 255"):
            expand_messages(messages, domain=domain, size_bytes=32)


def test_every_hash_is_on_the_curve_and_plain_hashing_is_not() -> None:
    messages = [b"id-%d" % i for i in range(256)]
    mapped = [int.from_bytes(row.tobytes(), "little") for row in _hashed(*messages)]
    assert all(on_curve(x) for x in mapped)
    assert len(set(mapped)) == 256
    plain = [int.from_bytes(hashlib.sha256(message).digest(), "little") % P for message in messages]
    twisted = sum(not on_curve(x) for x in plain)
    assert 80 < twisted < 176, "a hash taken as x-coordinate lies on the twist about half the time"
    assert not set(mapped) & set(plain)


def test_masking_keeps_the_curve_and_would_keep_the_twist() -> None:
    """Why plain hashing leaks: a product lies on the curve exactly if the point did."""
    scalar = Scalar()
    for seed in range(16):
        x = int.from_bytes(hashlib.sha256(bytes([seed])).digest(), "little") % P
        product = int.from_bytes(scalar.multiply(_point(x)).tobytes(), "little")
        assert on_curve(product) == on_curve(x)


@given(st.lists(st.integers(0, P - 1) | st.sampled_from([0, 1, P - 1, (P - 1) // 2]), max_size=6))
def test_mapping_in_batches_is_the_formula(us: list[int]) -> None:
    for u, row in zip(us, curve_map(_uniform(us)), strict=True):
        x, x1 = int.from_bytes(row.tobytes(), "little"), -J * pow(1 + 2 * u * u, -1, P) % P
        assert x in (x1, (-x1 - J) % P)
        assert on_curve(x)
        assert (x == x1) == on_curve(x1)


def test_rfc_7748_vectors() -> None:
    """RFC 7748, section 5.2."""
    scalar = Scalar(bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"))
    u = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    product = scalar.multiply(np.frombuffer(u, np.uint8).reshape(1, 32))
    assert product.tobytes().hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (1, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
        (1000, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"),
    ],
)
def test_rfc_7748_iterated(times: int, expected: str) -> None:
    """RFC 7748, section 5.2: k and u start as 9; each step u becomes the old k and k the product.

    The products are reduced, but their bit 255 is never set: the vectors stay in what `multiply` accepts.
    """
    k = u = (9).to_bytes(32, "little")
    for _ in range(times):
        k, u = Scalar(k).multiply(np.frombuffer(u, np.uint8).reshape(1, 32)).tobytes(), k
    assert k.hex() == expected


def test_scalars_commute_and_differ() -> None:
    points = _hashed(b"one", b"two", b"three")
    a, b = Scalar(), Scalar()
    both = a.multiply(b.multiply(points))
    assert np.array_equal(both, b.multiply(a.multiply(points)))
    assert not np.any(np.all(a.multiply(points) == b.multiply(points), axis=1))
    assert a.multiply(points[:0]).shape == (0, 32)
    assert repr(a) == "<Scalar>"


@pytest.mark.parametrize("x", LOW_ORDER)
def test_low_order_points_are_refused(x: int) -> None:
    good = _hashed(b"one")
    with pytest.raises(LowOrderPointError, match="low order"):
        Scalar().multiply(np.concatenate([good, _point(x), good]))


@pytest.mark.parametrize("x", [P, P + 1, P + 9, 2**255 - 1, 2**255, 2**255 + 9, 2**256 - 1])
def test_encodings_that_are_not_canonical_are_refused(x: int) -> None:
    good = _hashed(b"one")
    with pytest.raises(LowOrderPointError, match="below"):
        Scalar().multiply(np.concatenate([good, _point(x)]))


def test_large_canonical_encodings_are_accepted() -> None:
    xs = [P - 2, P - 3, 2**255 - 2**64, 2**254]
    assert Scalar().multiply(np.concatenate([_point(x) for x in xs])).shape == (4, 32)


def test_tags_depend_on_all_that_they_bind() -> None:
    points = _hashed(b"one", b"two")
    first = tags(points, domain="jali.test.a")
    assert first.shape == (2, 16)
    assert not np.array_equal(first[0], first[1])
    others = [
        tags(points, domain="jali.test.b"),
        tags(points[::-1], domain="jali.test.a"),
    ]
    assert all(not np.any(np.all(first == other, axis=1)) for other in others)
    assert np.array_equal(others[1][::-1], first)
    assert tags(points[:0], domain="jali.test.a").shape == (0, 16)
