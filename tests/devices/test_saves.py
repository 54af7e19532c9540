# SPDX-License-Identifier: Apache-2.0
"""Secrets are saved and loaded by later runs; whatever does not fit is noticed before it is used, with what to do."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jali
from jali.core import config
from jali.core.errors import (
    JaliError,
    MalformedMessage,
    SavedInvalid,
    SavedMismatch,
    SavedMissing,
    SaveNameInvalid,
    UnsupportedValue,
    WriteFailed,
)
from jali.devices import saved_shares
from jali.devices.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.devices.mpc import MpcDevice

PROTOCOLS = ("m2k", "rep3", "aby3", "plain")
PARTIES = {"m2k": ("alice", "bob"), "plain": ("alice",)}
ALL = ("alice", "bob", "carol")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def run() -> Iterator[jali.Federation]:
    """One job of three parties and a dealer; whatever fails in it ends it."""
    fed = jali.simulate(*ALL)
    try:
        yield fed
        fed.close()
    finally:
        fed.abandon(JaliError("the test is over"))


def device(fed: jali.Federation, protocol: str) -> MpcDevice:
    return fed.mpc(*PARTIES.get(protocol, ALL), protocol=protocol)


def holders(protocol: str) -> tuple[str, ...]:
    return ("alice",) if protocol == "plain" else ("alice", "bob")


def numbers() -> dict[str, Any]:
    return {"x": np.linspace(-3.0, 3.0, 70).reshape(7, 10), "k": np.array([1, -(2**63)]), "n": [np.array(0.5), ()]}


def model(v: dict[str, Any]) -> dict[str, Any]:
    return {**v, "x": v["x"] * v["x"], "less": v["x"] < 0}


def save_numbers(protocol: str, name: str = "model", *, scale: float = 1.0) -> None:
    with run() as fed:
        mpc = device(fed, protocol)
        made = mpc(model)(fed.plain("alice")(numbers)())
        jali.save(mpc(lambda v: {**v, "x": v["x"] * scale})(made), name)


def loaded(protocol: str, name: str = "model", **options: Any) -> dict[str, Any]:
    with run() as fed:
        mpc = device(fed, protocol)
        value = jali.load(name, mpc, **options)
        found: dict[str, Any] = jali.reveal(mpc(lambda v: {**v, "not": ~v["less"]})(value), to="carol")
        for row in fed.report().rows:
            if row.predicted is not None:
                assert row.bytes_sent == sum(row.predicted.bytes_sent.values()) + row.predicted.offline_bytes, row.text
                assert row.rounds == row.predicted.rounds, row.text
        return found


def files(party: str, name: str = "model") -> list[Path]:
    return sorted(Path("saved", party, name).glob("*.share"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_later_run_continues_with_what_was_saved(protocol: str) -> None:
    save_numbers(protocol)
    found = loaded(protocol)
    given = numbers()
    np.testing.assert_allclose(found["x"], given["x"] ** 2, atol=1e-4)
    np.testing.assert_array_equal(found["k"], given["k"])
    np.testing.assert_array_equal(found["less"], given["x"] < 0)
    np.testing.assert_array_equal(found["not"], given["x"] >= 0)
    assert float(found["n"][0]) == 0.5
    assert found["n"][1] == ()
    assert [path.name for path in sorted(Path("saved").iterdir())] == list(holders(protocol))


@pytest.mark.parametrize("protocol", ["m2k", "rep3"])
def test_only_the_last_saving_is_kept_and_loaded(protocol: str) -> None:
    for scale in (1.0, 2.0, 3.0):
        save_numbers(protocol, scale=scale)
    np.testing.assert_allclose(loaded(protocol)["x"], 3 * numbers()["x"] ** 2, atol=1e-4)
    names = [[path.name for path in files(party)] for party in ("alice", "bob")]
    assert names[0] == names[1]
    assert [name[:9] for name in names[0]] == ["00000003-"]


def test_files_show_nothing_of_the_value_and_are_for_their_owner_only() -> None:
    def ones(n: int) -> np.ndarray:
        return np.ones(n)

    with run() as fed:
        jali.save(fed.plain("alice")(ones)(4096).to(device(fed, "m2k")), "ones")
    for party in ("alice", "bob"):
        (path,) = files(party, "ones")
        assert path.stat().st_mode & 0o77 == 0
        assert Path("saved-keys", f"{party}.key").stat().st_mode & 0o77 == 0
        octets = np.frombuffer(path.read_bytes()[-32768:], np.uint8)
        counts = np.bincount(octets, minlength=256)
        assert counts.max() < 2 * 32768 / 256


def test_parts_are_fresh_so_that_the_dealer_knows_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a masked value the dealer knows what evaluator 1 holds; with the file of evaluator 0 it must not be enough."""
    written: dict[str, list[Any]] = {}
    masks: dict[str, Any] = {}
    original = Vault.write

    def noted(self: Vault, header: Any, parts: Any) -> Path:
        written[self.directory.name] = list(parts)
        return original(self, header, parts)

    monkeypatch.setattr(Vault, "write", noted)
    with run() as fed:
        secret = fed.plain("alice")(np.arange)(5.0).to(device(fed, "m2k"))
        jali.save(secret, "masked")
        for party in ("alice", "bob", "dealer"):
            masks[party] = next(iter(fed.program.runtimes[party].value(secret.node).values())).share.mask
    np.testing.assert_array_equal(masks["alice"] + masks["bob"], masks["dealer"])
    total = written["alice"][0] + written["bob"][0]
    np.testing.assert_array_equal(total.view(np.int64) / 2.0**18, np.arange(5.0))
    assert not np.any(written["bob"][0] == np.negative(masks["bob"]))


