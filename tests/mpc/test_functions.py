# SPDX-License-Identifier: Apache-2.0
"""The parts of the approximations behave as they say, and the reference page says what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import InternalError
from jali.mpc.cost.estimate import estimate
from jali.mpc.fixed import constant_fraction, decode, encode
from jali.mpc.functions import constants as functions_tables_special
from jali.mpc.functions.basis import call, functions, polynomial, weigh
from jali.mpc.functions.tables import clear, octaves, pieces
from jali.mpc.plain import PlainProtocol
from jali.mpc.rounds import drive
from tests.mpc.derive_special import tables as special_tables


@pytest.mark.parametrize("name", functions_tables_special.__all__)
def test_a_special_table_is_what_the_derivation_finds(name: str) -> None:
    derived: Any = special_tables()[name]
    found: Any = getattr(functions_tables_special, name)
    np.testing.assert_allclose(np.array(found, float), np.array(derived, float), rtol=0, atol=1e-9)


def test_thresholds_weigh_as_a_table_look_up() -> None:
    side: Any = PlainProtocol()
    x = np.array([-5, 0, 1, 2, 3, 100], np.int64)
    bits = drive(side.at_least(side.public(x.view(np.uint64)), [0, 2, 3]), {})
    steps = drive(side.to_arithmetic(bits), {})
    rows = weigh(side, steps, values=[[-7, 1], [5, 2], [11, 3], [-1, 4]])
    found: Any = rows
    assert found.data.view(np.int64).tolist() == [[-7, 5, 5, 11, -1, -1], [1, 2, 2, 3, 4, 4]]


@pytest.mark.parametrize("degree", [1, 2, 3, 5, 8])
def test_polynomials_of_any_degree(degree: int) -> None:
    side: Any = PlainProtocol()
    u = np.linspace(-1, 1, 101)
    coefficients = [(-1) ** i * (1.5 - i / 8) for i in range(degree + 1)]
    x = side.public(encode(u, kind="fixed", fraction=26))
    found: Any = drive(polynomial(side, x, coefficients=coefficients, fraction=26), {})
    truth = np.polynomial.polynomial.polyval(u, coefficients)
    np.testing.assert_allclose(decode(found.data, kind="fixed", fraction=26), truth, rtol=0, atol=2e-6)


@pytest.mark.parametrize("unit", [1 << 8, 1 << 18, 1 << 58])
def test_pieces_approximate_a_function_up_to_the_ends_of_its_interval(unit: int) -> None:
    table = pieces(np.log, 1.0, 9.0, degree=8, unit=unit)
    argument = np.concatenate([np.linspace(1, 9 - 2 / unit, 5001), [1.0, 1 + 1 / unit]])
    x = np.rint((argument - 1) * unit).astype(np.uint64)
    found = clear(table, x)[0].view(np.int64) * 2.0**-table.scale
    np.testing.assert_allclose(found, np.log(1 + x / unit), rtol=0, atol=2e-5)


def test_octaves_are_powers_of_two_from_the_smallest_to_the_largest() -> None:
    exponents = np.linspace(-19.4, 43.9, 20_001)
    table = octaves(per_octave=2.0**18)
    small, large = clear(table, np.rint(exponents * 2**18).astype(np.int64).view(np.uint64)).view(np.int64)
    found = small * 2.0**-39 + large * 2.0**-18
    truth = 2 ** (np.rint(exponents * 2**18) * 2.0**-18)
    assert np.max(np.abs(found - truth) / (2.0**-19 + 2e-5 * truth)) < 1
    assert not np.any((small != 0) & (large != 0))


def test_an_unknown_function_is_a_defect() -> None:
    side: Any = PlainProtocol()
    with pytest.raises(InternalError, match="'no_such'"):
        call("no_such", side, side.public(np.zeros(1, np.uint64)), fraction=18)


@pytest.mark.parametrize(
    ("values", "bits"),
    [([3.0, -7.0], 0), ([0.5], 1), ([0.75, 2.0], 2), ([1 / 1024], 10), ([0.1], 22), ([0.0], 0), ([0.7 / 1024], 29)],
)
def test_public_factors_get_the_bits_that_they_need(values: list[float], bits: int) -> None:
    assert constant_fraction(np.array(values)) == bits


@given(st.floats(min_value=-(2.0**43), max_value=2.0**43))
def test_encoding_rounds_to_the_nearest(x: float) -> None:
    back = decode(encode(np.array([x]), kind="fixed", fraction=18), kind="fixed", fraction=18)
    assert abs(back[0] - x) <= max(2.0**-19, abs(x) * 2.0**-53)


def _rows() -> dict[str, list[str]]:
    page = Path(__file__).resolve().parents[2] / "docs/reference/functions.md"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.read_text("utf-8").splitlines()]
    return {row[0].strip("`"): row for row in rows if row and row[0].startswith("`")}


def test_the_reference_page_has_every_function() -> None:
    assert sorted(_rows()) == sorted(functions())


@pytest.mark.parametrize("name", sorted(functions()))
def test_the_reference_page_tells_the_truth(name: str) -> None:
    row, function = _rows()[name], functions()[name]
    for bound in (function.low, function.high):
        if np.isfinite(bound):
            assert {f"{abs(bound):.1e}", f"{abs(bound):g}"} & set(row[1].replace(";", "").split())
    assert float(row[2]) == pytest.approx(function.absolute, rel=0.05)
    assert float(row[3]) == pytest.approx(function.relative, rel=0.05)
    assert [int(row[4]), int(row[5])] == [_rounds(name, "m2k"), _rounds(name, "rep3")]


def _rounds(name: str, protocol: str) -> int:
    def shared(side: Any) -> Any:
        return (yield from side.input(None, 0, (64,)))

    def called(side: Any) -> Any:
        return (yield from call(name, side, (yield from shared(side)), fraction=18))

    return estimate(protocol, called).rounds - estimate(protocol, shared).rounds
