"""What do the files of a run hold, and how were they read there?  Rows in, solutions out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rprm.data.parquet import ParquetData
from rprm.errors import BadInput
from rprm.scoring import THRESHOLD, Aggregate
from rprm.sealed import Sealed
from rprm.show.assembling import assemble, assemble_scores
from rprm.show.judge_lines import open_lines
from rprm.show.parquet import (
    Kind,
    engines_of,
    judged_rows,
    kind_of,
    read_subjects,
    score_rows,
)
from rprm.show.runs import Chosen, choices, judgements_of
from rprm.show.shown import Reading, Said, Subject

SOLUTION_INPUTS = ("solutions", "solved", "items")
"""Inputs of judges and benchmarks that hold what was judged."""

Opened = Iterator[tuple[Subject, Said]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Judgements to show, and what is known of them."""

    name: str
    """As the page's title and its folder call it."""
    reading: Reading
    """As its benchmark read them; a person may ask for another."""
    facts: tuple[tuple[str, str], ...]
    open: Callable[[Reading], Opened]


def open_source(run: Path | Chosen) -> Source:
    if isinstance(run, Chosen):
        return _of_artifact(run)
    if run.is_file() and run.suffix != ".parquet":
        return _of_lines(run)
    return _of_files(run)


def _of_artifact(run: Chosen) -> Source:
    judged = judgements_of(run)
    data = run.store.rows_of(judged)
    by_kind = _sorted_by_kind(data)
    if not (by_kind[Kind.JUDGED] or by_kind[Kind.SCORES]):
        raise BadInput(f"{judged.address} holds no judgements.", fix=choices(run.store.url))
    by_kind[Kind.SOLUTIONS] = _solutions_beside(run, judged)
    refusals = run.store.refusals_of(judged)
    params = {**judged.params, **run.artifact.params}
    facts = {
        "benchmark": str(run.artifact.params.get("benchmark", "")),
        "system": str(run.artifact.params.get("system", "")),
        "judge": _judge(judged),
        "template": str(params.get("template", "")),
        "artifact": judged.address,
    }
    return Source(
        name=run.artifact.node,
        reading=_reading(run.artifact, judged),
        facts=tuple((name, value) for name, value in facts.items() if value),
        open=partial(_rows, by_kind, refusals),
    )


def _judge(judged: Sealed) -> str:
    """The model's artifact; of a peer or a critic, its name."""
    named = (judged.params.get(key) for key in ("peer", "critic", "teacher", "model"))
    return ", ".join(judged.inputs.get("model", ())) or next((str(one) for one in named if one), "")


def _reading(benchmark: Sealed, judged: Sealed) -> Reading:
    """As the benchmark read the scores; of scores alone, by the rule their authors published."""
    params = benchmark.params
    known = (benchmark.facts.get("threshold"), params.get("threshold"))
    threshold = next((one for one in known if isinstance(one, int | float)), None)
    if threshold is None:
        threshold = _published(judged.facts.get("peer"))
    asked = params.get("ks")
    return Reading(
        threshold=float(threshold),
        aggregate=Aggregate(params.get("aggregate", Aggregate.SOFT)),
        num_critiques=max(asked) if asked else None,
    )


def _published(peer: object) -> float:
    if peer is None:
        return THRESHOLD
    from rprm.stages.bench_scores import published_rule

    rule = published_rule(peer)
    return THRESHOLD if isinstance(rule, str) else rule


def _solutions_beside(run: Chosen, judged: Sealed) -> list[ParquetData]:
    """What was judged, where the store still has it; of a prefix only if nothing else is there."""
    for artifact in (judged, run.artifact):
        for name in SOLUTION_INPUTS:
            for address in artifact.inputs.get(name, ()):
                sealed = run.store.sealed(address)
                if sealed is not None:
                    data = run.store.rows_of(sealed)
                    return [one for one in data if kind_of(one) is Kind.SOLUTIONS]
    return []


def _of_files(path: Path) -> Source:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    files = [file for file in files if not file.name.endswith(".errors.parquet")]
    by_kind = _sorted_by_kind(
        [ParquetData(name=str(file), open=partial(Path, file)) for file in files]
    )
    if not (by_kind[Kind.JUDGED] or by_kind[Kind.SCORES]):
        raise BadInput(
            f"{path} holds no judgements: {len(files)} Parquet file(s), none of judged steps or "
            "of step scores.",
            fix="give what a `sample` or `peer` stage wrote, or a file of `rprm judge --json`",
        )
    judge = ", ".join(engines_of([*by_kind[Kind.JUDGED], *by_kind[Kind.SCORES]])) or "unknown"
    return Source(
        name=path.resolve().stem,
        reading=Reading(),
        facts=(("judge", judge), ("file", path.resolve().name)),
        open=partial(_rows, by_kind, {}),
    )


def _of_lines(path: Path) -> Source:
    first, rows = open_lines(path)
    return Source(name=path.stem, reading=first.reading, facts=first.facts, open=rows)


def _sorted_by_kind(data: Sequence[ParquetData]) -> dict[Kind, list[ParquetData]]:
    found: dict[Kind, list[ParquetData]] = {kind: [] for kind in Kind}
    for one in data:
        found[kind_of(one)].append(one)
    return found


def _rows(
    by_kind: dict[Kind, list[ParquetData]], refusals: dict[str, str], reading: Reading
) -> Opened:
    subjects = read_subjects(by_kind[Kind.SOLUTIONS])
    if by_kind[Kind.JUDGED]:
        rows = judged_rows(by_kind[Kind.JUDGED], with_previous=not subjects)
        return assemble(rows, subjects, reading, refusals)
    return assemble_scores(score_rows(by_kind[Kind.SCORES]), subjects, refusals)
