# SPDX-License-Identifier: Apache-2.0
"""Every example runs, in one process and as one process a party, and gives what the same computation gives in clear."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TOML = EXAMPLES / "federated_learning.toml"

# Lines of the programs on the slides that inspired two of the examples, with their device configuration.
SLIDE_LINES = {"hello_world": 12, "mpc_training": 25, "federated_learning": 24}

MODES = {
    "simulated": {
        "alice": ["--parties", "alice,bob", "--simulate"],
        "client": ["--federation", str(TOML), "--simulate"],
    },
    "processes": {
        "alice": ["--parties", "alice,bob"],
        "client": ["--parties", "all", "--federation", str(TOML)],
    },
}


def run(name: str, mode: str, *, parties: str = "alice") -> str:
    command = [sys.executable, "-m", "jali", "run", str(EXAMPLES / f"{name}.py"), *MODES[mode][parties]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d*(?:e-?\d+)?", text)]


def table(name: str) -> np.ndarray:
    return np.loadtxt(EXAMPLES / "data" / name, delimiter=",")


@pytest.mark.parametrize("mode", MODES)
def test_hello_world(mode: str) -> None:
    found = numbers(run("hello_world", mode))
    assert found == pytest.approx([np.mean([3100, 2900, 4050, 3600, 2750])] * len(found), abs=0.01)
    assert len(found) == (1 if mode == "simulated" else 2)


@pytest.mark.parametrize("mode", MODES)
def test_millionaires(mode: str) -> None:
    assert re.findall(r"alice is richer: (\w+)", run("millionaires", mode))[:2] == ["False"] * (
        1 + (mode != "simulated")
    )


@pytest.mark.parametrize("mode", MODES)
def test_mpc_training(mode: str) -> None:
    x, y = np.hstack([table("x1.csv"), table("x2.csv")]), table("y.csv")
    w = np.zeros(x.shape[1])
    for _ in range(30):
        w -= x.T @ (1 / (1 + np.exp(-x @ w)) - y) / len(y)
    text = run("mpc_training", mode)
    assert numbers(text) == pytest.approx(w, abs=0.02)
    if mode == "processes":
        assert "revealed to alice only" in text


@pytest.mark.parametrize("mode", MODES)
def test_federated_learning(mode: str) -> None:
    clients = [table(f"client{i}.csv") for i in range(3)]
    w = np.zeros(3)
    for _ in range(10):
        w = np.mean([w + 0.3 * c[:, :3].T @ (c[:, 3] - c[:, :3] @ w) / len(c) for c in clients], axis=0)
    found = numbers(run("federated_learning", mode, parties="client"))
    assert len(found) == 9
    assert np.reshape(found, (3, 3)) == pytest.approx(np.tile(w, (3, 1)), abs=0.01)


@pytest.mark.parametrize("name", SLIDE_LINES)
def test_no_more_lines_than_the_slides(name: str) -> None:
    files = [EXAMPLES / f"{name}.py", EXAMPLES / f"{name}.toml"]
    text = "\n".join(re.sub(r'""".*?"""', "", file.read_text(), flags=re.DOTALL) for file in files if file.exists())
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert 5 < len(lines) <= SLIDE_LINES[name]


def test_the_aggregator_stands_in_the_federation_file_only() -> None:
    program = (EXAMPLES / "federated_learning.py").read_text()
    code = re.sub(r'""".*?"""', "", program, count=1, flags=re.DOTALL)
    assert not re.search(r"mpc|server|m2k", code, re.IGNORECASE)
    assert 'kind = "mpc"' in TOML.read_text()
