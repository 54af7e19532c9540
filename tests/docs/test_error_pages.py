# SPDX-License-Identifier: Apache-2.0
"""Every error class has a page with the right title and sections, and every page has a class."""

from __future__ import annotations

import re

import pytest

from jali.core import errors
from jali.core.errors import JaliError
from tests.docs.pages import DOCS

FOLDER = DOCS / "reference" / "errors"
SECTIONS = ["What happened", "Why", "What to do"]


def tree(root: type[JaliError]) -> list[type[JaliError]]:
    """The class and all below it, as jali.core.errors defines them."""
    below = [cls for child in root.__subclasses__() for cls in tree(child)]
    return [root, *below]


CLASSES = [cls for cls in tree(JaliError) if cls.__module__.startswith(f"{errors.__name__}.")]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.code)
def test_an_error_has_a_page(cls: type[JaliError]) -> None:
    page = (FOLDER / f"{cls.code}.md").read_text("utf-8")
    assert page.splitlines()[0] == f"# {cls.code} {cls.__name__}"
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    for section in re.split(r"^## .+$", page, flags=re.MULTILINE)[1:]:
        assert len(section.split()) >= 5, "say it in a sentence"


def test_codes_are_unique_and_in_the_range_of_their_family() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(set(codes)) == len(codes)
    for cls in CLASSES:
        family = (
            next(base for base in reversed(cls.__mro__) if issubclass(base, JaliError) and base is not JaliError)
            if cls is not JaliError
            else JaliError
        )
        assert cls.code[:2] == family.code[:2], f"{cls.__name__} is a {family.__name__}"
        assert cls.exit_status == family.exit_status


def test_every_page_has_a_class() -> None:
    pages = {path.stem for path in FOLDER.glob("J*.md")}
    assert pages <= {cls.code for cls in CLASSES}


def test_classes_are_public_and_documented() -> None:
    assert {cls.__name__ for cls in CLASSES} <= set(errors.__all__)
    assert all(cls.__doc__ for cls in CLASSES)


def test_errors_live_in_one_place() -> None:
    elsewhere = [cls for cls in tree(JaliError) if cls.__module__.startswith("jali.") and cls not in CLASSES]
    assert not elsewhere, "move them to jali.core.errors"
