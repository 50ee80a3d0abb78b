"""Are critics asked in the published words, and read by the published rules?"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.peers.critic_prompts import PromptName, load_prompt
from rprm.peers.critic_protocols import PrmBenchJudge, ProcessBenchCritique
from rprm.peers.critic_reading import (
    StepRatings,
    Unreadable,
    boxed,
    index_of,
    majority,
    ratings_of,
    score_of,
)
from rprm.peers.critics import CRITICS, critic_model
from rprm.schema import Solution

SOLUTION = Solution(
    id="gsm8k-0",
    problem_id="p",
    subset="gsm8k",
    generator="g",
    problem="What is {solution} + 1?",
    steps=("1. First", "Step 2.  Then {problem}", "last \\boxed{3}"),
    label=-1,
)


@pytest.mark.parametrize(
    ("text", "answer", "index"),
    [
        (r"so \boxed{1} or rather \boxed{ 2 }", "2", 2),
        (r"\boxed{-1}", "-1", -1),
        (r"\boxed{\text{1}}", r"\text{1", None),
        (r"\boxed{paragraph_1}", "paragraph_1", None),
        (r"\boxed{}", "", None),
        (r"\boxed{1.0}", "1.0", None),
        (r"\boxed{+3}", "+3", 3),
        ("\\boxed{\n4\n}", "4", 4),
        (r"\boxed{99999999999999999999}", "99999999999999999999", None),
        (r"\boxed{" + "9" * 5000 + "}", "9" * 5000, None),
        (r"boxed{1}", None, None),
        (r"\boxed{1", None, None),
        ("", None, None),
    ],
    ids=range(13),
)
def test_the_index_is_what_the_last_box_holds(
    text: str, answer: str | None, index: int | None
) -> None:
    assert boxed(text) == answer
    assert index_of(boxed(text)) == index


@pytest.mark.parametrize(
    ("answers", "index"),
    [
        (["1", "2", "2"], 2),
        (["2", "1", "1", "2"], 2),  # a tie goes to the one met first
        ([None, None, "3"], 3),
        ([None, None], None),
        (["x", "x", "1"], None),  # strings are counted before anyone asks for numbers
        (["01", "1", "1", "01", "1"], 1),
        (["1 ", " 1", "2"], 1),
    ],
)
def test_the_vote_is_over_what_is_written(answers: list[str | None], index: int | None) -> None:
    texts = ["none" if one is None else f"\\boxed{{{one}}}" for one in answers]
    assert majority(texts) == index


@given(answers=st.lists(st.sampled_from(["-1", "0", "1", "two", None]), min_size=1, max_size=9))
def test_a_vote_agrees_with_counting_by_hand(answers: list[str | None]) -> None:
    said = [one for one in answers if one is not None]
    most = Counter(said).most_common(1)
    expected = int(most[0][0]) if most and most[0][0] != "two" else None
    assert majority(["?" if one is None else f"\\boxed{{{one}}}" for one in answers]) == expected


@given(text=st.text(alphabet='\\boxed{}01-{"a:[],', max_size=60))
def test_no_text_breaks_the_readers(text: str) -> None:
    assert majority([text]) == index_of(boxed(text))
    ratings_of(text)


def test_ratings_are_found_inside_prose_fences_and_comments() -> None:
    text = 'Sure:\n```json\n{"validity": [1, -0.5], // mine\n "redundancy": [0, 1.0]}\n```'
    assert ratings_of(text) == StepRatings(validity_S=(1.0, -0.5), redundancy_S=(0.0, 1.0))


def test_the_first_object_that_is_json_counts() -> None:
    good = '{"validity": [1], "redundancy": [1]}'
    assert isinstance(ratings_of("{not json} " + good), StepRatings)
    assert ratings_of('{"a": {"b": 1}} ' + good) == Unreadable(ask_again=False)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("", False),
        ("no object", False),
        ("} {", False),
        ('{"validity": [1]', False),
        ('{"validity": [1]}', False),
        ('{"validity": ["1"], "redundancy": [0]}', True),
        ('{"validity": [null], "redundancy": [0]}', True),
        ('{"validity": 1, "redundancy": [0]}', True),
    ],
)
def test_what_cannot_be_read_is_asked_for_again_only_where_the_protocol_does(
    text: str, again: bool
) -> None:
    assert ratings_of(text) == Unreadable(ask_again=again)


def test_numbers_of_any_size_are_ratings() -> None:
    huge = json.dumps({"validity": [10**400, -(10**400), True], "redundancy": [1e308]})
    found = ratings_of(huge.replace("1e+308", "1e999"))
    assert isinstance(found, StepRatings)
    assert [score_of(one) for one in found.validity_S] == [1.0, 0.0, 1.0]


@given(rating=st.floats())
def test_a_score_reaches_one_half_exactly_where_the_rating_is_positive(rating: float) -> None:
    score = score_of(rating)
    assert 0.0 <= score <= 1.0
    assert (score >= 0.5) == (rating > 0)
    assert (score > 0.5) == (rating > 0)


@given(low=st.floats(-1, 1, allow_nan=False), high=st.floats(-1, 1, allow_nan=False))
def test_scores_keep_the_order_of_ratings(low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert score_of(low) <= score_of(high)


def test_scores_are_linear_away_from_one_half() -> None:
    assert [score_of(one) for one in (-1, -0.5, 0.5, 1)] == [0.0, 0.25, 0.75, 1.0]


def test_processbench_asks_in_one_user_message_with_tagged_paragraphs() -> None:
    request = ProcessBenchCritique(CRITICS["gpt-4o-2024-08-06"], votes=1).request(SOLUTION)
    (message,) = request.messages
    assert message.role == "user"
    before, _, after = message.text.partition("<paragraph_0>\n1. First\n</paragraph_0>\n\n")
    assert before.startswith("The following is a math problem and a solution (split into")
    assert before.endswith("[Math Problem]\n\nWhat is {solution} + 1?\n\n[Solution]\n\n")
    assert "\n\n<paragraph_2>\nlast \\boxed{3}\n</paragraph_2>\n\nYour task" in after
    assert after.endswith("put your final answer (i.e., the index) in \\boxed{}.")


def test_prmbench_shows_two_examples_and_numbers_the_steps_itself() -> None:
    request = PrmBenchJudge(CRITICS["gpt-4o-2024-08-06"]).request(SOLUTION)
    roles = [one.role for one in request.messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert request.messages[-1].text == (
        "Question: What is {solution} + 1?\n\n Solutions: Step 1: First \n\n"
        "Step 2: Then {problem} \n\nStep 3: last \\boxed{3} \n\n"
    )
    assert request.n == 1
    assert request.sampling.temperature == 0.0


def test_the_examples_of_prmbench_rate_every_step() -> None:
    turns = load_prompt("prmbench_judge").turns
    for question, answer in ((turns[1], turns[2]), (turns[3], turns[4])):
        ratings = ratings_of(answer.text)
        assert isinstance(ratings, StepRatings)
        steps = len(re.findall(r"^Step \d+\. ", question.text, re.M))
        assert len(ratings.validity_S) == len(ratings.redundancy_S) == steps


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        (
            "processbench_critique",
            "df91b281a7aec7f11a9bfc063cb98c42088815e307235dad0b0e67f9f39a1ec5",
        ),
        ("prmbench_judge", "1f565871d5c13b8ee6e4c263b74fc2960b2b14039746aa3c38815743906c2c33"),
    ],
)
def test_the_words_of_a_prompt_are_those_that_were_published(name: PromptName, sha256: str) -> None:
    turns = load_prompt(name).turns
    text = "\x00".join(f"{turn.role}\x00{turn.text}" for turn in turns)
    assert hashlib.sha256(text.encode()).hexdigest().startswith(sha256)


def test_greedy_and_voting_follow_the_published_settings() -> None:
    plain, math = critic_model("Qwen2.5-72B-Instruct"), critic_model("Qwen2.5-Math-72B-Instruct")
    greedy = plain.sampling(1)
    assert (greedy.temperature, greedy.max_tokens, greedy.seed) == (0.0, 8192, 42)
    votes = plain.sampling(8)
    assert (votes.temperature, votes.top_p, votes.top_k) == (1.0, 0.9, None)
    cooler = math.sampling(8)
    assert (cooler.temperature, cooler.top_p, cooler.top_k) == (0.7, 0.8, 20)
    assert critic_model("QwQ-32B-Preview").max_tokens == 32768
    assert critic_model("Qwen/QwQ-32B-Preview").name == "QwQ-32B-Preview"
    assert critic_model("someone/Qwen2.5-Math-7B-Instruct").sampling(8) == cooler
    assert not CRITICS["o1-mini"].traits.temperature
