"""Do dashboards ask questions, with metrics that exist, and does their page name them all?"""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from jobs.runtime.metrics import ALL, LABELS
from rprm.engines import client_metrics

ROOM = Path(__file__).parents[2] / "dashboards"
FILES = sorted(ROOM.glob("*.json"))
COUNTERS = {metric.name for metric in ALL if metric.counts}


def declared() -> dict[str, set[str]]:
    """Names as they are written to Prometheus, with their labels."""
    found = {name + "_total" * (name in COUNTERS): set(names) for name, names in LABELS.items()}
    for metric in client_metrics.ALL:
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        for end in ends.get(metric._type, [""]):
            found[metric._name + end] = {*metric._labelnames, *(["le"] if end == "_bucket" else [])}
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return found


def expressions(path: Path) -> list[str]:
    """Of the panels, and of the variables that they use."""
    variables = json.loads(path.read_text())["templating"]["list"]
    asked = [one["query"] for one in variables if one["type"] == "query"]
    return asked + [target["expr"] for panel in panels(path) for target in panel["targets"]]


def labels_in(expression: str) -> set[str]:
    found = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    for names in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        found |= {name.strip() for name in names.split(",")}
    return found


def test_there_is_a_dashboard() -> None:
    assert ROOM / "judge_fleets.json" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dashboard_uses_only_metrics_and_labels_that_are_declared(path: Path) -> None:
    known = declared()
    for expression in expressions(path):
        used = set(re.findall(r"\brprm_\w+", expression))
        assert used, expression
        assert used <= known.keys(), expression
        assert labels_in(expression) <= set().union(*(known[name] for name in used)), expression


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_legends_name_labels_that_their_expression_leaves(path: Path) -> None:
    known = declared()
    for target in (target for panel in panels(path) for target in panel["targets"]):
        by = re.search(r"\bby \(([^)]*)\)", target["expr"])
        name = re.findall(r"\brprm_\w+", target["expr"])[0]
        left = {one.strip() for one in by.group(1).split(",")} if by else known[name]
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= left, target


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_panel_asks_one_question_and_stands_alone(path: Path) -> None:
    titles = [panel["title"] for panel in panels(path)]
    assert all(title.endswith("?") for title in titles)
    assert len(set(titles)) == len(titles)
    places = [panel["gridPos"] for panel in panels(path)]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


def test_the_page_of_the_dashboards_names_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", (ROOM / "README.md").read_text(), re.M)
    written = {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
    shown = {
        re.sub("_(bucket|sum|count)$", "", name): labels - {"le"}
        for name, labels in declared().items()
    }
    assert written == shown
