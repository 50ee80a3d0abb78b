"""What do the tables of training rows look like?  Cases with the text, or texts, to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rprm.data.tables import CASES, cases_to_table, table_to_cases
from rprm.pairing import PairRow
from rprm.schema import Case
from rprm.selection import Accepted, Split

SFT_ROWS = pa.schema([*CASES, ("text", pa.string()), ("split", pa.string())])
PAIR_ROWS = pa.schema(
    [*CASES, ("chosen", pa.string()), ("rejected", pa.string()), ("split", pa.string())]
)
TRAIN, VALIDATION = "train", "validation"


def sft_table(split: Split[Accepted], cases: Mapping[str, Case]) -> pa.Table:
    """One row per accepted analysis, training rows first."""
    rows = [*split.train, *split.validation]
    return _with_columns(
        [cases[row.case_id] for row in rows],
        {"text": [row.text for row in rows], "split": _parts(split)},
    )


def pair_table(split: Split[PairRow], cases: Mapping[str, Case]) -> pa.Table:
    """One row per pair, training rows first."""
    rows = [*split.train, *split.validation]
    return _with_columns(
        [cases[row.case_id] for row in rows],
        {
            "chosen": [row.chosen for row in rows],
            "rejected": [row.rejected for row in rows],
            "split": _parts(split),
        },
    )


def read_split(table: pa.Table, split: str, texts: Sequence[str]) -> list[tuple[Case, list[str]]]:
    """Cases of one split, each with its values of the columns `texts`, in row order."""
    part = table.filter(pc.field("split") == split)
    columns = [part.column(name).to_pylist() for name in texts]
    cases = _cases(part)
    return [(case, list(values)) for case, *values in zip(cases, *columns, strict=True)]


def _cases(table: pa.Table) -> list[Case]:
    """Several rows may share a case, which the checked reader would refuse."""
    names: list[Any] = table.column("id").to_pylist()
    first = {name: index for index, name in reversed(list(enumerate(names)))}
    unique = table.select(CASES.names).take(pa.array(sorted(first.values()), type=pa.int64()))
    by_id = {case.id: case for case in table_to_cases(unique, source="training rows")}
    return [by_id[name] for name in names]


def _parts(split: Split[Accepted] | Split[PairRow]) -> list[str]:
    return [TRAIN] * len(split.train) + [VALIDATION] * len(split.validation)


def _with_columns(cases: Sequence[Case], columns: Mapping[str, Sequence[str]]) -> pa.Table:
    table = cases_to_table(cases)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, type=pa.string()))
    return table
