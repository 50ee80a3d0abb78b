"""How are cases and their critiques kept between stages?  One row per case, critiques nested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rprm.data.tables import CASES, cases_to_table, critique_values, table_to_cases
from rprm.schema import Case, Critique, Judgement, Unparsed, Verdict
from rprm.scoring import Aggregate, score
from rprm.selection import Response
from rprm.verdicts import verdict_of

CRITIQUE = pa.struct(
    [
        ("text", pa.string()),
        ("verdict", pa.string()),  # "yes", "no", or null with a cause
        ("cause", pa.string()),
        ("p_yes", pa.float64()),
        ("num_tokens", pa.int64()),
    ]
)
JUDGED = pa.schema([*CASES, ("engine", pa.string()), ("critiques", pa.list_(CRITIQUE))])


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedCase:
    """A case and the critiques that one engine wrote of it, in sample order."""

    case: Case
    engine: str
    critiques_K: tuple[Critique | Unparsed, ...]


def judged_to_table(rows: Iterable[JudgedCase]) -> pa.Table:
    rows = list(rows)
    table = cases_to_table(row.case for row in rows)
    engines = pa.array([row.engine for row in rows], type=pa.string())
    critiques = pa.array(
        [[critique_values(one) for one in row.critiques_K] for row in rows], type=pa.list_(CRITIQUE)
    )
    return table.append_column("engine", engines).append_column("critiques", critiques)


def table_to_judged(
    table: pa.Table, *, source: str, need_gold: bool = True
) -> Iterator[JudgedCase]:
    """Raises BadInput for rows without a gold label, which filtering needs, unless told not to."""
    cases = table_to_cases(table.select(CASES.names), source=source, need_gold=need_gold)
    engines: list[Any] = table.column("engine").to_pylist()
    nested: list[Any] = table.column("critiques").to_pylist()
    for case, engine, critiques in zip(cases, engines, nested, strict=True):
        yield JudgedCase(
            case=case, engine=engine, critiques_K=tuple(_critique(one) for one in critiques)
        )


def judgements_of(rows: Iterable[JudgedCase], aggregate: Aggregate) -> dict[str, Judgement]:
    """By case."""
    return {
        row.case.id: Judgement(
            case_id=row.case.id,
            critiques_K=row.critiques_K,
            score=score(row.critiques_K, aggregate),
        )
        for row in rows
    }


def responses(rows: Iterable[JudgedCase]) -> Iterator[Response]:
    """What selection and pairing filter: every critique with its case's gold label."""
    for row in rows:
        assert row.case.gold is not None, "table_to_judged lets none through when asked to"
        for sample, one in enumerate(row.critiques_K):
            yield Response(
                case_id=row.case.id,
                problem_id=row.case.problem_id,
                gold=verdict_of(row.case.gold),
                sample=sample,
                text=one.text,
            )


def _critique(values: dict[str, Any]) -> Critique | Unparsed:
    text, num_tokens = values["text"], values["num_tokens"]
    if values["verdict"] is None:
        return Unparsed(text=text, cause=values["cause"], num_tokens=num_tokens)
    return Critique(
        text=text,
        verdict=Verdict(values["verdict"]),
        p_yes=values["p_yes"],
        num_tokens=num_tokens,
    )
