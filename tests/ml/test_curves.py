# SPDX-License-Identifier: Apache-2.0
"""The pictures are well-formed XML, accessible, self-contained, and draw the points they were given."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from jali.core.errors import ModelParameterError
from jali.ml import Curve, curve, ks_svg, roc_svg, threshold_grid
from jali.ml.metrics import RocCounts

SVG = "{http://www.w3.org/2000/svg}"


def example() -> Curve:
    return curve(RocCounts(np.array([4, 3, 1]), np.array([8, 4, 1]), 4), threshold_grid(3), rows=10)


@pytest.mark.parametrize("text", [roc_svg({'<joint> & "more"': example(), "pooled": example()}), ks_svg(example())])
def test_picture_is_well_formed_and_named(text: str) -> None:
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    assert "prefers-color-scheme" in text
    assert not re.search(r"(href|src|url\()", text)
    assert re.findall(r"https?://\S+", text) == ['http://www.w3.org/2000/svg"']


def test_roc_draws_every_point() -> None:
    root = ET.fromstring(roc_svg({"a": example()}))  # noqa: S314 - our own text
    paths = [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == "line"]
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", paths[0])
    assert len(points) == 5
    assert points[0] == ("366.0", "16.0")
    assert points[-1] == ("56.0", "326.0")


def test_ks_names_distance_and_threshold() -> None:
    distance, threshold = example().ks
    assert f"KS {distance:.3f} at {threshold:.2f}" in ks_svg(example())


def test_too_many_curves_are_an_error() -> None:
    with pytest.raises(ModelParameterError, match="1 to 3 curves, found 4"):
        roc_svg(dict.fromkeys("abcd", example()))
