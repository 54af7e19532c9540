# SPDX-License-Identifier: Apache-2.0
"""Oblivious transfer: one key of each pair, messages that say nothing of the choices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from jali.core.errors import KeySpent
from jali.crypto import oblivious_transfer
from jali.crypto.oblivious_transfer import MESSAGE_BYTES, OtReceiver, OtSender
from jali.kernels.reference_curve import J, P, curve_multiply_each, on_curve

ONE_IN_A_MILLION = 1e-6


@pytest.mark.parametrize("n", [0, 1, 2, 300])
def test_the_receiver_gets_what_it_chose(n: int) -> None:
    choices = np.arange(n) % 3 == 0
    receiver, sender = OtReceiver(choices), OtSender()
    assert receiver.message.shape == (n, MESSAGE_BYTES)
    pairs, chosen = sender.keys(receiver.message), receiver.keys(sender.public)
    np.testing.assert_array_equal(chosen, pairs[np.arange(n), choices.astype(int)])
    assert len({key.tobytes() for key in pairs.reshape(-1, 16)}) == 2 * n
    with pytest.raises(KeySpent):
        receiver.keys(sender.public)


def test_equal_messages_at_other_places_give_other_keys() -> None:
    receiver, sender = OtReceiver(np.zeros(1, np.bool_)), OtSender()
    pairs = sender.keys(np.repeat(receiver.message, 2, axis=0))
    assert len({key.tobytes() for key in pairs.reshape(-1, 16)}) == 4


@pytest.mark.parametrize("choice", [False, True])
def test_messages_look_uniform_whatever_is_chosen(choice: bool) -> None:  # noqa: FBT001
    """Chi-square over all bytes but the last of each field element, whose top bit is 0."""
    message = OtReceiver(np.full(800, choice)).message
    assert chisquare(np.bincount(message[:, :63].reshape(-1), minlength=256)).pvalue > ONE_IN_A_MILLION
    assert chisquare(np.bincount(message[:, 63], minlength=256)[:128]).pvalue > ONE_IN_A_MILLION


def test_both_points_of_a_message_are_images_of_the_map() -> None:
    """So the sender cannot tell which of the two has a known logarithm: each is the image of a uniform element."""
    us, scalars = oblivious_transfer._points_with_field_elements(40)
    assert len({*us}) == 40
    points = curve_multiply_each(np.frombuffer((6).to_bytes(32, "little") * 40, np.uint8).reshape(40, 32), scalars)
    for u, row in zip(us, points, strict=True):
        x = int.from_bytes(row.tobytes(), "little")
        x1 = -J * pow(1 + 2 * u * u, -1, P) % P
        assert x == (x1 if on_curve(x1) else (-x1 - J) % P)


def test_the_generator_generates_the_whole_group() -> None:
    """2 q times the point is neither neutral nor the point of order 2, whose x is 0 too: its order is 8 q."""
    q = 2**252 + 27742317777372353535851937790883648493
    assert on_curve(6)
    generators = np.frombuffer((6).to_bytes(32, "little") * 3, np.uint8).reshape(3, 32)
    scalars = np.frombuffer(b"".join((k * q).to_bytes(32, "little") for k in (1, 2, 4)), np.uint8).reshape(3, 32)
    assert np.any(curve_multiply_each(generators, scalars), axis=1).tolist() == [True, True, False]


def test_nothing_is_shown() -> None:
    assert repr(OtReceiver(np.zeros(1, np.bool_))) == "<OtReceiver>"
    assert repr(OtSender()) == "<OtSender>"
