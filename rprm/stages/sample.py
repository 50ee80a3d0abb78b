"""Let a trained judge critique steps: for preference pairs, to be measured, to choose solutions.

Reads    solutions (rows), labelled; model, a training artifact, unless it is a param
Writes   one row per case, critiques nested
Facts    cases, critiques, unparsed, critique_tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pyarrow as pa

from rprm.models import model_digest
from rprm.prompting import load_template
from rprm.stages.critiquing import PRELOAD, critique_rows, model_writer
from rprm.stages.given import given_model
from rprm.stages.io import StageIO
from rprm.stages.params import Critiquing


class Sample:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = PRELOAD
    served_roles: ClassVar[tuple[str, ...]] = ("model",)

    class Params(Critiquing):
        model: str | None = None
        """A folder, builtin:NAME or a Hub id; None: the input `model`."""
        all_steps: bool = False
        """Judge the steps after the first wrong one too, which have no gold label: to choose among
        solutions.  Without it, what stands there is left out, as no search for errors reads it."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> Mapping[str, str]:
        digests = {"template": load_template(self.params.template).sha256}
        model = self.params.model
        return digests if model is None else digests | {"model": model_digest(model)}

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        model = given_model(io, self.params.model, self.params.engine)
        writer = model_writer(model, self.params, io)
        return critique_rows(
            io, rows, writer, self.params, up_to_first_error=not self.params.all_steps
        )
