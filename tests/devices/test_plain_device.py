# SPDX-License-Identifier: Apache-2.0
"""Plain devices, handles and reveals in a simulated federation."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali
from jali.core.errors import (
    ElementMissing,
    JaliError,
    LedgerUnwritable,
    NotRevealedHere,
    PlainCallFailed,
    SecretUse,
    UnknownDevice,
    UnknownParty,
    UnsupportedValue,
    WouldDisclose,
)
from jali.devices.handle import Placeholder
from jali.devices.report import Report
from jali.graph.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def fed() -> Iterator[jali.Federation]:
    federation = jali.simulate("alice", "bob")
    yield federation
    federation.abandon(JaliError("the test is over"))


def arange(n: int) -> np.ndarray:
    return np.arange(n)


def split(x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return x.sum(), {"double": x * 2}


def total(x: np.ndarray) -> int:
    return int(x.sum())


def first_fails(x: np.ndarray) -> None:
    raise ValueError(f"the secret is {x[0]}")


class Counter:
    def __init__(self, start: int) -> None:
        self.n = start

    def add(self, k: int) -> int:
        self.n += k
        return self.n


def test_functions_run_at_their_party_and_parts_can_be_taken(fed: jali.Federation) -> None:
    alice = fed.plain("alice")
    total, parts = alice(split, returns=2)(alice(arange)(5))
    assert jali.reveal(total, to=alice) == 10
    np.testing.assert_array_equal(jali.reveal(parts["double"], to="all"), np.arange(5) * 2)


def test_objects_keep_their_state_and_run_methods_in_order(fed: jali.Federation) -> None:
    counter = fed.plain("bob")(Counter)(10)
    counter.add(1)
    last = counter.add(k=5)
    assert jali.reveal(last, to="bob") == 16


def test_revealed_value_can_be_used_at_its_target(fed: jali.Federation) -> None:
    alice, bob = fed.plain("alice"), fed.plain("bob")
    value = jali.reveal(alice(arange)(4), to=bob)
    assert jali.reveal(bob(total)(value), to=bob) == 6


def test_private_value_is_refused_at_another_party_with_the_way_out(fed: jali.Federation) -> None:
    x = fed.plain("alice")(arange)(4)
    with pytest.raises(WouldDisclose, match=r"jali\.reveal\(x, to='bob'\)"):
        fed.plain("bob")(total)(x)


@pytest.mark.parametrize(
    "use", [bool, list, lambda x: x == 1, np.asarray, lambda x: 1 if x else 2], ids=["if", "list", "==", "array", "?"]
)
def test_handles_refuse_to_be_looked_at(fed: jali.Federation, use: Callable[[Any], object]) -> None:
    x = fed.plain("alice")(arange)(4)
    with pytest.raises(SecretUse, match="arange"):
        use(x)


def test_repr_shows_where_and_who_and_no_value(fed: jali.Federation) -> None:
    x = fed.plain("alice")(lambda: "4711")()
    for text in (repr(x), x._repr_html_()):
        assert "private(alice)" in text
        assert "4711" not in text


def test_exception_of_user_code_reaches_everybody_without_its_message(fed: jali.Federation) -> None:
    alice = fed.plain("alice")
    x = alice(first_fails)(alice(arange)(4))
    with pytest.raises(PlainCallFailed) as caught:
        jali.reveal(x, to="bob")
    assert "ValueError at test_plain_device.py" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_missing_element_is_named(fed: jali.Federation) -> None:
    x = fed.plain("alice")(arange)(2)
    with pytest.raises(ElementMissing, match="no element 'y'"):
        jali.reveal(x["y"], to="alice")


def test_unknown_parties_and_devices_are_named(fed: jali.Federation) -> None:
    with pytest.raises(UnknownParty, match="known: alice, bob, dealer"):
        fed.plain("carol")
    with pytest.raises(UnknownDevice, match="no device 'spu'"):
        fed.device("spu")


def test_reveals_of_nothing_and_to_nobody_are_refused(fed: jali.Federation) -> None:
    with pytest.raises(UnsupportedValue, match="found ndarray"):
        jali.reveal(arange(3), to="alice")  # type: ignore[arg-type]
    with pytest.raises(UnknownParty, match="must name who"):
        jali.reveal(fed.plain("alice")(arange)(3), to=[])


def test_values_are_freed_with_their_last_handle(fed: jali.Federation) -> None:
    alice = fed.plain("alice")
    x = alice(arange)(4)
    jali.reveal(x, to=alice)
    runtime = fed.program.runtimes["alice"]
    assert x.node.index in runtime._values
    index = x.node.index
    del x
    gc.collect()
    jali.reveal(alice(arange)(1), to=alice)
    assert index not in runtime._values


def test_report_names_disclosures_and_survives_json(fed: jali.Federation) -> None:
    alice = fed.plain("alice")
    with fed.stage("load"):
        x = alice(arange)(4)
    jali.reveal(x, to="bob")
    report = fed.report()
    assert [leak.to for leak in report.disclosures] == ["bob"]
    assert [stage.name for stage in report.stages] == ["load", ""]
    assert Report.from_json(report.to_json()) == report
    assert "bob learns the value of arange" in str(report)


def test_ledger_of_every_party_has_the_reveal(fed: jali.Federation) -> None:
    x = fed.plain("alice")(arange)(4)
    jali.reveal(x, to="bob")
    fed.report()
    for party in ("alice", "bob"):
        before, after = fed.program.runtimes[party].ledger.entries
        assert (before.kind, after.kind) == ("disclosure", "node")
        assert before.body["disclosures"][0]["to"] == "bob"


def test_placeholder_refuses_every_use_and_names_who_has_the_value(fed: jali.Federation) -> None:
    root = fed.plain("alice")(arange)(2)
    placeholder = Placeholder(root, ("alice",))
    assert repr(placeholder) == "<revealed to alice only>"
    uses: list[Callable[[Any], object]] = [bool, float, len, list, np.asarray, lambda p: p + 1, lambda p: f"{p}"]
    for use in uses:
        with pytest.raises(NotRevealedHere, match="revealed to alice only"):
            use(placeholder)


def test_what_cannot_be_recorded_is_not_shown(fed: jali.Federation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    alice = fed.program.runtimes["alice"]
    alice.ledger = Ledger("alice", tmp_path / "file" / "alice.jsonl")
    x = fed.plain("alice")(arange)(4)
    with pytest.raises(LedgerUnwritable):
        jali.reveal(x, to="bob")
    assert [record for record in alice.records.values() if record.node.operation == "plain.reveal"] == []
