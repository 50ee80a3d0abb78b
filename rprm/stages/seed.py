"""Let a teacher critique every labelled step.  The teacher never sees the label.

Reads    solutions (rows), labelled; teacher, a training artifact, unless it is a param
Writes   one row per case, critiques nested
Facts    cases, critiques, unparsed, critique_tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pyarrow as pa

from rprm.models import model_digest
from rprm.prompting import Renderer, load_template
from rprm.stages.critiquing import PRELOAD, Writer, critique_rows, model_writer
from rprm.stages.given import given_model
from rprm.stages.io import StageIO
from rprm.stages.params import Critiquing

SCRIPTED = "scripted-teacher"


class Seed:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = PRELOAD
    served_roles: ClassVar[tuple[str, ...]] = ("teacher",)

    class Params(Critiquing):
        teacher: str | None = None
        """"scripted-teacher" (the small world's script, not a model), a model folder, a Hub id,
        or recorded:FILE; None: the input `teacher`."""
        num_critiques: int = 4
        """The paper draws four analyses of each case."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        digests = {"template": load_template(self.params.template).sha256}
        if self.params.teacher not in (None, SCRIPTED):
            digests["teacher"] = model_digest(self.params.teacher)
        return digests

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        return critique_rows(io, rows, self._teacher(io), self.params)

    def _teacher(self, io: StageIO) -> Writer:
        if self.params.teacher != SCRIPTED:
            teacher = given_model(io, self.params.teacher, self.params.engine, role="teacher")
            return model_writer(teacher, self.params, io)
        from rprm.data.chain_tokenizer import chain_tokenizer
        from rprm.engines.scripted_teacher import ScriptedTeacher

        tokenizer = chain_tokenizer()
        engine = ScriptedTeacher(tokenizer)
        renderer = Renderer(load_template(self.params.template), tokenizer)
        return Writer(engine=engine, name=engine.name, renderer=renderer)
