# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the demonstration gives one row an epoch, a stage and a run, with exact rounds and bytes."""

from __future__ import annotations

import pytest

from jali.cli.demo.bench import rows


@pytest.mark.slow
def test_rows_of_the_benchmark() -> None:
    found = {str(row["case"]): row for row in rows()}
    stages = [f"stage {name}" for name in ("load", "align", "prepare", "train", "evaluate")]
    epoch, *others = found
    assert epoch == "logistic regression epoch, 10,000 x 100, batch 1024"
    assert others == [*stages, "whole run"]
    assert int(str(found[epoch]["rounds"])) <= 120
    assert found["whole run"]["bytes"] == sum(int(str(found[stage]["bytes"])) for stage in stages)
    assert all(float(str(row["seconds"])) > 0 for row in found.values())