def test_every_party_hears_whether_a_name_is_saved() -> None:
    with run() as fed:
        assert [jali.is_saved("model", device(fed, protocol)) for protocol in PROTOCOLS] == [False] * 4
        rows = fed.report().rows
        assert rows[0].visibility == "public"
        assert {leak.to for leak in rows[0].disclosures} == {"carol", "dealer"}
    save_numbers("m2k")
    with run() as fed:
        assert jali.is_saved("model", device(fed, "m2k"))
        node = fed.program.graph.nodes[-1]
        assert all(runtime.value(node) for runtime in fed.program.runtimes.values())
    files("bob")[0].unlink()
    with run() as fed:
        assert not jali.is_saved("model", device(fed, "m2k"))
    plan = jali.explain(lambda fed: jali.is_saved("model", fed.mpc("alice", "bob")), ALL)
    assert len(plan.rows) == 1


def test_a_plan_knows_what_a_pinned_load_costs_and_says_who_keeps_what() -> None:
    def job(fed: jali.Federation) -> None:
        mpc = fed.mpc("alice", "bob", "carol")
        x = jali.load("flags", mpc, returns=jali.Spec((640,), "bool"))
        jali.save(mpc(lambda v: ~v)(x), "others")

    plan = jali.explain(job, ALL)
    load = plan.rows[0].predicted
    assert load is not None
    assert (load.rounds, sum(load.bytes_sent.values())) == (0, 0)
    (line,) = [line for line in plan.trust if "is saved as 'others' at alice and bob" in line]
    assert "the files and the keys of all" in line
    assert "carol learns shapes and types of saved 'flags'" in str(plan)
    assert not Path("saved").exists()


