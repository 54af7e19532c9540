# SPDX-License-Identifier: Apache-2.0
"""The comparison with peers: only what both have timed, and honest ratios."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.side_by_side import rows, table

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_are_the_json_lines_of_a_command(tmp_path: Path) -> None:
    script = 'print(\'noise\'); print(\'{"op": "mul", "seconds": 0.5}\')'
    assert rows([sys.executable, "-c", script], cwd=tmp_path) == [{"op": "mul", "seconds": 0.5}]


def test_ratios_show_the_online_part_and_all_of_it() -> None:
    ours = [
        {"suite": "mpc", "case": "mul", "protocol": "m2k", "seconds": 0.1, "offline_seconds": 0.4},
        {"suite": "mpc", "case": "sort", "protocol": "m2k", "seconds": 0.1, "offline_seconds": 0.4},
    ]
    header, row = table(ours, {"mul": {"seconds": 1.0}, "sort": {"seconds": 1.0}})
    assert dict(zip(header, row, strict=True)) == {
        "operation": "mul",
        "protocol": "m2k",
        "ours online s": "0.100",
        "ours offline s": "0.400",
        "peer s": "1.000",
        "peer / ours online": "10.0",
        "peer / ours all": "2.0",
    }
