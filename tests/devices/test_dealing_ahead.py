# SPDX-License-Identifier: Apache-2.0
"""Devices that were dealt ahead of time: the same results, no dealer, one use, and what is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

import jali
from jali.core import config
from jali.core.errors import (
    DealingBroken,
    DealingCopied,
    DealingExhausted,
    DealingMismatch,
    DealingMissing,
    DealingSpent,
    DeviceInvalid,
    JaliError,
)
from jali.devices.connect import _simulation, with_helper
from jali.mpc.dealing.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jali.devices.mpc import MpcDevice

TWO, THREE = ("alice", "bob"), ("alice", "bob", "carol")
PROTOCOLS = {"m2k": TWO, "m3k": THREE}
N = 40


def model(x: Any, y: Any, chosen: Any, *, rate: float) -> dict[str, Any]:
    import jax.numpy as jnp

    return {"best": jnp.where(chosen, jnp.maximum(x, y), x * y * rate), "less": x < y, "kept": chosen}


def again(found: dict[str, Any], x: Any) -> Any:
    return found["best"] * x


SPECS = (jali.Spec((N,)), jali.Spec((N,)), jali.Spec((N,), "bool"))


def ramp(scale: float) -> np.ndarray:
    return (np.arange(float(N)) - N / 2) * scale


def federation(*, dealer: bool = True) -> jali.Federation:
    if dealer:
        return jali.simulate(*THREE)
    return _simulation(with_helper(THREE).without(["dealer"]))


def device(fed: jali.Federation, store: Path, protocol: str = "m2k") -> MpcDevice:
    return fed.mpc(*PROTOCOLS[protocol], protocol=protocol, dealing="ahead", store=store)


def dealt(store: Path, protocol: str = "m2k", *, count: int = 3) -> None:
    with federation() as fed:
        device(fed, store, protocol).deal_ahead(model, count=count)(*SPECS, rate=0.5)


def run(fed: jali.Federation, mpc: MpcDevice, *, to: Any = "alice") -> Any:
    """A call on numbers of all three (carol is the guest of m2k)."""
    x, y = fed.plain("alice")(ramp)(1.0), fed.plain("carol")(ramp)(-0.5)
    chosen = fed.plain("bob")(lambda: np.arange(N) % 2 == 0)()
    result = mpc(model)(x, y, chosen, rate=0.5)
    return jali.reveal(result, to=to)


def check(found: Any) -> None:
    x, y, chosen = ramp(1.0), ramp(-0.5), np.arange(N) % 2 == 0
    np.testing.assert_allclose(found["best"], np.where(chosen, np.maximum(x, y), x * y * 0.5), atol=1e-3)
    np.testing.assert_array_equal(found["less"], x < y)
    np.testing.assert_array_equal(found["kept"], chosen)


def file_of(store: Path, party: str) -> Path:
    [path] = store.glob(f"{party}-*.dealt")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "stores"


@pytest.fixture
def fed() -> Iterator[jali.Federation]:
    made = federation()
    yield made
    made.abandon(JaliError("the test is over"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_dealer_is_not_there_when_the_device_computes(store: Path, protocol: str) -> None:
    dealt(store, protocol)
    with federation(dealer=False) as fed:
        mpc = device(fed, store, protocol)
        for to in ("alice", "bob", "carol"):
            check(run(fed, mpc, to=to))
        report = fed.report()
    for row in report.rows:
        assert "dealer" not in row.participants
        assert row.predicted is None or row.bytes_sent == sum(row.predicted.bytes_sent.values()), row.text
        assert row.predicted is None or row.rounds == row.predicted.rounds, row.text
    called = [row for row in report.rows if row.text == "model"]
    assert [(row.dealt_bytes or 0) > 0 for row in called] == [True] * 3
    assert report.dealt == {}, "that was another run's cost"
    assert ("somebody who dealt before (dealer)" in report.trust[0]) == (protocol == "m2k")


def test_what_is_known_of_an_argument_only_when_it_is_there_changes_nothing(fed: jali.Federation, store: Path) -> None:
    """The results of `probability` lie between 0 and 1 and could be compared in 32 bits; the dealer did not know."""
    import jax

    def probability(x: Any) -> Any:
        return jax.nn.sigmoid(x)

    def likely(p: Any) -> Any:
        return p > 0.6

    mpc = device(fed, store)
    for function in (probability, likely):
        mpc.deal_ahead(function)(jali.Spec((N,)))
    result = mpc(likely)(mpc(probability)(fed.plain("alice")(ramp)(1.0)))
    np.testing.assert_array_equal(jali.reveal(result, to="bob"), ramp(1.0) > 0)


@pytest.mark.parametrize("dealing", ["stream", "prefetch"])
def test_results_do_not_depend_on_when_the_dealer_deals(fed: jali.Federation, store: Path, dealing: str) -> None:
    ahead = device(fed, store)
    ahead.deal_ahead(model)(*SPECS, rate=0.5)
    other = fed.mpc(*TWO, dealing=dealing)
    one, two = run(fed, ahead), run(fed, other)
    check(one)
    check(two)
    np.testing.assert_allclose(one["best"], two["best"], atol=2.0**-16)


def test_the_manifest_is_what_is_dealt(fed: jali.Federation, store: Path) -> None:
    manifest = device(fed, store).deal_ahead(model, count=4)(*SPECS, rate=0.5)
    [row] = fed.report().rows
    assert row.text == "deal model"
    assert row.participants == (*TWO, "dealer")
    assert row.bytes_sent == row.dealt_bytes == 4 * manifest.size_bytes
    assert row.predicted is not None
    assert row.predicted.offline_bytes == 4 * manifest.size_bytes
    assert row.dealing_s is not None
    assert sum(fed.report().dealt.values()) == 4 * manifest.size_bytes
    leader, other = (file_of(store, party).stat().st_size for party in TWO)
    assert leader < 2000 < 4 * manifest.size_bytes < other < 1.2 * 4 * manifest.size_bytes + 4000


def test_a_plan_shows_the_manifest_and_writes_nothing(store: Path) -> None:
    def job(fed: jali.Federation) -> None:
        print(device(fed, store).deal_ahead(model, count=2)(*SPECS, rate=0.5))

    report = jali.explain(job, list(THREE))
    [row] = report.rows
    assert row.predicted is not None
    assert sum(report.dealt.values()) == row.predicted.offline_bytes > 0
    assert not store.exists()


def test_results_of_one_call_serve_another(fed: jali.Federation, store: Path) -> None:
    """They leave the first without masks that the dealer knows."""
    mpc = device(fed, store)
    mpc.deal_ahead(model)(*SPECS, rate=0.5)
    mpc.deal_ahead(again)({"best": SPECS[0], "less": SPECS[2], "kept": SPECS[2]}, SPECS[0])
    x, y = fed.plain("alice")(ramp)(1.0), fed.plain("bob")(ramp)(-0.5)
    chosen = fed.plain("bob")(lambda: np.ones(N, np.bool_))()
    found = jali.reveal(mpc(again)(mpc(model)(x, y, chosen, rate=0.5), x), to="bob")
    np.testing.assert_allclose(found, np.maximum(ramp(1.0), ramp(-0.5)) * ramp(1.0), atol=1e-3)


def test_calls_at_the_same_time_use_executions_of_their_own(fed: jali.Federation, store: Path) -> None:
    mpc = device(fed, store)
    mpc.deal_ahead(model, count=6)(*SPECS, rate=0.5)
    x, y = fed.plain("alice")(ramp)(1.0), fed.plain("bob")(ramp)(-0.5)
    chosen = fed.plain("bob")(lambda: np.arange(N) % 2 == 0)()
    assert mpc.executions_left(model)(*SPECS, rate=0.5) == {"alice": 6, "bob": 6}
    results = [mpc(model)(x, y, chosen, rate=0.5) for _ in range(6)]
    for result in results:
        check(jali.reveal(result, to="all"))
    assert mpc.executions_left(model)(*SPECS, rate=0.5) == {"alice": 0, "bob": 0}
    with pytest.raises(DealingMissing):
        mpc.executions_left(model)(*SPECS, rate=0.75)


# -- one use --------------------------------------------------------------------------------------------------------


def test_an_exhausted_store_says_what_to_do(fed: jali.Federation, store: Path) -> None:
    dealt(store, count=1)
    mpc = device(fed, store)
    check(run(fed, mpc))
    with pytest.raises(
        DealingExhausted, match=r"all 1 executions of 'model' that were dealt to 'alice' are used .*deal_a"
    ):
        run(fed, mpc)


def test_dealing_again_replaces_what_is_left(store: Path) -> None:
    dealt(store, count=1)
    dealt(store, count=2)
    with Store(file_of(store, "bob"), "bob") as kept:
        assert (kept.header.count, kept.left) == (2, 2)


def test_the_evaluator_that_is_further_counts(fed: jali.Federation, store: Path) -> None:
    """A node that failed at one of them, or an older state of its disk: the other's position wins."""
    dealt(store, count=6)
    for party, used in (("alice", 1), ("bob", 3)):
        with Store(file_of(store, party), party) as kept:
            kept.take(used)
    mpc = device(fed, store)
    check(run(fed, mpc))
    for party in TWO:
        with Store(file_of(store, party), party) as kept:
            assert kept.position() == 5
    with Store(file_of(store, "alice"), "alice") as kept:
        kept.take(5)
    with pytest.raises(DealingExhausted):
        run(fed, mpc)


