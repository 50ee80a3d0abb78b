"""Do claims get the verdicts that the numbers deserve?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rprm.benchmarks.processbench import Outcome
from rprm.benchmarks.statistics import combined
from rprm.errors import BadInput
from rprm.reporting.claims import Claim, Side, Verdict, check, compare
from rprm.reporting.numbers import headline, measure
from rprm.reporting.systems import Run, System, group

RESAMPLES = 300


def outcomes(
    error: float, correct: float, *, problems: int = 40, prefix: str = "p"
) -> list[Outcome]:
    """Every problem has one solution with an error and one without, matched at these rates."""
    return [
        Outcome(
            solution_id=f"{prefix}{index}-{kind}",
            problem_id=f"{prefix}{index}",
            subset="chain",
            erroneous=kind == "error",
            match=rate,
        )
        for index in range(problems)
        for kind, rate in (("error", error), ("correct", correct))
    ]


def run(
    system: str,
    found: Sequence[Outcome],
    *,
    k: int = 1,
    benchmark: str = "small_world",
    **coordinates: Any,
) -> Run:
    return Run(
        system=system,
        coordinates=coordinates,
        facts={"benchmark": benchmark},
        outcomes={k: found},
        address=f"bench-{system}-{len(coordinates)}",
    )


def claim(better: Mapping[str, Any], worse: Mapping[str, Any], **more: Any) -> Claim:
    return Claim(
        text="better beats worse",
        better=Side.model_validate({"k": 1, **better}),
        worse=Side.model_validate({"k": 1, **worse}),
        **more,
    )


SFT_DPO = claim({"system": "dpo"}, {"system": "sft"})


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (1.0, 0.5, Verdict.HOLDS),  # every problem agrees: no resample says otherwise
        (0.5, 0.5, Verdict.UNDECIDED),  # no difference at all
        (0.5, 1.0, Verdict.FAILS),  # the other way round
    ],
)
def test_a_claim_is_judged_by_where_its_whole_interval_lies(
    ours: float, theirs: float, verdict: Verdict
) -> None:
    systems = group([run("sft", outcomes(theirs, 1.0)), run("dpo", outcomes(ours, 1.0))])
    assert check(SFT_DPO, systems, resamples=RESAMPLES).found.verdict is verdict


def test_the_numbers_of_a_claim_are_those_computed_by_hand() -> None:
    systems = group([run("sft", outcomes(0.5, 1.0)), run("dpo", outcomes(1.0, 1.0))])
    found = check(SFT_DPO, systems, resamples=RESAMPLES).found
    assert found.better == pytest.approx(100)
    assert found.worse == pytest.approx(200 / 3)  # harmonic mean of 50 and 100
    assert found.difference.estimate == pytest.approx(100 / 3)
    assert found.seeds == 1


def test_several_seeds_give_a_t_interval_over_their_differences() -> None:
    runs = []
    for seed, rate in ((1, 0.1), (2, 0.2), (3, 0.3)):
        runs.append(run("sft", outcomes(0.0, 1.0), seed=seed))
        runs.append(run("dpo", outcomes(rate, 1.0), seed=seed))
    told = claim({"system": "dpo"}, {"system": "sft"}, metric="acc_error")
    found = check(told, group(runs), resamples=RESAMPLES).found
    # gains 10, 20, 30: problems do not vary, so half = t(0.975, 2) * 10 / sqrt(3)
    half = 4.302653 * 10 / math.sqrt(3)
    assert found.seeds == 3
    assert found.difference.estimate == pytest.approx(20)
    assert found.difference.low == pytest.approx(20 - half, abs=1e-3)
    assert found.difference.high == pytest.approx(20 + half, abs=1e-3)
    assert found.verdict is Verdict.UNDECIDED


def test_runs_are_paired_by_their_seed_and_not_by_their_place() -> None:
    runs = [run("sft", outcomes(rate, 1.0), seed=seed) for seed, rate in ((2, 0.2), (10, 0.6))]
    runs += [run("dpo", outcomes(rate, 1.0), seed=seed) for seed, rate in ((10, 0.7), (2, 0.3))]
    told = claim({"system": "dpo"}, {"system": "sft"}, metric="acc_error")
    found = check(told, group(runs), resamples=RESAMPLES).found
    assert found.difference.low == pytest.approx(10)  # each seed gains exactly 10
    assert found.difference.high == pytest.approx(10)
    assert found.verdict is Verdict.HOLDS


def test_a_judge_made_once_is_compared_with_every_seed() -> None:
    runs = [run("base", outcomes(0.1, 1.0))]
    runs += [run("sft", outcomes(0.5, 1.0), seed=seed) for seed in (1, 2, 3)]
    found = check(
        claim({"system": "sft"}, {"system": "base"}), group(runs), resamples=RESAMPLES
    ).found
    assert found.seeds == 3


def test_k_of_one_judge_can_be_compared() -> None:
    both = Run(
        system="sft",
        coordinates={},
        facts={},
        outcomes={1: outcomes(0.4, 1.0), 9: outcomes(0.9, 1.0)},
    )
    told = claim({"system": "sft", "k": 9}, {"system": "sft", "k": 1})
    assert check(told, group([both]), resamples=RESAMPLES).found.verdict is Verdict.HOLDS


def test_a_number_that_is_not_defined_decides_nothing() -> None:
    only_wrong = [one for one in outcomes(0.5, 1.0) if one.erroneous]
    systems = group([run("sft", only_wrong), run("dpo", only_wrong)])
    found = check(SFT_DPO, systems, resamples=RESAMPLES).found
    assert math.isnan(found.difference.estimate)
    assert found.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ({"system": "rejection"}, "sft rows=1000; sft rows=2000; dpo"),  # not measured
        ({"system": "sft"}, "2 judges are that"),  # at two points
        ({"system": "sft", "where": {"rows": 3000}}, "no judges are that"),  # not at this one
        ({"system": "dpo", "k": 7}, r"use one of \[1\]"),  # not at this K
    ],
)
def test_a_side_that_names_no_judge_is_told_which_ones_there_are(
    side: Mapping[str, Any], words: str
) -> None:
    found = outcomes(0.5, 1.0)
    systems = group([run("sft", found, rows=1000), run("sft", found, rows=2000), run("dpo", found)])
    with pytest.raises(BadInput, match=words):
        check(claim({"system": "dpo"}, side), systems, resamples=RESAMPLES)


def test_judges_without_a_common_seed_are_not_compared() -> None:
    systems = group(
        [run("sft", outcomes(0.5, 1.0), seed=1), run("dpo", outcomes(0.5, 1.0), seed=2)]
    )
    with pytest.raises(BadInput, match="no seed in common"):
        check(SFT_DPO, systems, resamples=RESAMPLES)


def test_judges_of_other_problems_are_not_compared() -> None:
    systems = group(
        [run("sft", outcomes(0.5, 1.0)), run("dpo", outcomes(0.5, 1.0, prefix="other"))]
    )
    with pytest.raises(BadInput, match="other solutions"):
        compare((systems[1], 1), (systems[0], 1), metric="f1", resamples=RESAMPLES)


# --- systems ----------------------------------------------------------------------------------


def labels(systems: Sequence[System]) -> list[str]:
    return [one.label for one in systems]


def test_judges_come_in_the_order_asked_for_and_their_points_by_size() -> None:
    found = outcomes(0.5, 1.0)
    runs = [run("dpo", found), run("sft", found, rows=16000), run("sft", found, rows=2000)]
    assert labels(group(runs, order=["sft"])) == ["sft rows=2000", "sft rows=16000", "dpo"]


def test_one_seed_measured_twice_is_two_judges_of_one_name() -> None:
    runs = [run("dpo", outcomes(0.5, 1.0), seed=1), run("dpo", outcomes(0.6, 1.0), seed=1)]
    with pytest.raises(BadInput, match="its own `system` name"):
        group(runs)


def test_benchmarks_are_kept_apart() -> None:
    found = outcomes(0.5, 1.0)
    runs = [run("sft", found, seed=1), run("sft", found, seed=1, benchmark="small_world_dev")]
    assert labels(group(runs)) == ["sft benchmark=small_world", "sft benchmark=small_world_dev"]


# --- numbers ----------------------------------------------------------------------------------


def uneven(seed: int) -> list[Outcome]:
    return [
        Outcome(
            solution_id=f"s{index}",
            problem_id=f"p{index // 2}",
            subset="chain",
            erroneous=index % 2 == 0,
            match=float((index * 7 + seed) % 5 != 0),
        )
        for index in range(60)
    ]


@pytest.mark.parametrize("seeds", [[None], [1, 2, 3]])
def test_shared_resamples_give_the_intervals_of_the_statistics_module(seeds: list[Any]) -> None:
    runs = [run("sft", uneven(seed or 0), seed=seed) for seed in seeds]
    found = measure(group(runs), resamples=RESAMPLES).at(group(runs)[0], 1)
    expected = combined([uneven(seed or 0) for seed in seeds], num_resamples=RESAMPLES)
    assert found is not None
    assert found.value.estimate == pytest.approx(expected.estimate)
    assert (found.value.low, found.value.high) == pytest.approx((expected.low, expected.high))


def test_intervals_stay_on_the_scale_of_percent() -> None:
    runs = [run("sft", outcomes(rate, 1.0), seed=seed) for seed, rate in ((1, 0.6), (2, 1.0))]
    found = measure(group(runs), resamples=RESAMPLES).at(group(runs)[0], 1)
    assert found is not None
    assert found.value.high == 100
    assert found.spread is not None
    assert found.spread.high == 100


def test_the_headline_k_is_the_largest_that_all_judges_have() -> None:
    found = outcomes(0.5, 1.0)
    wide = Run(system="sft", coordinates={}, facts={}, outcomes={1: found, 5: found, 9: found})
    narrow = Run(system="dpo", coordinates={}, facts={}, outcomes={1: found, 5: found})
    systems = group([wide, narrow])
    assert headline(systems, None) == 5
    assert headline(systems, 9) == 9
    with pytest.raises(BadInput, match="was not measured"):
        headline(systems, 4)
