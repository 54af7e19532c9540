# SPDX-License-Identifier: Apache-2.0
"""What somebody on the network sees of the demonstration: TLS records, and no byte of an id, a feature or a label."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from jali.cli.demo.parties import PARTIES, set_up
from tests.e2e.parties import Parties
from tests.e2e.tap import tapped

if TYPE_CHECKING:
    from pathlib import Path

HANDSHAKE, APPLICATION_DATA = 0x16, 0x17


def test_no_id_feature_or_label_crosses_the_wire_in_clear(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    federation = set_up(directory)
    files, taps = tapped(federation, PARTIES)
    job = (directory / "job.py").absolute()
    ended = Parties(files, dict.fromkeys(PARTIES, job), directory={name: directory / name for name in PARTIES}).ended()
    for tap in taps:
        tap.close()
    assert all(end.status == 0 for end in ended.values()), ended
    captured = b"".join(bytes(tap.captured) for tap in taps)
    assert len(captured) > 5_000_000
    for name in ("bank", "bureau"):
        with (directory / name / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for column in rows[0]:
            values = {row[column] for row in rows}
            for text in values:
                if len(text) >= 5:
                    assert text.encode() not in captured, f"a value of {column} is on the wire"
            if all(text.isdigit() for text in values):
                for dtype in (np.float64, np.int64):
                    numbers = np.array([float(row[column]) for row in rows], dtype)
                    assert numbers[:4].tobytes() not in captured, f"{column} is on the wire as {dtype.__name__}"
    for word in (b"creditability", b"national_id", b"prepare_bank", b"jali"):
        assert word not in captured


def test_the_tap_would_have_seen_clear_text(tmp_path: Path) -> None:
    """The test above can fail: what is sent in clear through a tap is found."""
    import socket

    from tests.e2e.tap import Tap

    with socket.create_server(("127.0.0.1", 0)) as server:
        tap = Tap(server.getsockname()[:2])
        with socket.create_connection(("127.0.0.1", tap.port)) as client:
            client.sendall(b"ID-4821-7735-0936")
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(10)
                assert accepted.recv(64) == b"ID-4821-7735-0936"
        tap.close()
    assert b"ID-4821-7735-0936" in tap.captured
