# SPDX-License-Identifier: Apache-2.0
"""Three processes over TLS line their tables up on the keys that all of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.parties import Parties, federation_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PARTIES = ("alice", "bob", "carol")
PROGRAM = """
import jali

def table(step):
    ids = list(range(0, 3000, step)) * 2
    return jali.Table({"id": [f"id-{i}" for i in ids], "value": [float(i * step) for i in ids]})

with jali.connect() as fed:
    handles = jali.align_all(
        [fed.plain(party)(table)(step) for party, step in zip(("alice", "bob", "carol"), (2, 3, 5))],
        on="id", protocol="PROTOCOL",
    )
    for handle, party, step in zip(handles, ("alice", "bob", "carol"), (2, 3, 5)):
        found = jali.reveal(handle, to=party)
        if isinstance(found, jali.Table):
            ids = [int(text[3:]) for text in found["id"].tolist()]
            print("rows", len(ids), sum(ids), found["value"].tolist() == [float(i * step) for i in ids], flush=True)
            print("order", ids[:24], flush=True)
"""


@pytest.mark.parametrize("protocol", ["ecdh", "vole"])
def test_all_get_the_same_rows_in_the_same_order(tmp_path: Path, protocol: str) -> None:
    job = tmp_path / "job.py"
    job.write_text(PROGRAM.replace("PROTOCOL", protocol))
    parties = Parties(federation_file(tmp_path, PARTIES), dict.fromkeys((*PARTIES, "dealer"), job), directory=tmp_path)
    ended = parties.ended()
    assert [ended[party].status for party in PARTIES] == [0, 0, 0], ended
    lines = [[x for x in ended[party].output.splitlines() if x.startswith(("rows", "order"))] for party in PARTIES]
    assert lines[0] == lines[1] == lines[2]
    common = range(0, 3000, 30)  # in two rows at each party, so in eight of the result
    assert lines[0][0] == f"rows {8 * len(common)} {8 * sum(common)} True"