def test_the_ledger_of_those_who_keep_a_share_says_so_and_names_it_when_it_is_loaded() -> None:
    with run() as fed:
        jali.save(fed.plain("alice")(np.arange)(5.0).to(device(fed, "m2k")), "it")
        for party in ("alice", "bob"):
            entry = fed.program.runtimes[party].ledger.entries[-1]
            assert entry.body["text"] == "save share arange as 'it'"
            assert "is saved as 'it' at alice and bob" in entry.body["trust"]
            digest = entry.body["saved"]
    with run() as fed:
        jali.load("it", device(fed, "m2k"))
        fed.report()
        for party in ("alice", "bob", "dealer"):
            assert fed.program.runtimes[party].ledger.entries[-1].body["saved"] == digest


# -- what does not fit ----------------------------------------------------------------------------------------------


def test_nothing_saved_is_named_with_the_folder() -> None:
    with pytest.raises(SavedMissing, match=r"nothing saved as 'model' \(looked in saved/"):
        loaded("m2k")


def test_one_lost_file_is_named_at_its_party() -> None:
    save_numbers("m2k")
    files("bob")[0].unlink()
    with pytest.raises(SavedMissing, match="bob has nothing"):
        loaded("m2k")


@pytest.mark.parametrize("where", [0, 8, 12, 20, 60, -1])
def test_a_changed_file_is_noticed(where: int) -> None:
    save_numbers("m2k")
    (path,) = files("alice")
    octets = bytearray(path.read_bytes())
    octets[where] ^= 1
    path.write_bytes(octets)
    with pytest.raises(JaliError, match=r"J(1091|1092|5102) .*alice/model/"):
        loaded("m2k")


@pytest.mark.parametrize("size", [0, 30, 100, -1])
def test_a_file_that_was_cut_off_is_noticed(size: int) -> None:
    save_numbers("m2k")
    (path,) = files("bob")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SavedInvalid, match="put the file back from a copy, or save the value again"):
        loaded("m2k")


def test_a_file_that_was_extended_is_noticed() -> None:
    save_numbers("m2k")
    (path,) = files("bob")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(SavedInvalid, match="should have"):
        loaded("m2k")


def test_files_of_two_runs_do_not_meet() -> None:
    save_numbers("m2k")
    shutil.copytree("saved/bob", "copy")
    save_numbers("m2k", scale=2.0)
    shutil.rmtree("saved/bob")
    shutil.copytree("copy", "saved/bob")
    with pytest.raises(SavedMismatch, match="alice and bob have 'model', but not of one run"):
        loaded("m2k")


def test_a_file_under_another_name_is_noticed() -> None:
    save_numbers("m2k", "one")
    for party in ("alice", "bob"):
        shutil.copytree(f"saved/{party}/one", f"saved/{party}/model")
    with pytest.raises(SavedMismatch, match="the file was moved"):
        loaded("m2k")


def test_a_file_of_another_party_is_noticed_even_under_one_key() -> None:
    save_numbers("m2k")
    shutil.copy(files("bob")[0], files("alice")[0])
    with pytest.raises(SavedInvalid, match="another key"):
        loaded("m2k")
    shutil.copy("saved-keys/bob.key", "saved-keys/alice.key")
    with pytest.raises(SavedMismatch, match="alice has another party's file"):
        loaded("m2k")


def test_another_protocol_dealer_or_order_is_another_device() -> None:
    save_numbers("rep3")
    with pytest.raises(SavedMismatch, match=r"saved on rep3 of alice, bob, carol .*not on aby3.*x\.to\(device\)"):
        loaded("aby3")
    save_numbers("m2k", "two")
    with pytest.raises(SavedMismatch, match="not on m2k of bob, alice, dealer"), run() as fed:
        jali.reveal(jali.load("two", fed.mpc("bob", "alice")), to="carol")
    with pytest.raises(SavedMismatch, match="not on m2k of alice, bob, carol"), run() as fed:
        jali.reveal(jali.load("two", fed.mpc("alice", "bob", dealer="carol")), to="carol")


def test_pins_that_differ_from_what_was_saved_are_named() -> None:
    save_numbers("m2k")
    with pytest.raises(SavedMismatch, match=r"says that 'model' is \* of secret fixed18\[3\]; saved is \{'k'"):
        loaded("m2k", returns=jali.Spec((3,)))


