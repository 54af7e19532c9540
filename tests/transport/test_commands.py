# SPDX-License-Identifier: Apache-2.0
"""`jali federation` and `jali doctor`, as a person meets them."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from jali.cli.app import status_of
from jali.core import config
from jali.transport.authority import create_federation
from jali.transport.connect import connect_tls
from jali.transport.doctor import Check, check_files, check_machine, check_network
from jali.transport.tls import split_address
from tests.transport.parties import FAST, all_at_once, federation_in

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from jali.transport.session import Session


def by_subject(checks: list[Check]) -> dict[str, Check]:
    return {check.subject: check for check in checks}


def test_federation_new_says_what_it_made_and_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "credit"
    arguments = ["federation", "new", "--parties", "bank, client[0..1],dealer", "--dir", str(place)]
    assert status_of(arguments) == 0
    said = capsys.readouterr().out
    assert "jali run PROGRAM.py" in said
    assert "client[1]" in said
    assert str(place / "client.1") in said
    assert list(config.load(place / "federation.toml").parties) == ["bank", "client[0]", "client[1]", "dealer"]
    assert status_of(arguments) == 3
    assert "J1601" in capsys.readouterr().err


def test_federation_renew_says_where_the_new_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = create_federation(tmp_path / "f", ("bank", "bureau"))
    assert status_of(["federation", "renew", "--party", "bank", "--dir", str(file.parent), "--days", "3"]) == 0
    assert str(file.parent / "bank") in capsys.readouterr().out
    check = by_subject(list(check_files(config.load(file), "bank")))["certificate of bank"]
    assert check.status == "warn"
    assert "renew --party bank" in check.advice


def test_federation_new_refuses_bad_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for addresses, status in (("bank", 2), ("bank=nowhere", 5)):
        arguments = ["federation", "new", "--parties", "bank,b", "--dir", str(tmp_path / "x"), "--addresses", addresses]
        assert status_of(arguments) == status
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_doctor_without_arguments_checks_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("ok    jali")
    assert "kernels" in said
    assert {check.status for check in check_machine()} <= {"ok", "warn"}


def test_doctor_finds_an_unfit_certificate_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = create_federation(tmp_path / "f", ("bank", "bureau"))
    (tmp_path / "f" / "bank" / "certificate.pem").write_bytes(
        (tmp_path / "f" / "bureau" / "certificate.pem").read_bytes()
    )
    assert status_of(["doctor", "--federation", str(file), "--json"]) == 1
    found = [msgspec.json.decode(line, type=Check) for line in capsys.readouterr().out.splitlines()]
    assert by_subject(found)["certificate of bank"].status == "fail"
    assert by_subject(found)["certificate of bureau"].status == "ok"


def test_doctor_warns_of_a_key_that_others_can_read(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    (tmp_path / "federation" / "alice" / "key.pem").chmod(0o644)
    check = by_subject(list(check_files(federation, "alice")))["key of alice"]
    assert check.status == "warn"
    assert check.advice.startswith("chmod 600")


def test_doctors_of_two_parties_measure_and_miss_the_third(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        alice, bob = pool.map(
            lambda party: by_subject(list(check_network(federation, party, wait_s=2.0))), ("alice", "bob")
        )
    for mine, peer in ((alice, "bob"), (bob, "alice")):
        assert mine["port"].status == "ok"
        for what in (peer, f"{peer}: clock", f"{peer}: version", f"{peer}: latency", f"{peer}: bandwidth"):
            assert mine[what].status == "ok", mine[what]
        assert mine["carol"].status == "warn"
        assert "doctor --as carol" in mine["carol"].advice


def test_doctor_names_a_port_in_use(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    with socket.create_server(split_address(federation.parties["alice"].address)):
        (check,) = check_network(federation, "alice", wait_s=0.1)
    assert check.status == "fail"
    assert "J3010" in check.found


def test_doctor_disturbs_no_job_that_waits_for_its_parties(tmp_path: Path) -> None:
    federation = federation_in(tmp_path, ("alice", "bob"))
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(connect_tls, federation, "alice", settings=FAST)
        checks = by_subject(list(check_network(federation, "bob", wait_s=1.0)))
        assert checks["alice"].status == "warn"
        assert "'jali run'" in checks["alice"].found
        bob = connect_tls(federation, "bob", settings=FAST)
        alice = job.result()
    assert all_at_once({"alice": lambda: _closed(alice), "bob": lambda: _closed(bob)}).keys() == {"alice", "bob"}


def _closed(session: Session) -> Session:
    session.close()
    return session


def test_doctor_needs_the_federation_and_a_party_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["doctor", "--as", "bank"]) == 2
    file = create_federation(tmp_path / "f", ("bank", "bureau"))
    assert status_of(["doctor", "--federation", str(file), "--as", "bnak"]) == 3
    assert "did you mean 'bank'" in capsys.readouterr().err
