"""Pair right with wrong analyses of the same case, for preference training.

Reads    critiques, judged cases
Writes   training and validation pairs: case, chosen, rejected, split
Facts    rules (how many responses and cases each rule took), train_rows, validation_rows
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from rprm.pairing import CAP, PairRow, make_pairs
from rprm.prompting import load_template
from rprm.selection import balance, shuffled, split_by_problem
from rprm.stages.io import StageIO
from rprm.stages.judged import responses, table_to_judged
from rprm.stages.params import StageParams
from rprm.stages.rows import pair_table


class Pairs:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        template: str = "rprm"
        filtered: bool = True
        """Only cases with more than a third of their valid analyses right."""
        cap: int | None = Field(default=CAP, gt=0)
        """Pairs per case; None: the whole cross product."""
        balanced: bool = True
        """As many right as wrong steps among the pairs; the ratio shifts the verdict bias."""
        validation_rows: int = Field(default=2000, ge=0)
        rows: int | None = Field(default=None, gt=0)
        """Training pairs at most; None: all."""
        seed: int = 42

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        return {"template": load_template(self.params.template).sha256}

    def run(self, io: StageIO) -> None:
        params = self.params
        judged = list(table_to_judged(io.artifact("critiques").table(), source="critiques"))
        fmt = load_template(params.template).verdict
        paired = make_pairs(responses(judged), fmt, cap=params.cap, filtered=params.filtered)
        rows = self._ordered(paired.rows)
        if params.rows is not None:
            rows = rows[: params.rows + params.validation_rows]
        split = split_by_problem(rows, validation_rows=params.validation_rows, seed=params.seed)
        io.note(
            rules=paired.counts.as_dict(),
            after_balance=len(rows),
            train_rows=len(split.train),
            validation_rows=len(split.validation),
        )
        io.log({"pairs/made": paired.counts.pairs, "pairs/train_rows": len(split.train)})
        io.write(pair_table(split, {row.case.id: row.case for row in judged}))

    def _ordered(self, rows: Sequence[PairRow]) -> list[PairRow]:
        if self.params.balanced:
            return balance(rows, seed=self.params.seed)
        return shuffled(rows, seed=self.params.seed)
