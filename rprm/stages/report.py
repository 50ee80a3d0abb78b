"""What did this campaign find?  One page to read, and the same numbers as Markdown.

Reads    benches, bench artifacts; models, data, promotions, where the campaign gathers them
Writes   one row per judge, K and metric; report.html and report.md
Facts    claims with verdicts, table (every judge at K=1 and at the headline K)
Metrics  claims/{claim}/difference, low, high; claims/holds, undecided, fails
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from rprm.reporting.claims import Claim
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams


class Scaling(StageParams):
    """A plot of F1 against one axis of the campaign's sweeps."""

    system: str
    """Which judge: a bench stage's `system`."""
    axis: str = "rows"
    """Coordinate along the x axis."""
    ks: tuple[int, ...] = ()
    """One line per K; empty: K=1 and the headline K."""


class Report:
    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ("matplotlib.figure", "matplotlib.backends.backend_svg")

    class Params(StageParams):
        title: str
        """Headline of the page."""
        text: str = ""
        """One paragraph that says what was run; `code`, **bold** and *emphasis* are understood."""
        scaling: tuple[Scaling, ...] = ()
        """Which judges grow along which axis."""
        systems: tuple[str, ...] = ()
        """Order of the judges by name; others follow in the order given."""
        direct: tuple[str, ...] = ("direct",)
        """Judges that give a verdict without an analysis: the controls of reasoning."""
        headline_k: int | None = Field(default=None, gt=0)
        """K of the main table; None: the largest that every judge has."""
        claims: tuple[Claim, ...] = ()
        """What should hold; each gets a verdict."""
        resamples: int = Field(default=1000, gt=0)
        """Bootstrap resamples of whole problems."""
        notes: tuple[str, ...] = ()
        """What is known not to be comparable to the paper, one sentence each."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: StageIO) -> None:
        raise NotImplementedError
