"""How was it made?  The sections on data, training, promotion and provenance."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rprm.reporting.document import Block, Cell, Grid, Paragraph, Section, absent
from rprm.reporting.findings import Findings, Source

RULES: Mapping[str, str] = {
    "cases": "cases",
    "responses": "responses",
    "no_verdict": "less: no verdict in the text",
    "ambiguous": "less: more than one verdict",
    "disagrees": "less: verdict disagrees with the label",
    "trailing_text": "less: text after the verdict",
    "accepted": "accepted",
    "superseded": "less: another accepted response of the case is kept",
    "kept": "kept",
    "cases_without": "cases left with none",
    "chosen": "right responses (chosen)",
    "rejected": "wrong responses (rejected)",
    "cases_all_right": "cases with no wrong response",
    "cases_all_wrong": "cases with no right response",
    "cases_without_verdict": "cases without any verdict",
    "cases_too_hard": "cases with too few right responses",
    "cases_paired": "cases that gave pairs",
    "pairs_over_cap": "less: pairs over the cap of a case",
    "pairs": "pairs",
}
"""What each rule counts, in the words of the table, in its order."""

LIBRARIES = ("rprm", "numpy", "pyarrow", "torch", "transformers", "trl", "matplotlib")

AROUND = {"after_balance": "rows after balancing", "validation_rows": "validation rows"}


def data(findings: Findings) -> Section:
    blocks: list[Block] = [*_rule_tables(findings.of("data")), _parsed(findings)]
    if not findings.of("data"):
        blocks.insert(0, absent("no `select` or `pairs` artifacts were gathered as `data`"))
    models = findings.of("models")
    blocks.append(
        _training(models) if models else absent("no training artifacts were gathered as `models`")
    )
    return Section(title="Data and training", anchor="data", blocks=blocks)


def _rule_tables(sources: Sequence[Source]) -> list[Grid]:
    """A table per stage; artifacts with the same counts (cut to other sizes) share a column."""
    by_stage: dict[str, dict[str, list[Source]]] = {}
    for source in sources:
        if "rules" in source.facts:
            counts = {name: source.facts.get(name) for name in ("rules", *AROUND)}
            same = json.dumps(counts, sort_keys=True)
            by_stage.setdefault(source.stage, {}).setdefault(same, []).append(source)
    return [_rules(stage, list(columns.values())) for stage, columns in by_stage.items()]


def _rules(stage: str, columns: Sequence[Sequence[Source]]) -> Grid:
    facts = [members[0].facts for members in columns]
    known = {name for one in facts for name in one["rules"]}
    ordered = [name for name in RULES if name in known] + sorted(known - RULES.keys())
    rows: list[list[Cell]] = [
        [RULES.get(name, _spoken(name)), *(_count(one["rules"].get(name)) for one in facts)]
        for name in ordered
    ]
    for name, words in AROUND.items():
        rows.append([words, *(_count(one.get(name)) for one in facts)])
    sizes = [
        ", ".join(dict.fromkeys(_count(one.facts.get("train_rows")) for one in members))
        for members in columns
    ]
    rows.append(["training rows", *sizes])
    header = [stage, *(_shared_point(members) for members in columns)]
    return Grid(caption=f"What each rule of {stage} took.", header=header, rows=rows)


def _shared_point(members: Sequence[Source]) -> str:
    """The coordinates on which all members agree, then the ranges of the others."""
    axes = dict.fromkeys(axis for one in members for axis in one.coordinates)
    parts = []
    for axis in axes:
        values = list(dict.fromkeys(str(one.coordinates.get(axis)) for one in members))
        parts.append(f"{axis}={'/'.join(values)}")
    return " ".join(parts) or "count"


def _parsed(findings: Findings) -> Grid:
    rows: list[list[Cell]] = []
    for system in findings.systems:
        facts = [run.facts for run in system.runs]
        critiques = sum(int(one.get("critiques", 0)) for one in facts)
        unparsed = sum(int(one.get("unparsed", 0)) for one in facts)
        share = f"{100 * unparsed / critiques:.2f} %" if critiques else "—"
        refused = sum(int(one.get("refused", 0)) for one in facts)
        rows.append([system.label, _count(critiques), _count(unparsed), share, _count(refused)])
    return Grid(
        caption="Critiques on the benchmark.  An unparsed one has no verdict in the asked form and "
        "no weight in the score; a refused row could not be judged at all.",
        header=["judge", "critiques", "unparsed", "share", "refused rows"],
        rows=rows,
    )


def _training(models: Sequence[Source]) -> Grid:
    rows: list[list[Cell]] = []
    for one in models:
        facts = one.facts
        size = facts.get("examples", facts.get("pairs"))
        chosen = f"{facts['axis']}={facts['chosen']}" if "chosen" in facts else "—"
        loss = facts.get("eval_loss")
        rows.append(
            [
                one.label,
                f"{_count(size)} {'pairs' if 'pairs' in facts else 'examples'}",
                _count(facts.get("tokens")),
                _count(facts.get("best_step")),
                "—" if loss is None else f"{float(loss):.4f}",
                chosen,
            ]
        )
    return Grid(
        caption="Training.  The checkpoint of the lowest validation loss is the one measured.",
        header=["model", "trained on", "tokens", "best step", "validation loss", "chosen on dev"],
        rows=rows,
    )


def promotions(findings: Findings) -> Section:
    found = findings.of("promotions")
    blocks: list[Block] = [
        Paragraph(
            text=f"**{'Promoted' if one.facts.get('promoted') else 'Not promoted'}** "
            f"(`{one.label}`): {one.facts.get('reason', '')}."
        )
        for one in found
    ]
    if not found:
        blocks = [absent("no `promote` artifacts were gathered as `promotions`")]
    return Section(title="The champion", anchor="champion", blocks=blocks)


def provenance(findings: Findings) -> Section:
    rows: list[list[Cell]] = [
        [one.label, one.role, one.address, one.params_hash] for one in findings.sources
    ]
    made = Paragraph(
        text="Intervals are 95 %: percentile bootstrap of whole problems "
        f"({findings.resamples} resamples) for one seed; with several seeds the variance over "
        "seeds is added, with a t quantile.  Differences are paired by problem and by seed."
    )
    versions = Paragraph(text=f"Python {platform.python_version()}; {'; '.join(_versions())}.")
    grid = Grid(
        caption="Every artifact of this page.  The address is a hash of the stage, its params and "
        "its inputs.",
        header=["artifact", "role", "address", "params hash"],
        rows=rows,
    )
    return Section(title="How it was made", anchor="provenance", blocks=[made, versions, grid])


def _versions() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _count(value: Any) -> str:
    return "—" if value is None else f"{int(value):,}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")
