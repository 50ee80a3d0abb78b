"""Keep the teacher's analyses that agree with the labels; balance, split by problem, cut to size.

Reads    seed, judged cases
Writes   training and validation rows: case, text, split
Facts    rules (how many responses each rule took), train_rows, validation_rows
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from rprm.errors import BadInput
from rprm.prompting import load_template
from rprm.selection import Accepted, Policy, Split, balance, keep_accepted, split_by_problem
from rprm.stages.io import StageIO
from rprm.stages.judged import responses, table_to_judged
from rprm.stages.params import StageParams
from rprm.stages.rows import sft_table


class Select:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ()

    class Params(StageParams):
        template: str = "rprm"
        """Its verdict format is what analyses are read by."""
        policy: Policy = "last"
        """Which accepted analysis of a case is kept; the published rule is "last"."""
        balanced: bool = True
        """As many right as wrong steps."""
        validation_rows: int = Field(default=2000, ge=0)
        """Whole problems are held out until there are so many rows."""
        rows: int | None = Field(default=None, gt=0)
        """Training rows; None: all.  Smaller sizes are prefixes of larger ones."""
        seed: int = 42

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        return {"template": load_template(self.params.template).sha256}

    def run(self, io: StageIO) -> None:
        params = self.params
        judged = list(table_to_judged(io.artifact("seed").table(), source="seed"))
        fmt = load_template(params.template).verdict
        selected = keep_accepted(responses(judged), fmt, policy=params.policy)
        rows = balance(selected.rows, seed=params.seed) if params.balanced else selected.rows
        split = split_by_problem(rows, validation_rows=params.validation_rows, seed=params.seed)
        split = self._cut(split)
        io.note(
            rules=selected.counts.as_dict(),
            after_balance=len(rows),
            train_rows=len(split.train),
            validation_rows=len(split.validation),
        )
        io.log({"select/kept": selected.counts.kept, "select/train_rows": len(split.train)})
        io.write(sft_table(split, {row.case.id: row.case for row in judged}))

    def _cut(self, split: Split[Accepted]) -> Split[Accepted]:
        wanted = self.params.rows
        if wanted is None:
            return split
        if wanted > len(split.train):
            raise BadInput(
                f"rows={wanted}, but only {len(split.train)} training rows are left.",
                fix="label more solutions upstream, or ask for fewer rows",
            )
        return Split(train=split.train[:wanted], validation=split.validation)
