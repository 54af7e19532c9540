# SPDX-License-Identifier: Apache-2.0
"""The federation file: templates, defaults, and one clear error for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from jali.core import config, errors, settings
from jali.core.federation_file import parse
from jali.core.federation_text import to_toml

CREDIT = """
name = "credit"
authority = "certs/authority.pem"

[parties.bank]
address = "127.0.0.1:7101"
certificate = "certs/bank.pem"
key = "certs/bank.key"

[parties."client[0..2]"]
address = "127.0.0.1:{7200+i}"
certificate = "certs/client{i}.pem"

[parties."server[0..1]"]

[parties.dealer]
role = "helper"

[devices."worker[0..2]"]
kind = "plain"
party = "client[{i}]"

[devices.aggregator]
kind = "mpc"
parties = ["server[0]", "server[1]"]

[network]
connect_s = 3

[ledger]
directory = "records"
"""

PARTIES = "[parties.a]\n[parties.b]\n[parties.c]\n"


def read(text: str) -> config.Federation:
    """The federation of a text whose file would be in /fed."""
    return parse(text, directory=Path("/fed"))


def test_the_example_is_expanded_in_order(tmp_path: Path) -> None:
    file = tmp_path / "federation.toml"
    file.write_text(CREDIT)
    federation = config.load(file)
    assert list(federation.parties) == ["bank", *(f"client[{i}]" for i in range(3)), "server[0]", "server[1]", "dealer"]
    assert federation.parties["client[2]"].address == "127.0.0.1:7202"
    assert federation.parties["client[2]"].certificate == str(tmp_path / "certs/client2.pem")
    assert federation.parties["bank"].name == "bank"
    assert federation.authority == str(tmp_path / "certs/authority.pem")
    assert federation.devices["worker[1]"].party == "client[1]"
    assert federation.helpers == ("dealer",)
    assert federation.network.connect_s == 3.0
    assert federation.network.window_mib == 64
    assert federation.ledger.directory == str(tmp_path / "records")
    assert federation.saved.directory == str(tmp_path / "saved")
    assert federation.saved.keys == str(tmp_path / "saved-keys")
    assert federation.path == str(file)


def test_protocol_and_dealer_have_defaults() -> None:
    aggregator = read(CREDIT).devices["aggregator"]
    assert (aggregator.protocol, aggregator.dealer) == ("m2k", "dealer")
    three = read(PARTIES + '[devices.x]\nkind = "mpc"\nparties = ["a", "b", "c"]').devices["x"]
    assert (three.protocol, three.dealer) == ("rep3", None)


def test_ranges_expand_in_lists_of_parties() -> None:
    federation = read(CREDIT.replace('["server[0]", "server[1]"]', '["server[0..1]"]'))
    assert federation.devices["aggregator"].parties == ("server[0]", "server[1]")


def test_the_digest_covers_what_must_agree() -> None:
    digest = read(CREDIT).digest()
    assert len(digest) == 32
    for local in (("7101", "7999"), ("bank.key", "other.key"), ("connect_s = 3", "connect_s = 9"), ("records", "r")):
        assert read(CREDIT.replace(*local)).digest() == digest
    for before, after in (('"credit"', '"debit"'), ("client[0..2]", "client[0..3]"), ('role = "helper"', "")):
        changed = CREDIT.replace(before, after)
        if not after:
            changed = changed.replace('parties = ["server[0]"', 'insecure_dealer = "dealer"\nparties = ["server[0]"')
        assert read(changed).digest() != digest


def test_hundreds_of_parties_are_expanded() -> None:
    federation = read('[parties."client[0..1999]"]\naddress = "h:{7000+i}"\n')
    assert len(federation.parties) == 2000
    assert federation.parties["client[1999]"].address == "h:8999"


TWO = '[devices.x]\nkind = "mpc"\nparties = ["a", "b"]\n'


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("name = x", errors.ConfigInvalid, "not valid TOML.*line 1"),
        ("nmae = 'x'", errors.UnknownKey, "unknown key 'nmae', line 1 .did you mean 'name'"),
        (
            CREDIT.replace("key =", "keyy ="),
            errors.UnknownKey,
            r"'keyy' in \[parties.bank\], line 8 .did you mean 'key'",
        ),
        ("[network]\nconect_s = 1", errors.UnknownKey, r"'conect_s' in \[network\], line 2 .did you mean 'connect_s'"),
        ("[netwrk]\nx = 1", errors.UnknownKey, "'netwrk', line 1 .did you mean 'network'"),
        ("[parties.a]\nname = 'b'", errors.UnknownKey, "'name'"),
        ("[network]\nconnect_s = 'soon'", errors.ConfigInvalid, r"network\.connect_s: expected `float`, got `str`"),
        ("[network]\nconnect_s = -1", errors.ConfigInvalid, r"network\.connect_s: expected `float` > 0"),
        ("network = 1", errors.ConfigInvalid, r"expected a table \[network\], found int"),
        ("parties = 1", errors.ConfigInvalid, "expected tables"),
        ("[parties]\na = 1", errors.ConfigInvalid, r"expected a table \[parties.a\], found int"),
        ("name = 1", errors.ConfigInvalid, "name: expected `str`"),
        ("authority = 1", errors.ConfigInvalid, "authority: expected a string"),
        ("[parties.a]\nrole = 'boss'", errors.ConfigInvalid, r"parties\.a\.role: invalid enum value 'boss'"),
        ("[parties.a]\naddress = 'localhost'", errors.ConfigInvalid, 'expected "host:port"'),
        ("[parties.a]\naddress = 'h:70000'", errors.ConfigInvalid, "from 1 to 65535"),
        (
            "[parties.a]\naddress='h:1'\n[parties.b]\naddress='h:1'",
            errors.ConfigInvalid,
            "'a' and 'b' have one address",
        ),
        ("[parties.'a b']", errors.ConfigInvalid, "expected a name of letters"),
        ("[parties.'c[3..1]']", errors.BadRange, "first end not above the last"),
        ("[parties.'c[0..99999]']", errors.BadRange, "1 to 10000 members"),
        ("[parties.'c[a..b]']", errors.BadRange, "whole numbers"),
        ("[parties.'c[0..1']", errors.BadRange, "such as client"),
        ("[parties.'c[0..1]']\naddress = 'h:{j}'", errors.BadRange, r"expected \{i\}"),
        ("[parties.'c[0..2]']\n[parties.'c[2]']", errors.DuplicateName, r'parties."c\[0..2\]".*parties."c\[2\]".*name'),
        ("[parties.'c[0..2]']\n[parties.'c[1..3]']", errors.DuplicateName, r"'c\[1\]'"),
        (PARTIES + "[devices.x]\nkind = 'he'", errors.UnknownName, "known: plain, mpc"),
        (PARTIES + "[devices.x]\nparty = 'a'", errors.ConfigInvalid, "missing required field `kind`"),
        (PARTIES + "[devices.x]\nkind = 'plain'", errors.ConfigInvalid, "belongs to nobody"),
        (PARTIES + "[devices.x]\nkind = 'plain'\nparty = 'aa'", errors.UnknownName, "'aa' that has no table"),
        (PARTIES + "[devices.x]\nkind = 'plain'\nparty = 'a'\ndealer = 'b'", errors.ConfigInvalid, "no meaning"),
        (PARTIES + "[devices.x]\nkind = 'mpc'", errors.ConfigInvalid, "computing parties"),
        (PARTIES + "[devices.x]\nkind = 'mpc'\nparties = ['a', 'a']", errors.DuplicateName, "lists 'a' twice"),
        (PARTIES + "[devices.x]\nkind = 'mpc'\nparties = ['a']", errors.ConfigInvalid, "has 1 parties; expected 2"),
        (PARTIES + TWO + "protocol = 'rep3'", errors.ConfigInvalid, "runs rep3 with 3 parties, found 2"),
        (PARTIES + TWO + "protocol = 'aby3'", errors.ConfigInvalid, "runs aby3 with 3 parties, found 2"),
        (PARTIES + TWO + "protocol = 'm3k'", errors.ConfigInvalid, "runs m3k with 3 parties, found 2"),
        (PARTIES + TWO + "protocol = 'm2'", errors.UnknownName, "did you mean 'm2k'"),
        (PARTIES + TWO, errors.DealerMissing, 'role = "helper".*rep3.*insecure_dealer = "a"'),
        (PARTIES + TWO + "dealer = 'c'", errors.DealerMissing, "holds data"),
        (
            "[parties.a]\n[parties.b]\n[parties.'d[0..1]']\nrole = 'helper'\n" + TWO,
            errors.DealerMissing,
            r"which helper.*'d\[0\]'",
        ),
        (PARTIES + TWO + "dealer = 'c'\ninsecure_dealer = 'a'", errors.ConfigInvalid, "remove one"),
        (
            PARTIES + "[devices.x]\nkind = 'mpc'\nparties = ['a', 'b', 'c']\ndealer = 'a'",
            errors.ConfigInvalid,
            "no dealer: remove",
        ),
        (PARTIES + "[devices.x]\nkind = 'plain'\nparty = 'a'\ndealing = 'ahead'", errors.ConfigInvalid, "no meaning"),
        (PARTIES + TWO + "dealing = 'soon'", errors.ConfigInvalid, "invalid enum value 'soon'"),
        (PARTIES + TWO + "dealing = 'ahead'", errors.ConfigInvalid, 'store = "FOLDER" go together'),
        (PARTIES + TWO + "store = 'stores'", errors.ConfigInvalid, "go together"),
        (
            PARTIES + TWO + "dealing = 'ahead'\nstore = 's'\ninsecure_dealer = 'a'",
            errors.ConfigInvalid,
            "insecure_dealer is there whenever",
        ),
        (
            PARTIES + "[devices.x]\nkind = 'mpc'\nparties = ['a', 'b', 'c']\ndealing = 'prefetch'",
            errors.ConfigInvalid,
            "runs rep3, which has no dealer: remove dealing",
        ),
        (
            PARTIES + "[devices.x]\nkind = 'mpc'\nparties = ['a', 'b', 'c']\nprotocol = 'm3k'\ndealer = 'a'",
            errors.ConfigInvalid,
            "runs m3k, whose third party deals",
        ),
    ],
)
def test_each_mistake_has_its_error(text: str, error: type[errors.JaliError], words: str) -> None:
    with pytest.raises(error, match=words):
        read(text)


def test_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "federation.toml"
    with pytest.raises(errors.FileMissing, match=r"federation\.toml.*No such file"):
        config.load(file)
    file.write_text("nmae = 1")
    with pytest.raises(errors.UnknownKey, match=r"federation\.toml: unknown key"):
        config.load(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(errors.EncodingWrong, match="offset 0"):
        config.load(file)


def test_an_insecure_dealer_must_be_asked_for_and_is_announced() -> None:
    federation = read(PARTIES + TWO + "insecure_dealer = 'a'")
    assert federation.devices["x"].dealer is None
    assert federation.insecure_choices() == ("device 'x': its dealer 'a' could read every secret",)
    assert read(CREDIT).insecure_choices() == ()


def test_every_key_can_be_explained() -> None:
    for key in settings.all_keys():
        text = config.explain(key.replace("NAME", '"worker[0..2]"'))
        assert text.startswith(key)
        assert len(text.splitlines()[1].strip()) > 10
    assert "number above 0; default 60.0" in config.explain("connect_s")
    assert "whole number from 1 to 4096; default 64" in config.explain("network.window_mib")
    assert "parties.NAME.role" in config.explain("parties")


@pytest.mark.parametrize("key", ["netwrk.connect_s", "conect_s", "network.conect_s", "a.b.c.d", ""])
def test_an_unknown_key_names_near_misses(key: str) -> None:
    with pytest.raises(errors.UnknownName, match="known: "):
        config.explain(key)


def test_a_program_can_make_a_federation() -> None:
    federation = config.local(["bank", "client[0..1]", "dealer"], helpers=["dealer"])
    assert list(federation.parties) == ["bank", "client[0]", "client[1]", "dealer"]
    assert federation.helpers == ("dealer",)
    with pytest.raises(errors.DuplicateName, match="lists 'a' twice"):
        config.local(["a", "a"])
    with pytest.raises(errors.ConfigInvalid):
        config.local(["a/b"])


def test_a_federation_can_be_written_and_read_again() -> None:
    federation = read(CREDIT)
    assert parse(to_toml(federation), directory=Path("/elsewhere")) == federation


@pytest.mark.parametrize("section", ["ledger", "saved"])
def test_a_folder_that_is_empty_on_purpose_stays_so(section: str) -> None:
    federation = read(PARTIES + f'[{section}]\ndirectory = ""\n')
    assert getattr(federation, section).directory == ""
    assert parse(to_toml(federation), directory=Path("/elsewhere")) == federation


def test_the_file_knows_the_protocols_and_devices_that_there_are() -> None:
    from jali.devices.mpc import MpcDevice
    from jali.devices.plain import PlainDevice
    from jali.mpc.registry import PROTOCOLS

    assert set(config.PROTOCOLS) == set(PROTOCOLS.names())
    assert set(config.DEVICE_KINDS) == {PlainDevice.kind, MpcDevice.kind}


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "federation-file.md"


def test_the_reference_page_has_every_key_with_its_default_and_meaning() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text("utf-8").splitlines()]
    described = {row[0].strip("`"): row[1:] for row in rows if len(row) == 4 and row[0].startswith("`")}
    assert tuple(described) == settings.all_keys()
    for key, (kind, default, meaning) in described.items():
        title = config.explain(key).splitlines()[0].replace("default ", "")
        assert title == f"{key} ({kind}; {default})"
        assert meaning == settings.meaning(key)


def test_the_reference_pages_example_is_a_federation() -> None:
    example = PAGE.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    federation = read(example)
    assert len(federation.parties) == 7
    assert federation.devices["aggregator"].dealer == "dealer"
    assert federation.network.connect_s == 120
