# SPDX-License-Identifier: Apache-2.0
"""Settings of the documentation's builder (Sphinx with MyST); `make docs` runs it with every warning an error."""

from __future__ import annotations

import tomllib
from pathlib import Path

__all__: list[str] = []

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]

project = "jali"
author = "the jali authors"
release = _PROJECT["version"]
project_copyright = "the jali authors, Apache-2.0"

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "jali"
html_show_sphinx = False
myst_heading_anchors = 3
