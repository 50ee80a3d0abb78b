"""Is a judgement the same however its critiques were drawn?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.engines.base import (
    Completion,
    Refused,
    Request,
    Sample,
    SamplingParams,
    VerdictFormat,
)
from rprm.errors import BadInput, RprmError
from rprm.judge import JudgeParams, critique_of, judge, request_seed, sampling_params
from rprm.prompting import Renderer, load_template
from rprm.schema import Case, Critique, Judgement, Unparsed, Verdict
from rprm.scoring import Aggregate, first_error, score
from tests.unit.rprm.small_tokenizers import byte_level

RENDERER = Renderer(load_template("bytes"), byte_level(eos_token="</s>"))
FMT = RENDERER.template.verdict


def solution(name: str, num_steps: int) -> list[Case]:
    return [
        Case(
            id=f"{name}:{step}",
            solution_id=name,
            problem_id=name,
            step=step,
            question=name,
            previous_steps=tuple("x" * step),
            now_step="y",
        )
        for step in range(num_steps)
    ]


@dataclass
class FakeEngine:
    """Sample k depends on (seed, k) alone, as the contract asks; answers come in reverse."""

    name: str = "fake"
    refuses: frozenset[str] = frozenset()
    bias: float = 0.5
    requests: list[Request] = field(default_factory=list)

    def sample(
        self, requests: Sequence[Request], params: SamplingParams
    ) -> Iterator[Completion | Refused]:
        assert params.verdict == FMT
        self.requests += requests
        for request in reversed(requests):
            if request.id in self.refuses:
                yield Refused(id=request.id, cause="too_long", detail="")
                continue
            first = request.first_sample
            samples = [self._sample(request.seed, k) for k in range(first, first + request.n)]
            yield Completion(id=request.id, samples=tuple(samples))

    def _sample(self, seed: int, k: int) -> Sample:
        digest = hashlib.sha256(f"{seed} {k}".encode()).digest()
        p_yes = min(1.0, max(0.0, digest[0] / 255 * 0.6 + self.bias - 0.3))
        word = FMT.yes if p_yes > 0.5 else FMT.no
        text = "?" if digest[1] < 40 else f"{k}: {FMT.marker}{word}"
        return Sample(text=text, token_ids=(1, 2), finish="eos", p_yes=p_yes)

    @property
    def drawn(self) -> int:
        return sum(request.n for request in self.requests)


CASES = [case for name in "abcdefgh" for case in solution(name, 3)]
FULL = JudgeParams(num_critiques=7, seed=3)


def run(
    params: JudgeParams, cases: Sequence[Case] = CASES, engine: FakeEngine | None = None
) -> dict[str, Judgement | Refused]:
    answers = judge(cases, engine=engine or FakeEngine(), renderer=RENDERER, params=params)
    return {one.case_id if isinstance(one, Judgement) else one.id: one for one in answers}


def scores(answers: dict[str, Judgement | Refused], name: str) -> list[float | None]:
    found = [answers.get(f"{name}:{step}") for step in range(3)]
    return [one.score if isinstance(one, Judgement) else None for one in found]


def test_every_case_is_answered_in_order_with_all_its_critiques() -> None:
    answers = run(FULL)
    assert list(answers) == [case.id for case in CASES]
    for one in answers.values():
        assert isinstance(one, Judgement)
        assert len(one.critiques_K) == 7
        assert one.score == score(one.critiques_K)
    assert any(isinstance(c, Unparsed) for c in _critiques(answers))


def _critiques(answers: dict[str, Judgement | Refused]) -> list[Critique | Unparsed]:
    return [c for one in answers.values() if isinstance(one, Judgement) for c in one.critiques_K]


@settings(max_examples=40, deadline=None)
@given(
    k=st.integers(1, 9),
    aggregate=st.sampled_from(list(Aggregate)),
    threshold=st.sampled_from([0.3, 0.5, 0.61]),
    bias=st.sampled_from([0.2, 0.5, 0.8]),
    min_wave=st.integers(1, 3),
    lookahead=st.integers(1, 3),
)
def test_stopping_early_changes_no_prediction(
    k: int, aggregate: Aggregate, threshold: float, bias: float, min_wave: int, lookahead: int
) -> None:
    full = replace(FULL, num_critiques=k, aggregate=aggregate, threshold=threshold)
    thrifty = replace(
        full, early_stop=True, min_wave=min_wave, stop_at_first_error=True, lookahead=lookahead
    )
    every, some = (
        run(full, engine=FakeEngine(bias=bias)),
        run(thrifty, engine=FakeEngine(bias=bias)),
    )
    for name in "abcdefgh":
        expected = first_error(scores(every, name), threshold=threshold)
        assert first_error(scores(some, name), threshold=threshold) == expected
    for case_id, one in some.items():
        whole = every[case_id]
        assert isinstance(one, Judgement)
        assert isinstance(whole, Judgement)
        assert one.critiques_K == whole.critiques_K[: len(one.critiques_K)]
    one_by_one = run(replace(thrifty, lookahead=1), engine=FakeEngine(bias=bias))
    assert some == one_by_one


def test_stopping_early_saves_critiques() -> None:
    thrifty = replace(FULL, early_stop=True, stop_at_first_error=True)
    full_engine, engine = FakeEngine(bias=0.25), FakeEngine(bias=0.25)
    run(FULL, engine=full_engine)
    run(thrifty, engine=engine)
    assert engine.drawn < 0.6 * full_engine.drawn


def test_a_case_is_judged_the_same_beside_other_cases() -> None:
    together = run(FULL)
    for case in CASES[::5]:
        assert run(FULL, [case]) == {case.id: together[case.id]}


def test_steps_after_the_first_error_are_not_judged() -> None:
    answers = run(replace(FULL, stop_at_first_error=True), engine=FakeEngine(bias=0.1))
    assert list(answers) == [f"{name}:0" for name in "abcdefgh"]


def test_a_refused_step_ends_its_solution_when_later_steps_cannot_matter() -> None:
    engine = FakeEngine(refuses=frozenset({"b:1"}), bias=0.9)
    answers = run(replace(FULL, stop_at_first_error=True), engine=engine)
    assert isinstance(answers["b:1"], Refused)
    assert "b:2" not in answers
    assert "c:2" in answers


def test_a_refused_case_is_answered_as_such() -> None:
    answers = run(FULL, engine=FakeEngine(refuses=frozenset({"b:1"})))
    assert isinstance(answers["b:1"], Refused)
    assert len(answers) == len(CASES)


def test_answers_come_as_soon_as_they_are_known() -> None:
    class Forward(FakeEngine):
        def sample(
            self, requests: Sequence[Request], params: SamplingParams
        ) -> Iterator[Completion | Refused]:
            for request in requests:
                yield from super().sample([request], params)

    engine = Forward()
    next(judge(CASES, engine=engine, renderer=RENDERER, params=FULL))
    assert len(engine.requests) == 1


def test_nothing_to_judge_asks_nothing() -> None:
    assert run(FULL, []) == {}


def test_seeds_are_pinned_and_differ_by_case_and_seed() -> None:
    assert request_seed(0, "a:0") == 2715325738102072767
    assert len({request_seed(seed, case.id) for seed in range(9) for case in CASES}) == 9 * 24
    assert 0 <= request_seed(1, "x") < 2**63


@pytest.mark.parametrize(
    ("text", "finish", "expected"),
    [
        (f"a {FMT.marker}{FMT.yes}", "eos", "yes"),
        (f"a {FMT.marker}{FMT.no}", "length", "no"),  # cut off after the verdict is fine
        ("a", "eos", "no_marker"),
        ("a", "length", "cut_off"),
        (f"a {FMT.marker}", "length", "cut_off"),  # the very next token was the verdict
        (f"a {FMT.marker}?", "length", "no_word"),
    ],
)
def test_a_sample_becomes_a_critique_or_names_its_cause(
    text: str, finish: str, expected: str
) -> None:
    sample = Sample(text=text, token_ids=(1, 2, 3), finish=finish, p_yes=0.7)  # type: ignore[arg-type]
    made = critique_of(sample, FMT)
    assert made.num_tokens == 3
    assert (made.verdict if isinstance(made, Critique) else made.cause) == expected


def test_stop_strings_come_from_the_template_unless_given() -> None:
    template = replace(RENDERER.template, stop=("END",))
    assert sampling_params(SamplingParams(), template).stop == ("END",)
    assert sampling_params(SamplingParams(stop=("X",)), template).stop == ("X",)
    assert sampling_params(SamplingParams(verdict=OTHER), template).verdict == FMT


OTHER = VerdictFormat(marker="?", yes="a", no="b")


def test_an_engine_that_forgets_requests_is_found_out() -> None:
    class Forgetful(FakeEngine):
        def sample(
            self, requests: Sequence[Request], params: SamplingParams
        ) -> Iterator[Completion | Refused]:
            yield from super().sample(requests[1:], params)

    with pytest.raises(RprmError, match="answered 23 of 24"):
        run(FULL, engine=Forgetful())


@pytest.mark.parametrize(
    "broken",
    [{"num_critiques": 0}, {"min_wave": 0}, {"lookahead": 0}, {"threshold": 1.5}],
)
def test_impossible_params_are_refused(broken: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        replace(FULL, **broken)  # type: ignore[arg-type]


def test_two_cases_of_one_id_are_refused() -> None:
    with pytest.raises(BadInput, match="share an id"):
        run(FULL, [CASES[0], CASES[0]])


def test_verdicts_follow_the_words() -> None:
    for critique in _critiques(run(FULL)):
        if isinstance(critique, Critique):
            assert critique.text.endswith(FMT.yes) == (critique.verdict is Verdict.YES)
