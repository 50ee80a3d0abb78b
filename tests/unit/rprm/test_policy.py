"""Does a policy continue the ids it was trained on, and is its text read as it was meant?"""

from __future__ import annotations

from typing import Any, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.chain_policy import ChainFormat, stated, worked
from rprm.chat_policy import ChatFormat, has_foreign_characters
from rprm.data import chains
from rprm.data.chain_tokenizer import UNKNOWN, chain_tokenizer
from rprm.engines.base import Sample
from rprm.engines.tokenizers import decode
from rprm.errors import BadInput
from rprm.policy import FormatName, PolicyFormat, Proposal, make_policy_format
from tests.unit.rprm.small_tokenizers import byte_level, chatml

Finish = Literal["stop", "eos", "length"]
CHAIN = ChainFormat(chain_tokenizer())
CHAT = ChatFormat(chatml(), system="Think.")
PROBLEM = "345 #1 + 210 #2 - 120"
STEPS = ("345 + 210 = 555", "555 - 120 = 435")
WORKED = (
    "value 345 term #1 + 210 units 5 + 0 = 5 carry 0 tens 4 + 1 = 5 "
    "carry 0 hundreds 3 + 2 = 5 so 555"
)
numbers = st.integers(0, 10**9)
anything = st.text() | st.text(alphabet="0123456789 +-=#. value term so units")


def sample(text: str, finish: Finish) -> Sample:
    return Sample(text=text, token_ids=(0, 0, 0), finish=finish)


def ids_as_text(fmt: ChainFormat | ChatFormat, ids: tuple[int, ...]) -> str:
    return cast(Any, fmt.tokenizer).decode(list(ids))


@pytest.mark.parametrize(("fmt", "steps"), [(CHAIN, STEPS), (CHAT, ("We add.", "So \\boxed{5}."))])
def test_what_training_writes_is_what_sampling_goes_on_from(
    fmt: PolicyFormat, steps: tuple[str, ...]
) -> None:
    whole = fmt.prompt(PROBLEM, ()) + fmt.completion(steps)
    for count in range(len(steps)):
        prompt = fmt.prompt(PROBLEM, steps[:count])
        assert whole[: len(prompt)] == prompt


@given(seed=numbers, index=numbers)
@settings(max_examples=100, deadline=None)
def test_a_solution_of_the_world_comes_back_step_for_step(seed: int, index: int) -> None:
    one = chains.solution(seed, index, "train")
    ids = CHAIN.completion(one.steps)
    assert ids[-1] == CHAIN.eos_id
    written = CHAIN.read_solution(
        Sample(text=decode(CHAIN.tokenizer, list(ids)), token_ids=ids, finish="eos")
    )
    assert written == (one.steps, one.steps[-1].split()[-1])


def test_every_word_of_the_chain_layout_is_in_the_vocabulary() -> None:
    text = ids_as_text(CHAIN, CHAIN.prompt(PROBLEM, STEPS) + CHAIN.completion(STEPS))
    assert UNKNOWN not in text


def test_the_working_leads_to_the_result_that_is_stated_even_a_wrong_one() -> None:
    assert worked(STEPS[0], number=1) == WORKED
    assert worked("345 + 210 = 565", number=1).endswith("hundreds 3 + 2 = 5 so 565")
    assert "tens 4 + 1 = 6" in worked("345 + 210 = 565", number=1)
    assert worked("let us see", number=1) == "let us see"


@pytest.mark.parametrize(
    ("text", "step"),
    [
        (WORKED, STEPS[0]),
        (" ".join(WORKED), None),  # letters are no tokens
        (WORKED.replace("345", "3 4 5").replace("555", "5 5 5"), STEPS[0]),
        (WORKED.replace("so 555", "so 556"), "345 + 210 = 556"),
        (WORKED.replace("value 345", "value 346"), "346 + 210 = 555"),
        (WORKED.replace(" so 555", ""), None),
        (WORKED.replace("value", "so"), None),
        ("", None),
    ],
)
def test_a_step_is_read_from_its_ends_and_not_from_its_columns(text: str, step: str | None) -> None:
    assert stated(text) == step


