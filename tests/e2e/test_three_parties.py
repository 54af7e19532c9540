# SPDX-License-Identifier: Apache-2.0
"""Three processes over TLS, each with data and results of its own, under every protocol of three data parties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.parties import Parties, federation_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PARTIES = ("alice", "bob", "carol")
PROGRAM = """
import numpy as np
import jali

def load(scale):
    return np.arange(6.0) * scale

def largest(x, y, z):
    import jax.numpy as jnp

    return jnp.maximum(jnp.maximum(x, y), z).sum(), (x * y * z).sum()

with jali.connect() as fed:
    mpc = fed.device("three")
    data = [fed.plain(party)(load)(k) for k, party in enumerate(("alice", "bob", "carol"), 1)]
    result = mpc(largest, returns=2)(*data)
    for party in ("alice", "bob", "carol"):
        print("to", party, jali.reveal(result[0], to=party), jali.reveal(result[1], to=party), flush=True)
    report = fed.report()
    [row] = [row for row in report.rows if row.text == "largest"]
    print("dealt", row.dealt_bytes, row.dealing_s is not None, flush=True)
"""


@pytest.mark.parametrize("protocol", ["m3k", "rep3"])
def test_each_has_data_and_gets_results(tmp_path: Path, protocol: str) -> None:
    file = federation_file(tmp_path, PARTIES)
    device = f'\n[devices.three]\nkind = "mpc"\nparties = ["alice", "bob", "carol"]\nprotocol = "{protocol}"\n'
    file.write_text(file.read_text() + device)
    job = tmp_path / "job.py"
    job.write_text(PROGRAM)
    everybody = (*PARTIES, "dealer")
    ended = Parties(file, dict.fromkeys(everybody, job), directory=tmp_path).ended()
    for party in everybody:
        assert ended[party].status == 0, ended
        shown = [line.split() for line in ended[party].output.splitlines() if line.startswith("to")]
        for _, target, *numbers in shown:
            if target == party:
                assert [float(number) for number in numbers] == pytest.approx([45.0, 1350.0], abs=0.05)
            else:
                assert numbers[0].startswith("<revealed")
        assert len(shown) == 3
        if party != "dealer":
            [(_, size, told)] = [line.split() for line in ended[party].output.splitlines() if line.startswith("dealt")]
            assert told == str(protocol == "m3k"), "whoever dealt says how long it took"
            assert (size != "None" and int(size) > 0) == (protocol == "m3k")
