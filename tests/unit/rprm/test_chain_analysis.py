"""Do analyses of right steps say yes and of wrong ones no, and how often does the teacher err?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data.chain_analysis import Noise, analyse, check_of, columns, parse_step
from rprm.data.chain_tokenizer import VOCABULARY, chain_tokenizer
from rprm.data.chains import solution, stream
from rprm.data.tables import cases_of
from rprm.engines.base import Completion, Refused, Request, SamplingParams
from rprm.engines.scripted_teacher import ScriptedTeacher
from rprm.engines.tokenizers import load_tokenizer
from rprm.errors import BadInput
from rprm.prompting import Renderer, load_template
from rprm.schema import Case

PARAMS = SamplingParams()
rows = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return chain_tokenizer()


@pytest.fixture(scope="module")
def renderer(tokenizer: Any) -> Renderer:
    return Renderer(load_template("chain"), tokenizer)


def cases(seed: int, num: int) -> list[Case]:
    return [
        case
        for index in range(num)
        for case in cases_of(solution(seed, index, "dev"), up_to_first_error=True)
    ]


def exact(case: Case) -> str:
    return analyse(check_of(case.question, case.previous_steps, case.now_step))


@given(seed=rows)
@settings(max_examples=200, deadline=None)
def test_an_exact_analysis_ends_with_the_gold_verdict(seed: int) -> None:
    for case in cases(seed, 1):
        assert exact(case).endswith("correct ? yes" if case.gold else "bad correct ? no")


def test_an_analysis_reads_like_this() -> None:
    check = check_of("345 #1 + 276", (), "345 + 276 = 611")
    assert analyse(check) == (
        "value 3 3 ok 4 4 ok 5 5 ok term #1 + + ok 2 2 ok 7 7 ok 6 6 ok "
        "units 5 + 6 = 1 1 ok carry 1 tens 4 + 7 = 2 1 bad correct ? no"
    )


@pytest.mark.parametrize(
    ("step", "carries"),
    [
        ("345 + 210 = 555", [0, 0, 0]),  # nothing to hand on
        ("345 + 276 = 621", [1, 1, 0]),  # a carry of a carry
        ("500 - 001 = 499", [1, 1, 0]),  # a borrow of a borrow
    ],
)
def test_columns_hand_their_carries_on(step: str, carries: list[int]) -> None:
    worked = list(columns(parse_step(step)))
    assert [column.carry_out for column in worked] == carries
    assert [column.carry_in for column in worked] == [0, *carries[:2]]
    assert all(column.digit == column.claimed for column in worked)


@given(seed=rows)
@settings(max_examples=100, deadline=None)
def test_decoding_an_encoded_analysis_gives_the_same_text(seed: int) -> None:
    tokenizer = chain_tokenizer()
    for case in cases(seed, 1):
        noisy = analyse(
            check_of(case.question, case.previous_steps, case.now_step),
            noise=Noise(slip=0.5, carry_slip=0.5, misread=0.5),
            rng=stream(seed),
        )
        for text in (exact(case), noisy):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text


def test_the_vocabulary_has_no_word_twice_and_digits_are_single_tokens(tokenizer: Any) -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY) == len(tokenizer)
    assert tokenizer.tokenize("345 #1 + 21") == ["3", "4", "5", "#1", "+", "2", "1"]
    assert tokenizer.bos_token_id is None


def test_a_saved_tokenizer_loads_and_cuts_the_same_way(tokenizer: Any, tmp_path: Any) -> None:
    tokenizer.save_pretrained(str(tmp_path))
    loaded = load_tokenizer(tmp_path)
    text = "question : 345 #1 + 210\nprevious : none"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert (loaded.eos_token_id, loaded.pad_token_id) == (1, 0)
    assert loaded.decode(loaded("units 5 0 ?")["input_ids"]) == "units 5 0 ?"


def test_prompts_and_analyses_have_the_lengths_that_the_documents_state(
    renderer: Renderer,
) -> None:
    drawn = cases(3, 600)
    prompts = [len(ids) for ids in renderer.prompts(drawn)]
    answers = [len(renderer.completion(exact(case))) for case in drawn]
    assert 49 < sum(prompts) / len(prompts) < 53
    assert max(prompts) == 79
    assert 49 < sum(answers) / len(answers) < 54
    assert max(answers) == 56


def test_no_prompt_or_answer_has_an_unknown_word(renderer: Renderer, tokenizer: Any) -> None:
    for case in cases(4, 50):
        assert tokenizer.unk_token_id not in renderer.prompt(case)
        assert tokenizer.unk_token_id not in renderer.completion(exact(case))


def test_without_noise_the_teacher_always_agrees_with_gold(
    renderer: Renderer, tokenizer: Any
) -> None:
    silent = ScriptedTeacher(tokenizer, noise=Noise(slip=0, carry_slip=0, misread=0))
    drawn = cases(5, 100)
    assert agreement(silent, renderer, drawn) == (1.0, 1.0)


def test_the_noisy_teacher_agrees_more_on_wrong_steps_than_on_right_ones(
    renderer: Renderer, tokenizer: Any
) -> None:
    """Balanced over verdicts it agrees with gold on about 89 of 100 analyses."""
    on_right, on_wrong = agreement(ScriptedTeacher(tokenizer), renderer, cases(6, 1000))
    assert 0.80 < on_right < 0.86
    assert 0.92 < on_wrong < 0.97
    assert 0.87 < (on_right + on_wrong) / 2 < 0.91


def agreement(
    teacher: ScriptedTeacher, renderer: Renderer, drawn: list[Case]
) -> tuple[float, float]:
    """On right and on wrong steps."""
    requests = [Request(id=c.id, prompt_T=renderer.prompt(c), n=1, seed=9) for c in drawn]
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for case, answer in zip(drawn, teacher.sample(requests, PARAMS), strict=True):
        assert isinstance(answer, Completion)
        assert case.gold is not None
        hits[case.gold].append(answer.samples[0].text.endswith("yes") == case.gold)
    return sum(hits[True]) / len(hits[True]), sum(hits[False]) / len(hits[False])


def test_sample_k_does_not_depend_on_the_wave_or_the_batch(
    renderer: Renderer, tokenizer: Any
) -> None:
    teacher = ScriptedTeacher(tokenizer)
    prompts = [renderer.prompt(case) for case in cases(7, 20)]
    whole = [Request(id=str(i), prompt_T=p, n=6, seed=i) for i, p in enumerate(prompts)]
    for request, answer in zip(whole, teacher.sample(whole, PARAMS), strict=True):
        wave = Request(
            id=request.id, prompt_T=request.prompt_T, n=2, seed=request.seed, first_sample=4
        )
        [alone] = teacher.sample([wave], PARAMS)
        assert isinstance(answer, Completion)
        assert isinstance(alone, Completion)
        assert alone.samples == answer.samples[4:]


def test_the_direct_template_gets_the_verdict_alone(tokenizer: Any) -> None:
    renderer = Renderer(load_template("chain_direct"), tokenizer)
    request = Request(id="a", prompt_T=renderer.prompt(cases(8, 1)[0]), n=1, seed=0)
    [answer] = ScriptedTeacher(tokenizer).sample([request], PARAMS)
    assert isinstance(answer, Completion)
    assert answer.samples[0].text in {"correct ? yes", "correct ? no"}


def test_the_teacher_says_that_it_is_scripted(tokenizer: Any) -> None:
    assert "scripted" in ScriptedTeacher(tokenizer).name


def test_a_prompt_of_another_world_is_refused_not_guessed(tokenizer: Any) -> None:
    request = Request(id="x", prompt_T=tuple(tokenizer("check : yes")["input_ids"]), n=1, seed=0)
    [answer] = ScriptedTeacher(tokenizer).sample([request], PARAMS)
    assert isinstance(answer, Refused)
    assert answer.cause == "unreadable-prompt"


def test_a_sample_that_hits_the_token_limit_says_so(renderer: Renderer, tokenizer: Any) -> None:
    request = Request(id="a", prompt_T=renderer.prompt(cases(8, 1)[0]), n=1, seed=0)
    [answer] = ScriptedTeacher(tokenizer).sample([request], SamplingParams(max_tokens=5))
    assert isinstance(answer, Completion)
    assert answer.samples[0].finish == "length"
    assert len(answer.samples[0].token_ids) == 5


@pytest.mark.parametrize(
    ("question", "previous", "now"),
    [
        ("What is 3 + 4?", (), "345 + 210 = 555"),  # no chain problem
        ("345 #1 + 210", (), "345 + 210 is 555"),  # no chain step
        ("345 #1 + 210", ("345 + 210 = 555",), "555 + 210 = 765"),  # a step too many
    ],
)
def test_text_of_another_world_is_bad_input(
    question: str, previous: tuple[str, ...], now: str
) -> None:
    with pytest.raises(BadInput, match="chain"):
        check_of(question, previous, now)