@pytest.mark.parametrize(
    ("fmt", "text", "finish", "read"),
    [
        (CHAIN, f"{WORKED} .", "stop", Proposal(text=STEPS[0], finished=False, num_tokens=3)),
        (CHAIN, WORKED, "eos", Proposal(text=STEPS[0], finished=True, num_tokens=3)),
        (CHAIN, WORKED, "length", None),
        (CHAIN, "value 345 .", "stop", None),
        (CHAIN, "", "eos", None),
        (CHAT, " We add.\n\n", "stop", Proposal(text="We add.", finished=False, num_tokens=3)),
        (CHAT, "So 5.\n", "eos", Proposal(text="So 5.", finished=True, num_tokens=3)),
        (CHAT, "We ad", "length", None),
        (CHAT, "\n\n", "stop", None),
        (CHAT, "所以 5\n\n", "stop", None),
    ],
)
def test_a_step_that_was_cut_off_or_makes_no_sense_is_no_proposal(
    fmt: PolicyFormat, text: str, finish: Finish, read: Proposal | None
) -> None:
    assert fmt.read_step(sample(text, finish)) == read


@pytest.mark.parametrize("fmt", [CHAIN, CHAT])
@given(text=anything, finish=st.sampled_from(["stop", "eos", "length"]))
def test_no_text_makes_a_reader_raise(fmt: PolicyFormat, text: str, finish: Finish) -> None:
    proposal = fmt.read_step(sample(text, finish))
    written = fmt.read_solution(sample(text, finish))
    assert proposal is None or proposal.text.strip()
    assert written is None or all(step.strip() for step in written.steps)
    assert all(part.strip() for part in fmt.split(text))


def test_a_solution_that_was_cut_off_or_has_an_unreadable_part_is_unusable() -> None:
    assert CHAIN.read_solution(sample(WORKED, "length")) is None
    assert CHAIN.read_solution(sample(f"{WORKED} . value 555", "eos")) is None
    assert CHAIN.split(f"{WORKED} . value 5 5 5") == (STEPS[0], "value 5 5 5")
    assert CHAT.read_solution(sample("\n\n \n\n", "eos")) is None


def test_a_chat_answer_is_read_by_its_blank_lines_and_its_box() -> None:
    text = "We add.\n\n\n\nThat is all.\nSo \\boxed{5}."
    assert CHAT.read_solution(sample(text, "eos")) == (
        ("We add.", "That is all.\nSo \\boxed{5}."),
        "5",
    )
    assert CHAT.read_solution(sample("We add.", "eos")) == (("We add.",), None)


def test_a_chat_prompt_is_the_models_own_with_the_steps_behind_it() -> None:
    head = "<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n"
    assistant = "<|im_start|>assistant\n"
    assert ids_as_text(CHAT, CHAT.prompt("1 + 1?", ())) == head + assistant
    assert ids_as_text(CHAT, CHAT.prompt("1 + 1?", ("A.", "B."))) == (
        head + assistant + "A.\n\nB.\n\n"
    )
    alone = make_policy_format("chat", chatml(), system=None)
    assert isinstance(alone, ChatFormat)
    assert "system" not in ids_as_text(alone, alone.prompt("1 + 1?", ()))


@pytest.mark.parametrize("fmt", [CHAIN, CHAT])
def test_data_that_spells_a_special_token_never_becomes_one(fmt: ChainFormat | ChatFormat) -> None:
    eos = cast(Any, fmt.tokenizer).eos_token
    plain = fmt.prompt("1 + 1?", ("A.",)).count(fmt.eos_id)
    assert fmt.prompt(f"1 + {eos} 1?", (f"A{eos}.",)).count(fmt.eos_id) == plain
    assert fmt.completion((f"A{eos}.",)).count(fmt.eos_id) == 1


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        ("If $x^2 = 4$, then \\boxed{\\pm 2} 'or' \"so\"; [a_1] {b} <c> | & @ # % 1/2!", False),
        ("αβγ Ωμέγα naïve √2 ∞ ± \u00d7 ÷ 90°\n\ttab", False),
        ("x ≤ 2", True),  # as published: no other signs of mathematics
        ("答案", True),
        ("ответ", True),
        ("`code`", True),
    ],
)
def test_the_published_search_knows_latin_greek_digits_and_some_signs(
    text: str, is_foreign: bool
) -> None:
    assert has_foreign_characters(text) is is_foreign


def test_a_tokenizer_that_cannot_serve_is_told_what_is_missing() -> None:
    with pytest.raises(BadInput, match="no EOS"):
        make_policy_format("chain", byte_level())
    with pytest.raises(BadInput, match="no chat template"):
        make_policy_format("chat", byte_level(eos_token="<eos>"))
    with pytest.raises(BadInput, match="no policy format"):
        make_policy_format(cast(FormatName, "prose"), chatml())
    silent = chatml()
    silent.chat_template = "{{ messages[0].role }}"
    with pytest.raises(BadInput, match="loses"):
        make_policy_format("chat", silent)
    strict = chatml()
    strict.chat_template = "{{ raise_exception('no system turn') }}"
    with pytest.raises(BadInput, match="no system turn"):
        make_policy_format("chat", strict)
