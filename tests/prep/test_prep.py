# SPDX-License-Identifier: Apache-2.0
"""Preparation against hand-computed values, and its behaviour on missing, unseen and wrong columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jali.core.errors import (
    ColumnMissing,
    ColumnTypeError,
    LabelError,
    ModelParameterError,
    TrainingRowsError,
    UnseenCategoryError,
)
from jali.core.table import Table
from jali.prep import Impute, OneHot, Standardise, WeightOfEvidence, train_test_split

NAN = float("nan")


def customers() -> Table:
    return Table(
        {
            "age": [20.0, NAN, 40.0, 90.0],
            "job": ["cook", "", "cook", "smith"],
            "loans": [1, 2, 2, 3],
            "owner": [True, False, True, True],
        }
    )


def test_impute_median_and_most_frequent() -> None:
    filled, fitted = Impute().fit_transform(customers(), ["age", "job", "loans", "owner"])
    assert filled["age"].tolist() == [20, 40, 40, 90]
    assert filled["job"].tolist() == ["cook", "cook", "cook", "smith"]
    assert filled["loans"].dtype == np.int64
    assert filled["owner"].tolist() == [True, False, True, True]
    assert fitted.transform(Table({**dict(customers_columns()), "age": [NAN] * 4}))["age"].tolist() == [40] * 4


def customers_columns() -> list[tuple[str, np.ndarray]]:
    return [(name, customers()[name]) for name in customers()]


def test_impute_mean_and_own_category() -> None:
    filled, _ = Impute(numbers="mean", strings="category").fit_transform(customers(), ["age", "job"])
    assert filled["age"].tolist() == [20, 50, 40, 90]
    assert filled["job"].tolist() == ["cook", "(missing)", "cook", "smith"]


def test_impute_keeps_long_fill_whole() -> None:
    fitted = Impute().fit(Table({"job": ["a very long word"]}), ["job"])
    assert fitted.transform(Table({"job": ["", "x"]}))["job"].tolist() == ["a very long word", "x"]


def test_impute_refuses_a_column_without_values() -> None:
    with pytest.raises(TrainingRowsError, match="J1502 column 'age' is missing in all 2 training rows"):
        Impute().fit(Table({"age": [NAN, NAN]}), ["age"])


def test_standardise_uses_training_moments() -> None:
    train = Table({"x": [1.0, 3.0], "same": [5, 5], "other": ["a", "b"]})
    scaled, fitted = Standardise().fit_transform(train, ["x", "same"])
    assert scaled["x"].tolist() == [-1, 1]
    assert scaled["same"].tolist() == [0, 0]
    assert scaled["other"].tolist() == ["a", "b"]
    later = fitted.transform(Table({"x": [4.0, NAN, 1e9], "same": [6, 5, 5]}))
    assert later["x"].tolist()[::2] == [2, 8]
    assert math.isnan(later["x"][1])
    assert later["same"].tolist() == [1, 0, 0]


def test_standardise_refuses_strings_and_gaps() -> None:
    with pytest.raises(ColumnTypeError, match="J1501 column 'job' should hold numbers, found <U5"):
        Standardise().fit(customers(), ["job"])
    with pytest.raises(TrainingRowsError, match="fill them first"):
        Standardise().fit(customers(), ["age"])
    with pytest.raises(TrainingRowsError, match="0 rows"):
        Standardise().fit(customers().take([]), ["loans"])
    with pytest.raises(ColumnMissing):
        Standardise().fit(customers(), ["agee"])


def test_one_hot_orders_categories_and_zeroes_unseen() -> None:
    train = Table({"id": [7, 8], "job": ["smith", "cook"], "loans": [2, 1], "owner": [True, False]})
    encoded, fitted = OneHot().fit_transform(train, ["job", "loans", "owner"])
    assert encoded.columns == ("id", "job=cook", "job=smith", "loans=1", "loans=2", "owner=False", "owner=True")
    assert encoded.numeric(encoded.columns[1:]).tolist() == [[0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]]
    later = fitted.transform(Table({"id": [9], "job": ["baker"], "loans": [2], "owner": [True]}))
    assert later.numeric(later.columns[1:]).tolist() == [[0, 0, 0, 1, 0, 1]]
    dropped, _ = OneHot(drop_first=True).fit_transform(train, ["job"])
    assert dropped.columns == ("id", "loans", "owner", "job=smith")


def test_one_hot_refuses_unseen_and_fractions() -> None:
    fitted = OneHot(unseen="error").fit(Table({"job": ["a", "b"]}), ["job"])
    with pytest.raises(UnseenCategoryError, match=r"J1504 column 'job' has 2 rows .* first at row 1") as caught:
        fitted.transform(Table({"job": ["a", "secret", "hidden"]}))
    assert "secret" not in str(caught.value)
    with pytest.raises(ColumnTypeError, match="fractional"):
        OneHot().fit(customers(), ["age"])


def test_woe_of_categories_by_hand() -> None:
    table = Table({"job": ["a", "a", "a", "b", "b", "b"]})
    labels = np.array([1, 1, 0, 0, 0, 1])
    binned, fitted = WeightOfEvidence(smoothing=1e-12).fit_transform(table, ["job"], labels=labels)
    ratio = math.log((2 / 3) / (1 / 3))
    assert binned["job"] == pytest.approx([ratio] * 3 + [-ratio] * 3)
    assert fitted.information_values == pytest.approx({"job": 2 * ratio / 3})
    assert fitted.transform(Table({"job": ["z", "", "b", "aa"]}))["job"] == pytest.approx([0, 0, -ratio, 0])


def test_woe_smoothing_makes_pure_bins_finite() -> None:
    table = Table({"job": ["a", "a", "b"]})
    fitted = WeightOfEvidence(smoothing=0.5).fit(table, ["job"], labels=np.array([1.0, 1.0, 0.0]))
    weight = math.log((2.5 / 3) / (0.5 / 2))
    assert fitted.transform(Table({"job": ["a"]}))["job"] == pytest.approx([weight])


def test_woe_of_numbers_uses_quantiles_and_a_bin_for_missing() -> None:
    ages = [*range(1, 9), NAN, NAN]
    labels = np.array([0, 0, 1, 0, 1, 1, 0, 1, 1, 0])
    fitted = WeightOfEvidence(bins=4, smoothing=1e-12).fit(Table({"age": ages}), ["age"], labels=labels)
    bins = fitted.columns["age"]
    assert bins.edges == (2.75, 4.5, 6.25)
    assert bins.index(np.array([-5, 2.75, 4.4, 6.2, 6.25, 99, NAN])).tolist() == [0, 1, 1, 2, 3, 3, 4]
    assert bins.weigh(np.array([3.0, 7.0, NAN])) == pytest.approx([0, 0, 0])


def test_woe_bin_without_training_rows_has_no_evidence() -> None:
    fitted = WeightOfEvidence(bins=2).fit(Table({"x": [1, 2, 3, 4]}), ["x"], labels=np.array([0, 1, 0, 1]))
    assert fitted.transform(Table({"x": [NAN]}))["x"].tolist() == [0.0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=2, max_size=60))
def test_woe_matches_the_formula(rows: list[tuple[str, bool]]) -> None:
    jobs, labels = np.array([job for job, _ in rows]), np.array([label for _, label in rows])
    if labels.all() or not labels.any():
        with pytest.raises(TrainingRowsError):
            WeightOfEvidence().fit(Table({"job": jobs}), ["job"], labels=labels)
        return
    binned, fitted = WeightOfEvidence().fit_transform(Table({"job": jobs}), ["job"], labels=labels)
    kinds = set(jobs.tolist())
    total = {label: (labels == label).sum() + 0.5 * len(kinds) for label in (True, False)}
    for job in kinds:
        shares = [(((jobs == job) & (labels == label)).sum() + 0.5) / total[label] for label in (True, False)]
        assert binned["job"][jobs == job] == pytest.approx(math.log(shares[0] / shares[1]))
    assert fitted.information_values["job"] >= -1e-12


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1]), "one label for each of 3 rows"),
        (np.array([0, 1, 2]), "0 and 1 only"),
        (np.array([0, 1, NAN]), "0 and 1 only"),
        (np.array(["0", "1", "1"]), "0 and 1 only"),
    ],
)
def test_woe_refuses_wrong_labels(labels: np.ndarray, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        WeightOfEvidence().fit(Table({"job": ["a", "b", "c"]}), ["job"], labels=labels)


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ModelParameterError, match="J1505 bins should be at least 2"):
        WeightOfEvidence(bins=1)
    with pytest.raises(ModelParameterError, match="smoothing positive, found 5 and 0"):
        WeightOfEvidence(smoothing=0)
    with pytest.raises(ModelParameterError, match="clip should be positive"):
        Standardise(clip=0)


def test_states_do_not_show_values() -> None:
    table = Table({"age": [31.5, 77.25], "job": ["smith", "cook"]})
    labels = np.array([0, 1])
    states = [
        Impute().fit(table, ["age", "job"]),
        Standardise().fit(table, ["age"]),
        OneHot().fit(table, ["job"]),
        WeightOfEvidence().fit(table, ["age", "job"], labels=labels),
        *WeightOfEvidence().fit(table, ["age", "job"], labels=labels).columns.values(),
    ]
    for state in states:
        assert not any(value in repr(state) for value in ("31", "77", "smith", "cook", "0."))


@given(st.integers(2, 500), st.integers(0, 2**32))
def test_split_is_a_partition_that_the_seed_decides(rows: int, seed: int) -> None:
    train, test = train_test_split(rows, seed, held_out=0.5)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(rows))
    again, _ = train_test_split(rows, seed, held_out=0.5)
    assert np.array_equal(train, again)


@pytest.mark.parametrize(("rows", "held_out"), [(0, 0.3), (1, 0.3), (10, 0.0), (10, 1.0), (10, -1.0)])
def test_split_refuses_empty_parts(rows: int, held_out: float) -> None:
    with pytest.raises(TrainingRowsError, match="cannot split"):
        train_test_split(rows, 1, held_out=held_out)


finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(finite | st.just(NAN), min_size=1, max_size=40).filter(lambda cells: not all(map(math.isnan, cells))))
def test_impute_then_standardise_gives_finite_cells_of_known_size(cells: list[float]) -> None:
    filled, _ = Impute().fit_transform(Table({"x": cells, "y": cells}), ["x"])
    scaled, _ = Standardise(clip=4).fit_transform(filled, ["x"])
    assert not np.isnan(filled["x"]).any()
    assert np.abs(scaled["x"]).max() <= 4
    assert np.array_equal(scaled["y"], cells, equal_nan=True)


@given(st.lists(finite, min_size=2, max_size=40))
def test_standardised_training_column_has_no_mean_and_unit_spread(cells: list[float]) -> None:
    scaled, _ = Standardise(clip=1e9).fit_transform(Table({"x": cells}), ["x"])
    spread = np.std(cells)
    if spread > 1e-6 * max(1.0, np.abs(cells).max()):
        assert abs(scaled["x"].mean()) < 1e-6
        assert scaled["x"].std() == pytest.approx(1)


@given(st.lists(st.text("abc", max_size=2), min_size=1, max_size=30), st.lists(st.text("abcd", max_size=2), min_size=1))
def test_one_hot_rows_have_one_one_if_seen_and_none_if_not(train: list[str], later: list[str]) -> None:
    encoded, fitted = OneHot().fit_transform(Table({"job": train}), ["job"])
    assert (encoded.numeric().sum(axis=1) == 1).all()
    sums = fitted.transform(Table({"job": later})).numeric().sum(axis=1)
    assert sums.tolist() == [float(job in train) for job in later]
