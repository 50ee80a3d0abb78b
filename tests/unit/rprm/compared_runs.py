"""What do tests compare?  Benchmark artifacts from seeded generators, and the view they make."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from rprm.benchmarks.processbench import Outcome
from rprm.comparing.building import Wanted, build
from rprm.comparing.measured import Artifact, Measured
from rprm.comparing.view import Line, View
from rprm.published.reading import load_published

PUBLISHED = load_published()
SIZES = {
    "gsm8k": (207, 193),
    "math": (594, 406),
    "olympiadbench": (661, 339),
    "omnimath": (759, 241),
}


def outcome_rows(
    rate: float, *, seed: int = 0, sizes: Mapping[str, tuple[int, int]] = SIZES, k: int = 1
) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "solution_id": f"{subset}-{index}",
            "problem_id": f"{subset}-{index // 2}",
            "subset": subset,
            "erroneous": index < error,
            "k": k,
            "match": float(draw.random() < rate),
        }
        for subset, (error, correct) in sizes.items()
        for index in range(error + correct)
    ]


def outcomes_of(rows: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    return [Outcome(**{key: value for key, value in row.items() if key != "k"}) for row in rows]


def judge(
    system: str, outcomes: Sequence[Mapping[str, Any]], *, digest: str = "same", **point: Any
) -> Artifact:
    return Artifact(
        address=f"bench-{system}-{'-'.join(map(str, point.values()))}",
        stage=f"bench-{system}",
        coordinates=point,
        facts={"system": system, "curve": [{"k": 1}]},
        rows=outcomes,
        digest=digest,
    )


def solver(system: str, methods: Mapping[str, float], *, problems: int = 30) -> Artifact:
    rows = [
        {
            "problem_id": str(index),
            "subset": "aime24",
            "method": method,
            "correct": float(index < share * problems),
        }
        for method, share in methods.items()
        for index in range(problems)
    ]
    facts = {"system": system, "methods": dict.fromkeys(methods), "n": 8, "aggregator": "min"}
    return Artifact(address=f"bon-{system}", stage="bon", coordinates={}, facts=facts, rows=rows)


def table(measured: Sequence[Measured], name: str = "processbench", **wanted: Any) -> View:
    return build(name, PUBLISHED, measured, Wanted(resamples=300, **wanted))


def line(view: View, label: str) -> Line:
    [found] = [one for one in view.lines if one.label == label]
    return found


def notes(view: View, marks: Sequence[int]) -> str:
    return "\n".join(view.notes[mark - 1] for mark in marks)