@pytest.mark.parametrize("party", TWO)
def test_one_party_that_is_put_back_does_not_make_masks_be_used_again(
    fed: jali.Federation, store: Path, party: str
) -> None:
    """In place, so that its inode does not show it. What is used next is what neither has used."""
    dealt(store, count=4)
    before = file_of(store, party).read_bytes()
    mpc = device(fed, store)
    check(run(fed, mpc))
    check(run(fed, mpc))
    file_of(store, party).write_bytes(before)
    with Store(file_of(store, party), party) as kept:
        assert kept.position() == 0
    check(run(fed, mpc))
    for one in TWO:
        with Store(file_of(store, one), one) as kept:
            assert kept.position() == 3


def test_an_execution_that_one_evaluator_used_is_never_used(
    fed: jali.Federation, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluator 1 does not believe what it is told: its own disk says what is used."""
    dealt(store, count=4)
    with Store(file_of(store, "bob"), "bob") as kept:
        kept.take(2)
    monkeypatch.setattr(Store, "position", lambda self: 2)
    with pytest.raises(DealingSpent, match="execution 2 of 'model' was used at 'bob' before"):
        run(fed, device(fed, store))


@pytest.mark.parametrize("party", TWO)
def test_a_restored_backup_is_refused(fed: jali.Federation, store: Path, party: str) -> None:
    dealt(store)
    path = file_of(store, party)
    shutil.copy2(path, store / "backup")
    path.unlink()
    (store / "backup").rename(path)
    with pytest.raises(DealingCopied, match="copy"):
        run(fed, device(fed, store))


# -- what does not fit ----------------------------------------------------------------------------------------------


def test_another_program_or_shape_was_not_dealt(fed: jali.Federation, store: Path) -> None:
    dealt(store)
    x = fed.plain("alice")(lambda: np.ones(N + 1))()
    with pytest.raises(DealingMissing, match="found 1 for other programs"):
        jali.reveal(device(fed, store)(lambda v: v * v)(x), to="alice")


def test_a_renamed_file_is_noticed(fed: jali.Federation, store: Path) -> None:
    mpc = device(fed, store)
    mpc.deal_ahead(model)(*SPECS, rate=0.5)
    before = {party: file_of(store, party) for party in TWO}
    names = {party: path.name for party, path in before.items()}
    for party, path in before.items():
        before[party] = path.rename(store / f"kept-{party}")
    mpc.deal_ahead(model)(*SPECS, rate=0.25)
    for party in TWO:
        file_of(store, party).rename(store / names[party])
    with pytest.raises(DealingMismatch, match="was dealt for another program"):
        run(fed, mpc)


def test_stores_that_were_not_dealt_together_are_noticed(fed: jali.Federation, store: Path) -> None:
    """As when dealing ended at one evaluator and not at the other."""
    dealt(store)
    old = file_of(store, "bob")
    old.rename(store / "kept")
    dealt(store)
    (store / "kept").rename(old)
    with pytest.raises(DealingMismatch, match="for 'model' were not dealt together"):
        run(fed, device(fed, store))


def test_the_order_of_parties_is_part_of_what_was_dealt(fed: jali.Federation, store: Path) -> None:
    dealt(store)
    with pytest.raises(DealingMismatch, match="was dealt for the parties alice, bob"):
        run(fed, fed.mpc("bob", "alice", dealing="ahead", store=store))


def test_a_changed_file_ends_the_run_everywhere(fed: jali.Federation, store: Path) -> None:
    dealt(store, count=1)
    path = file_of(store, "bob")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DealingBroken, match=r"a message of .* was changed"):
        run(fed, device(fed, store))
    for party in TWO:
        with pytest.raises(DealingBroken):
            fed.program.runtimes[party].settle()


REFUSED = [
    ({"dealing": "ahead"}, "go together"),
    ({"store": "x"}, "go together"),
    ({"dealing": "later"}, 'expected "stream", "prefetch" or "ahead" as dealing, found'),
    ({"dealing": "ahead", "store": "x", "insecure_dealer": "bob"}, "'bob' is there whenever the device computes"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_options_that_do_not_fit_are_refused(fed: jali.Federation, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DeviceInvalid, match=said):
        fed.mpc(*TWO, **options)


def test_what_cannot_be_dealt_ahead_says_so(fed: jali.Federation, store: Path) -> None:
    with pytest.raises(DeviceInvalid, match="'rep3' has no dealer"):
        fed.mpc(*THREE, dealing="ahead", store=store)
    with pytest.raises(DeviceInvalid, match=r'deals while it computes: say dealing = "ahead"'):
        fed.mpc(*TWO).deal_ahead(model)(*SPECS, rate=0.5)
    with pytest.raises(DeviceInvalid, match="at least 1, found 0"):
        device(fed, store).deal_ahead(model, count=0)(*SPECS, rate=0.5)
    lonely = jali.Federation(config.local(THREE))
    with pytest.raises(DeviceInvalid, match="has no dealer in this federation"):
        device(lonely, store).deal_ahead(model)(*SPECS, rate=0.5)


def test_a_dealer_that_does_not_come_is_missed_where_it_must_deal(store: Path) -> None:
    """With a federation file that names it, in a run without it."""
    text = {"name": "both", "kind": "mpc", "parties": TWO, "protocol": "m2k", "dealer": "dealer"}
    streaming = msgspec.convert(text, config.Device)
    ahead = msgspec.structs.replace(streaming, dealing="ahead", store=str(store))
    settings = msgspec.structs.replace(with_helper(THREE), devices={"streaming": streaming, "ahead": ahead})
    lonely = jali.Federation(settings.without(["dealer"]))
    with pytest.raises(
        DeviceInvalid, match=r"'dealer' deals for alice and bob and does not come to this run: run with"
    ):
        lonely.device("streaming")
    with pytest.raises(DeviceInvalid, match="has no dealer in this federation"):
        lonely.device("ahead").deal_ahead(model)(*SPECS, rate=0.5)


def test_the_federation_file_chooses(tmp_path: Path) -> None:
    text = """
    name = "local"
    [parties.alice]
    [parties.bob]
    [parties.carol]
    [devices.both]
    kind = "mpc"
    parties = ["alice", "bob"]
    dealing = "ahead"
    store = "stores"
    """
    file = tmp_path / "federation.toml"
    file.write_text(text)
    dealt(tmp_path / "stores")
    settings = config.load(file)
    elsewhere = msgspec.structs.replace(settings.devices["both"], store="/elsewhere")
    assert settings.digest() == msgspec.structs.replace(settings, devices={"both": elsewhere}).digest()
    with _simulation(settings) as fed:
        check(run(fed, fed.device("both")))
