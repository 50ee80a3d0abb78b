"""Which loader reads a source of labelled solutions, and which bytes were they?"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from rprm.data import prm800k, prmbench, processbench, step_labels
from rprm.data.sources import Source
from rprm.errors import BadInput
from rprm.schema import Solution

KINDS = {
    "processbench": processbench.DEFAULT_SOURCE,
    "step_labels": step_labels.DEFAULT_SOURCE,
    "prm800k": prm800k.DEFAULT_SOURCE,
    "prmbench": prmbench.DEFAULT_SOURCE,
}
"""The default source of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    kind: str
    solutions: Sequence[Solution]
    source: Source
    warnings: Sequence[str] = ()


def load_labelled(source: str, *, kind: str | None = None) -> Labelled:
    """`source` is a kind (its default source is then read), or a path or name of one.

    Without `kind`, the source's name says what it is.
    """
    kind = kind or kind_of(source)
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise BadInput(f"no data set is called {kind!r}.", fix=f"{hint}use one of {_listed()}")
    name = KINDS.get(source, source)
    if kind == "processbench":
        bench = processbench.load_processbench(name)
        return Labelled(
            kind=kind, solutions=bench.solutions, source=bench.source, warnings=bench.warnings
        )
    if kind == "step_labels":
        labels = step_labels.load_step_labels(name)
        return Labelled(kind=kind, solutions=labels.solutions, source=labels.source)
    if kind == "prmbench":
        items = prmbench.load_prmbench(name)
        return Labelled(
            kind=kind, solutions=items.solutions, source=items.source, warnings=items.warnings
        )
    raw = prm800k.load_prm800k(name)
    return Labelled(kind=kind, solutions=raw.solutions, source=raw.source)


def kind_of(source: str) -> str:
    """The last kind that the name mentions; the name itself of what could be a mistyped kind."""
    text = source.lower()
    found = {text.rfind(kind): kind for kind in KINDS if kind in text}
    if found:
        return found[max(found)]
    if source.isidentifier():
        return source
    raise BadInput(
        f"{source} does not say which data set it is.", fix=f"give --kind, one of {_listed()}"
    )


def _listed() -> str:
    return ", ".join(KINDS)
