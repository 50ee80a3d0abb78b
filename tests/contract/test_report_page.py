"""Does the report stage leave a page that people can read, save and trust?

On synthetic benchmarks: outcomes from a seeded generator, not from a model.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rprm.benchmarks.early_stop import Savings
from rprm.errors import BadInput
from rprm.stages.bench import OUTCOMES
from rprm.stages.report import NUMBERS, Report

KS = (1, 3, 9)
VOID = {"meta", "input", "br", "hr", "link", "img"}
HOSTILE = '<script>alert("x")</script> & </style>'


@dataclass(kw_only=True)
class FakeArtifact:
    stage: str
    coordinates: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    data: pa.Table | None = None

    @property
    def address(self) -> str:
        point = "-".join(str(value) for value in self.coordinates.values())
        return f"{self.stage}-{point or '0'}"

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        assert self.data is not None
        return self.data.select(columns) if columns else self.data


@dataclass(kw_only=True)
class FakeStageIO:
    """Keeps in memory what a report stage leaves."""

    scratch: Path
    inputs: Mapping[str, Sequence[FakeArtifact]]
    stage: str = "report"
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tracked: dict[str, bool] = field(default_factory=dict)
    rows: pa.Table | None = None

    def artifacts(self, name: str) -> Sequence[FakeArtifact]:
        return self.inputs.get(name, [])

    def write(self, table: pa.Table) -> None:
        self.rows = table

    def publish(self, path: Path, name: str, *, track: bool = False) -> None:
        assert path.name == name
        self.tracked[name] = track

    def note(self, **facts: Any) -> None:
        self.facts |= facts

    def log(self, metrics: Mapping[str, float], **_: Any) -> None:
        self.metrics |= metrics

    def text(self, name: str) -> str:
        return (self.scratch / name).read_text(encoding="utf-8")


def outcome_rows(name: str, skill: float, problems: int = 60) -> list[dict[str, Any]]:
    draw = random.Random(name)
    rows = []
    for index in range(2 * problems):
        ease = random.Random(index).gauss(skill, 1.0) + draw.gauss(0, 0.2)
        for k in KS:
            rate = 1 / (1 + math.exp(-2 * (ease + 0.4 * math.log2(k))))
            rows.append(
                {
                    "solution_id": f"s{index}",
                    "problem_id": f"p{index // 2}",
                    "subset": "chain",
                    "erroneous": index % 2 == 0,
                    "k": k,
                    "match": rate,
                }
            )
    return rows


def example(kind: str, score: float | None, text: str) -> dict[str, Any]:
    verdict = None if score is None else ("yes" if score >= 0.5 else "no")
    return {
        "kind": kind,
        "case_id": "chain-1:1",
        "problem": HOSTILE,
        "steps": ["1 + 1 = 2", "2 + 2 = 5"],
        "step": 1,
        "label": -1 if kind == "false alarm" else 1,
        "score": score,
        "critiques": [
            {
                "text": text,
                "verdict": verdict,
                "p_yes": score,
                "cause": None if verdict else "no_marker",
            }
        ],
    }


def bench(
    system: str, skill: float, *, changed: int = 0, text: str = "units ok", **coordinates: Any
) -> FakeArtifact:
    savings = Savings(tokens=100, tokens_needed=55, labels_changed=changed)
    return FakeArtifact(
        stage=f"bench-{system}",
        coordinates=coordinates,
        data=pa.Table.from_pylist(outcome_rows(f"{system}{coordinates}", skill), schema=OUTCOMES),
        facts={
            "system": system,
            "benchmark": "small_world",
            "curve": [{"k": k} for k in KS],
            "critiques": 900,
            "unparsed": 9,
            "refused": 1,
            "early_stopping": {
                "tokens_saved": savings.saved,
                "labels_changed": savings.labels_changed,
                "critiques_per_step": 9,
            },
            "examples": [
                example("found error", 0.1, text),
                example("false alarm", 0.4, text),
                example("unparsed", None, text),
            ],
        },
    )


def campaign(seeds: Sequence[int | None]) -> dict[str, list[FakeArtifact]]:
    def at(seed: int | None, **coordinates: Any) -> dict[str, Any]:
        return coordinates if seed is None else {**coordinates, "seed": seed}

    benches, models, data = [], [], []
    for seed in seeds:
        for rows, skill in ((1000, -1.0), (4000, 0.5)):
            benches.append(bench("sft", skill, **at(seed, rows=rows)))
            facts = {"examples": rows, "tokens": rows * 90, "best_step": 60, "eval_loss": 0.1}
            models.append(FakeArtifact(stage="sft", coordinates=at(seed, rows=rows), facts=facts))
        benches += [bench("dpo", 0.8, **at(seed)), bench("direct", -2.0, **at(seed))]
        rules = {"cases": 700, "responses": 1400, "disagrees": 120, "kept": 640}
        facts = {"rules": rules, "train_rows": 600, "validation_rows": 40}
        data.append(FakeArtifact(stage="select", coordinates=at(seed), facts=facts))
    decision = {"promoted": True, "reason": "the registry had no champion"}
    promotions = [FakeArtifact(stage="promote", facts=decision)]
    return {"benches": benches, "models": models, "data": data, "promotions": promotions}


PARAMS: dict[str, Any] = {
    "title": f"Small {HOSTILE}",
    "text": "A **small** judge.",
    "systems": ["sft", "dpo", "direct"],
    "scaling": [{"system": "sft", "ks": [1, 9]}],
    "notes": ["Drills teach most of the skill."],
    "resamples": 100,
    "claims": [
        {
            "text": "More data helps",
            "better": {"system": "sft", "where": {"rows": 4000}, "k": 9},
            "worse": {"system": "sft", "where": {"rows": 1000}, "k": 9},
            "paper": "65.2 against 52.6",
        },
        {
            "text": "DPO helps",
            "better": {"system": "dpo", "k": 1},
            "worse": {"system": "sft", "where": {"rows": 4000}, "k": 1},
        },
        {
            "text": "A direct verdict is better",
            "better": {"system": "direct", "k": 9},
            "worse": {"system": "sft", "where": {"rows": 4000}, "k": 9},
        },
    ],
}


def report(
    folder: Path, inputs: Mapping[str, Sequence[FakeArtifact]], **params: Any
) -> FakeStageIO:
    folder.mkdir(exist_ok=True)
    io = FakeStageIO(scratch=folder, inputs=inputs)
    Report(Report.Params.model_validate({**PARAMS, **params})).run(io)  # type: ignore[arg-type]
    return io


@pytest.fixture(scope="module", params=[[None], [1, 2, 3]], ids=["one run", "three seeds"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FakeStageIO:
    return report(tmp_path_factory.mktemp("report"), campaign(request.param))


class Balance(HTMLParser):
    """Every tag that opens is closed in order; and where does the page point?"""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src", "xlink:href"):
                self.links.append(str(value))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()


def test_the_page_is_whole_and_needs_nothing_from_outside(left: FakeStageIO) -> None:
    html = left.text("report.html")
    found = Balance()
    found.feed(html)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert "script" not in found.tags
    assert "default-src 'none'" in html
    assert "url(http" not in html
    assert len(html.encode()) < 2_000_000


def test_text_of_people_is_escaped_everywhere(left: FakeStageIO) -> None:
    html = left.text("report.html")
    assert "<script>" not in html
    assert html.count("</style>") == html.count("<style")
    assert "&lt;script&gt;" in html


def test_claims_get_their_verdicts_and_are_noted_and_tracked(left: FakeStageIO) -> None:
    found = {one["claim"]: one["verdict"] for one in left.facts["claims"]}
    assert found["More data helps"] == "holds"
    assert found["A direct verdict is better"] == "fails"
    assert left.metrics["claims/fails"] == 1
    assert left.metrics["claims/1-more-data-helps/difference"] > 0
    json.dumps(left.facts, allow_nan=False)
    for verdict in ("holds", "fails"):
        assert f'class="claim {verdict}"' in left.text("report.html")
    assert left.tracked == {"report.html": True, "report.md": False}


def test_page_and_markdown_tell_the_same_numbers(left: FakeStageIO) -> None:
    html, markdown = left.text("report.html"), left.text("report.md")
    table = left.facts["table"]
    assert {row["k"] for row in table} == {1, 9}
    for row in table:
        value = f"{row['f1']['value']:.1f}"
        interval = f"[{row['f1']['low']:.1f}, {row['f1']['high']:.1f}]"
        assert f"{value} {interval}" in markdown
        assert f"{value}<small>{interval}</small>" in html


def test_every_number_is_in_the_flat_table(left: FakeStageIO) -> None:
    assert left.rows is not None
    assert left.rows.schema == NUMBERS
    assert left.rows.num_rows == 4 * len(KS) * 3  # judges x K x metrics
    first = left.rows.to_pylist()[0]
    assert (first["system"], first["point"], first["k"]) == ("sft", "rows=1000", 1)
    assert first["low"] <= first["value"] <= first["high"]


def test_every_section_is_there_and_its_plots_say_what_they_show(left: FakeStageIO) -> None:
    markdown = left.text("report.md")
    assert left.text("report.html").count("<svg") == 5
    for words in (
        "2 of 3 claims hold" if left.metrics["claims/holds"] == 2 else "1 of 3 claims hold",
        "from rows=1000 to rows=4000: at K=1 it rises from",
        "Against sft rows=4000 at K=1:",
        "Against direct at K=9: sft rows=4000 is above it.",
        "saved 45 % of the tokens, and changed no label",
        "verdict disagrees with the label",
        "**Promoted**",
        "the registry had no champion",
        "Drills teach most of the skill.",
    ):
        assert words in markdown
    assert "Left out" not in markdown


def test_seeds_are_shown_one_by_one_where_there_are_several(left: FakeStageIO) -> None:
    several = left.facts["claims"][0]["seeds"] > 1
    assert ("over seeds and problems" in left.text("report.md")) == several
    assert ("one training run" in left.text("report.html")) != several


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    first = report(tmp_path / "a", campaign([None]))
    second = report(tmp_path / "b", campaign([None]))
    for name in ("report.html", "report.md"):
        assert first.text(name) == second.text(name)


def test_a_changed_label_is_a_loud_warning(tmp_path: Path) -> None:
    io = report(tmp_path, {"benches": [bench("sft", 0.5, changed=2)]}, claims=[], scaling=[])
    assert "Early stopping changed 2 labels" in io.text("report.md")
    assert re.search(r'class="warning" role="alert"', io.text("report.html"))


def test_what_was_not_gathered_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    io = report(tmp_path, {"benches": [bench("sft", 0.5)]}, claims=[], scaling=[])
    markdown = io.text("report.md")
    for why in ("`data`", "`models`", "`promotions`", "`scaling`", "one kind of reasoning judge"):
        assert re.search(rf"> Left out: .*{why}", markdown)
    assert io.metrics == {}
    assert io.facts["claims"] == []


def test_long_critiques_do_not_make_a_large_page(tmp_path: Path) -> None:
    benches = [bench(f"judge-{n}", 0.5, text="words " * 20_000) for n in range(3)]
    for one in benches:
        one.facts["examples"] *= 30  # type: ignore[index]
    io = report(tmp_path, {"benches": benches}, claims=[], scaling=[], resamples=20)
    assert 900_000 < len(io.text("report.html").encode()) < 2_000_000


def test_a_report_without_benchmarks_says_what_to_gather(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"inputs\.benches"):
        report(tmp_path, {})
