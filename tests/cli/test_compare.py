# SPDX-License-Identifier: Apache-2.0
"""The comparison with peers: only what both have timed, and honest ratios."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from jali.cli.app import application
from jali.cli.compare import peer_rows, table

if TYPE_CHECKING:
    from pathlib import Path

OURS = [
    {
        "suite": "mpc",
        "case": case,
        "protocol": "m2k",
        "n": 1000,
        "seconds": 0.1,
        "offline_seconds": 0.4,
        "bytes": 16_000,
        "rounds": 1,
    }
    for case in ("mul", "less")
]


def test_rows_are_the_json_lines_of_a_command(tmp_path: Path) -> None:
    script = tmp_path / "peer.py"
    script.write_text(
        'print("noise")\n'
        'print(\'{"op": "mul", "seconds": 0.9, "rounds": 7}\')\n'
        'print(\'{"op": "mul", "seconds": 0.5, "rounds": null}\')\n'
    )
    assert peer_rows([sys.executable, str(script)]) == {"mul": {"op": "mul", "seconds": 0.5, "rounds": 7}}


def test_a_peer_runs_in_its_own_environment(tmp_path: Path) -> None:
    """Which its interpreter knows by the path it was started from."""
    own = tmp_path / "bin" / "python"
    own.parent.mkdir()
    own.symlink_to(sys.executable)
    script = tmp_path / "peer.py"
    script.write_text("""import json, sys\nprint(json.dumps({"op": "mul", "seconds": 1, "label": sys.executable}))""")
    assert peer_rows([str(own), str(script)])["mul"]["label"] == str(own)


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "print('nothing')"])
def test_a_peer_that_fails_is_named(tmp_path: Path, code: str) -> None:
    script = tmp_path / "peer.py"
    script.write_text(code)
    with pytest.raises(click.UsageError, match=r"peer\.py"):
        peer_rows([sys.executable, str(script)])


def test_ratios_show_the_online_part_and_all_of_it() -> None:
    header, first, second = table(OURS, {"SPU": {"mul": {"seconds": 1.0, "rounds": 2}}})
    assert dict(zip(header[:7], first[:7], strict=True)) == {
        "case": "mul",
        "protocol": "m2k",
        "n": "1,000",
        "online s": "0.1000",
        "offline s": "0.4000",
        "rounds": "1",
        "bytes": "16,000",
    }
    assert first[7:] == ("1.0000", "2", "10.0 (2.0)")
    assert second[7:] == ("-", "-", "-")


def test_intersections_are_compared_at_the_same_size() -> None:
    ours = [
        {"suite": "psi", "case": "vole", "protocol": "vole", "n": n, "seconds": 2.0, "bytes": 29, "rounds": 3}
        for n in (1000, 2000)
    ]
    peers = {"SPU": {"RR22": {"n": 2000, "seconds": 4.0}}}
    _, first, second = table([*ours, {"suite": "psi", "case": "limit: copy", "seconds": 1.0}], peers)
    assert first[7:] == ("-", "-", "-")
    assert second[7:] == ("4.0000", "-", "2.0 (2.0)")


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--compare", "python"], "expected LABEL=COMMAND"), (["--case", "mull"], "'mull' is none of mul, matmul")],
)
def test_wrong_options_are_refused_before_anything_runs(options: list[str], words: str) -> None:
    result = CliRunner().invoke(application, ["bench", "mpc", *options])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
