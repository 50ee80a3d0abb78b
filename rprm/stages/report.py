"""What did this campaign find?  One page to read, and the same numbers as Markdown.

Reads    benches, bench artifacts; solvers, models, data, promotions, where the campaign gathers
         them (solvers: best_of_n and accuracy artifacts)
Writes   one row per judge, K and metric; report.html and report.md
Facts    claims with verdicts, table (every judge at K=1 and at the headline K)
Metrics  claims/{claim}/difference, low, high; claims/holds, undecided, fails
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from rprm.benchmarks.resampling import known
from rprm.errors import BadInput
from rprm.reporting import comparisons, making, markdown, page, readings, results, solving
from rprm.reporting.claims import Checked, Claim, Named, Verdict, check
from rprm.reporting.document import Document, Section
from rprm.reporting.findings import Findings, Scaling, Source
from rprm.reporting.numbers import METRICS, Numbers, headline, measure
from rprm.reporting.solvers import Solved, SolvedRow, by_method
from rprm.reporting.systems import Run, group
from rprm.stages.bench import read_outcomes
from rprm.stages.io import ArtifactView, StageIO
from rprm.stages.params import StageParams

COLUMNS: dict[str, pa.DataType] = {
    "system": pa.string(),
    "point": pa.string(),
    "seeds": pa.int64(),
    "k": pa.int64(),
    "metric": pa.string(),
    "value": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
}
NUMBERS = pa.schema(list(COLUMNS.items()))

ROLES = ("benches", "solvers", "models", "data", "promotions")


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
        findings = self._findings(io)
        document = Document(
            title=self.params.title, text=self.params.text, sections=_sections(findings)
        )
        _publish(io, "report.html", page.render(document), track=True)
        _publish(io, "report.md", markdown.render(document), track=False)
        io.note(
            claims=[_verdict(one) for one in findings.checked],
            table=_headline_table(findings),
            headline_k=findings.headline_k,
        )
        _log(io, findings.checked)
        io.write(_table(findings.numbers))

    def _findings(self, io: StageIO) -> Findings:
        params = self.params
        runs = [_run(one) for one in io.artifacts("benches")]
        if not runs:
            raise BadInput(
                f"stage {io.stage}: a report needs at least one benchmark.",
                fix="gather bench stages as inputs.benches",
            )
        systems = group(runs, order=params.systems)
        solved = [solver_of(one) for one in io.artifacts("solvers")]
        solvers = by_method(solved, order=params.systems)
        return Findings(
            systems=systems,
            solved=solved,
            solvers=solvers,
            numbers=measure(systems, resamples=params.resamples),
            checked=[
                check(one, systems, solvers, resamples=params.resamples) for one in params.claims
            ],
            scaling=params.scaling,
            direct=params.direct,
            headline_k=headline(systems, params.headline_k),
            resamples=params.resamples,
            notes=params.notes,
            sources=[_source(role, one) for role in ROLES for one in io.artifacts(role)],
        )


def _run(bench: ArtifactView) -> Run:
    table, facts = bench.table(), bench.facts
    return Run(
        system=facts["system"],
        coordinates=bench.coordinates,
        facts=facts,
        outcomes={k: read_outcomes(table, k=k) for k in (point["k"] for point in facts["curve"])},
        address=bench.address,
    )


def solver_of(view: ArtifactView) -> Solved:
    rows = view.table(["problem_id", "subset", "method", "correct"]).to_pylist()
    return Solved(
        system=view.facts["system"],
        coordinates=view.coordinates,
        facts=view.facts,
        rows=[SolvedRow(**row) for row in rows],
        address=view.address,
    )


def _source(role: str, view: ArtifactView) -> Source:
    return Source(
        role=role,
        stage=view.stage,
        address=view.address,
        coordinates=view.coordinates,
        params=view.params,
        facts=view.facts,
    )


def _sections(findings: Findings) -> list[Section]:
    return [
        results.summary(findings),
        results.table(findings),
        comparisons.scaling(findings),
        comparisons.methods(findings),
        comparisons.k_curve(findings),
        comparisons.reasoning(findings),
        comparisons.bias(findings),
        *solving.sections(findings),
        results.early_stopping(findings),
        making.data(findings),
        readings.critiques(findings),
        making.promotions(findings),
        making.provenance(findings),
    ]


def _publish(io: StageIO, name: str, text: str, *, track: bool) -> None:
    file = io.scratch / name
    file.write_text(text, encoding="utf-8")
    io.publish(file, name, track=track)


# --- the numbers, for machines ------------------------------------------------------------------


def _verdict(checked: Checked) -> dict[str, Any]:
    found = checked.found
    return {
        "claim": checked.claim.text,
        "verdict": found.verdict.value,
        "metric": checked.quantity,
        "better": _side(checked.better, found.better),
        "worse": _side(checked.worse, found.worse),
        "difference": found.difference.as_json(),
        "seeds": found.seeds,
    }


def _side(side: Named, value: float) -> dict[str, Any]:
    return {"judge": side.label, "k": side.k, "value": known(value)}


def _headline_table(findings: Findings) -> list[dict[str, Any]]:
    return [
        {
            "judge": one.label,
            "seeds": len(one.runs),
            "k": k,
            **{
                metric: found.value.as_json()
                for metric in METRICS
                if (found := findings.numbers.at(one, k, metric))
            },
        }
        for one in findings.systems
        for k in findings.ks
        if k in one.ks
    ]


def _log(io: StageIO, checked: Sequence[Checked]) -> None:
    metrics: dict[str, float] = {
        f"claims/{verdict.value}": float(sum(one.found.verdict is verdict for one in checked))
        for verdict in Verdict
    }
    for number, one in enumerate(checked, start=1):
        name = f"claims/{number}-{page.anchor(one.claim.text)[:60]}"
        values = one.found.difference.as_json()
        told = {"difference": values["value"], "low": values["low"], "high": values["high"]}
        metrics |= {f"{name}/{part}": v for part, v in told.items() if v is not None}
    if checked:
        io.log(metrics)


def _table(numbers: Numbers) -> pa.Table:
    rows = [
        {
            "system": one.system.name,
            "point": " ".join(f"{axis}={value}" for axis, value in one.system.point),
            "seeds": len(one.by_seed),
            "k": one.k,
            "metric": one.metric,
            **one.value.as_json(),
        }
        for one in numbers
    ]
    return pa.Table.from_pylist(rows, schema=NUMBERS)
