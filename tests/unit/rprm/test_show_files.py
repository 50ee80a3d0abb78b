"""Do the files of the page hold what makes it safe and whole?  Read as text, without a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from rprm.show.shown import Category
from rprm.show.writing import MARK, PAGE

TEXTS = {name: (files("rprm.show") / "page" / name).read_text(encoding="utf-8") for name in PAGE}
SCRIPTS = [name for name in PAGE if name.endswith(".js")]

MAKES_CODE = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|parseFromString|"
    r"createContextualFragment|\beval\b|new Function|javascript:|setAttribute\(\"on"
)
"""Ways for text to become markup or code."""


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.sources += [str(given[name]) for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def elements() -> Elements:
    found = Elements()
    found.feed(TEXTS["index.html"])
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_can_make_code_of_text(name: str) -> None:
    assert not re.findall(MAKES_CODE, TEXTS[name])


@pytest.mark.parametrize("name", PAGE)
def test_nothing_comes_from_outside_the_folder(name: str) -> None:
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", TEXTS[name])


def test_the_policy_forbids_all_but_the_folders_own_scripts_and_styles() -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', TEXTS["index.html"])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self' file:",
        "style-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "rprm-chunks",
    }
    assert elements().inline == []


def test_the_page_names_the_files_it_comes_with() -> None:
    named = [one for one in elements().sources if not one.startswith("#")]
    assert sorted(named) == sorted([*PAGE[1:], "data/index.js"])
    assert MARK in TEXTS["index.html"]


def test_every_element_that_scripts_ask_for_is_there_once() -> None:
    ids = elements().ids
    assert len(ids) == len(set(ids))
    asked = {
        name
        for script in SCRIPTS
        for name in re.findall(r'(?:byId|getElementById)\("([^"]+)"\)', TEXTS[script])
    }
    assert asked - {"category--1"} <= set(ids)  # that one is made by the script itself


def test_every_category_has_its_words() -> None:
    words = TEXTS["store.js"]
    assert not [one for one in Category if not re.search(rf'^    "?{one}"?: \[', words, re.M)]