def test_a_lost_key_is_named_and_no_new_one_is_made() -> None:
    save_numbers("m2k")
    Path("saved-keys/bob.key").unlink()
    with pytest.raises(SavedMissing, match=r"saved-keys/bob\.key"):
        loaded("m2k")
    assert not Path("saved-keys/bob.key").exists()


@pytest.mark.parametrize("name", ["", "../alice", "a/b", "/x", ".hidden", "a" * 101, "a\n", "ä"])
def test_names_are_no_paths(name: str) -> None:
    with run() as fed:
        mpc = device(fed, "m2k")
        secret = fed.plain("alice")(np.arange)(5.0).to(mpc)
        with pytest.raises(SaveNameInvalid, match="letters, digits"):
            jali.save(secret, name)
        with pytest.raises(SaveNameInvalid):
            jali.load(name, mpc)


def test_what_is_no_secret_is_not_saved() -> None:
    with run() as fed:
        x = fed.plain("alice")(np.arange)(5.0)
        with pytest.raises(UnsupportedValue, match=r"private\(alice\): its owner can save it"):
            jali.save(x, "x")
        not_a_handle: Any = 3
        with pytest.raises(UnsupportedValue, match="expected a handle"):
            jali.save(not_a_handle, "x")
        plain: Any = fed.plain("alice")
        with pytest.raises(UnsupportedValue, match="expected an mpc device"):
            jali.load("x", plain)


@pytest.mark.parametrize("settings", [config.Saved(directory=""), config.Saved(keys="")])
def test_a_party_may_save_nothing(settings: config.Saved) -> None:
    with pytest.raises(SavedMissing, match=r"alice keeps no saved shares: .* empty under \[saved\]"):
        Vault(settings, "alice")


def test_a_peer_that_sends_something_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    save_numbers("m2k")
    original = saved_shares._exchange

    def lying(context: Any, layout: Any, words: bytes) -> dict[str, bytes]:
        return original(context, layout, b"\xc1" if context.party == "bob" else words)

    monkeypatch.setattr(saved_shares, "_exchange", lying)
    with pytest.raises(MalformedMessage, match="bob sent something else than what it saved"):
        loaded("m2k")


# -- crashes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["alice", "bob"])
def test_a_saving_that_fails_at_one_party_leaves_the_one_before(victim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save_numbers("m2k")
    original = Vault.write

    def broken(self: Vault, header: Any, parts: Any) -> Path:
        if self.directory.name == victim:
            raise WriteFailed("the disk is full")
        return original(self, header, parts)

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "write", broken)
        with pytest.raises(WriteFailed):
            save_numbers("m2k", scale=2.0)
    np.testing.assert_allclose(loaded("m2k")["x"], numbers()["x"] ** 2, atol=1e-4)


def test_a_saving_that_not_all_have_heard_of_is_loaded_and_tidied_later(monkeypatch: pytest.MonkeyPatch) -> None:
    save_numbers("m2k")
    with monkeypatch.context() as patch:
        patch.setattr(Vault, "forget", lambda *_, **__: None)  # as if it ended right before
        save_numbers("m2k", scale=2.0)
    assert [len(files(party)) for party in ("alice", "bob")] == [2, 2]
    np.testing.assert_allclose(loaded("m2k")["x"], 2 * numbers()["x"] ** 2, atol=1e-4)
    files("bob")[1].unlink()
    np.testing.assert_allclose(loaded("m2k")["x"], numbers()["x"] ** 2, atol=1e-4)
    save_numbers("m2k", scale=3.0)
    assert [[path.name[:9] for path in files(party)] for party in ("alice", "bob")] == [["00000003-"]] * 2
    np.testing.assert_allclose(loaded("m2k")["x"], 3 * numbers()["x"] ** 2, atol=1e-4)
