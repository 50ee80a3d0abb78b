"""How does a map stage critique the solutions it is given, batch by batch?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rprm.data.tables import cases_of, table_to_solutions
from rprm.engines.base import Engine, Refused
from rprm.judge import judge
from rprm.prompting import Renderer, load_template
from rprm.schema import Case, Solution, Unparsed
from rprm.stages.given import Given, make_engine_of
from rprm.stages.io import StageIO
from rprm.stages.judged import JudgedCase, judged_to_table
from rprm.stages.params import Critiquing

PRELOAD = ("torch", "transformers.models.qwen2.modeling_qwen2", "rprm.engines.transformers")
"""What every worker with an engine imports."""


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Who writes critiques, of which prompt."""

    engine: Engine
    name: str
    """Goes into every row; without a path of this machine in it."""
    renderer: Renderer


def model_writer(model: Given, params: Critiquing, io: StageIO) -> Writer:
    """The model on this worker's threads or behind its servers, with its own tokenizer."""
    from rprm.engines.tokenizers import load_tokenizer

    engine = make_engine_of(model, threads=io.cpus)
    renderer = Renderer(load_template(params.template), load_tokenizer(model.folder))
    return Writer(engine=engine, name=model.name, renderer=renderer)


def critique_rows(
    io: StageIO,
    rows: pa.Table,
    writer: Writer,
    params: Critiquing,
    *,
    up_to_first_error: bool = True,
) -> Iterator[pa.Table]:
    """Critiques of the steps of the shard's solutions; those after the first wrong one on demand.

    Yields a table of judged cases per batch, in row order; refused cases become error rows.
    """
    totals: Counter[str] = Counter()
    for solutions in _batches(io, rows, params.batch_solutions):
        cases = [
            case for one in solutions for case in cases_of(one, up_to_first_error=up_to_first_error)
        ]
        judged = _critique(io, cases, writer, params)
        totals.update(_counts(judged))
        io.note(**totals)
        yield judged_to_table(judged)


def _batches(io: StageIO, rows: pa.Table, size: int) -> Iterator[list[Solution]]:
    """At least one, so that a shard without rows still has a table with columns."""
    solutions = table_to_solutions(rows, source=io.stage)
    for start in range(0, max(len(solutions), 1), size):
        io.progress(start, len(solutions), "solutions")
        yield solutions[start : start + size]
    io.progress(len(solutions), len(solutions), "solutions")


def _critique(
    io: StageIO, cases: Sequence[Case], writer: Writer, params: Critiquing
) -> list[JudgedCase]:
    by_id = {case.id: case for case in cases}
    judged = []
    for answer in judge(
        cases, engine=writer.engine, renderer=writer.renderer, params=params.judge_params()
    ):
        if isinstance(answer, Refused):
            io.error(answer.id, answer.cause, answer.detail)
            continue
        case = by_id[answer.case_id]
        judged.append(JudgedCase(case=case, engine=writer.name, critiques_K=answer.critiques_K))
    return judged


def _counts(judged: Sequence[JudgedCase]) -> dict[str, int]:
    critiques = [one for row in judged for one in row.critiques_K]
    return {
        "cases": len(judged),
        "critiques": len(critiques),
        "unparsed": sum(isinstance(one, Unparsed) for one in critiques),
        "critique_tokens": sum(one.num_tokens for one in critiques),
    }
