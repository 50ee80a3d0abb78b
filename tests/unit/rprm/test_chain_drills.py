"""Do drills teach digits without giving anything of the task away?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.data.chain_drills import column_drill, drill_examples, layout_drill
from rprm.data.chain_tokenizer import chain_tokenizer
from rprm.data.chains import split_of, stream
from rprm.prompting import Renderer, load_template

RENDERER = Renderer(load_template("chain"), chain_tokenizer())


@given(seed=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_a_drill_has_every_line_and_no_verdict(seed: int) -> None:
    case, text = layout_drill(stream(seed))
    words = text.split()
    assert len(words) == 52
    assert words.count("ok") + words.count("bad") == 3 + 4 + 3
    assert "correct" not in words
    assert case.gold is None


@given(seed=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_drills_in_the_layout_use_problems_of_the_training_split_only(seed: int) -> None:
    assert split_of(layout_drill(stream(seed))[0].question) == "train"


@given(seed=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_column_lines_add_up(seed: int) -> None:
    prompt, text = column_drill(stream(seed))
    sign = prompt.split()[3]
    carried = 0
    for line in f"carry 0 {text}".split("carry ")[1:]:
        carry, _, one, same_sign, other, _, digit, claimed, word = line.split()
        assert (int(carry), same_sign) == (carried, sign)
        moved = int(one) + (1 if sign == "+" else -1) * (int(other) + int(carry))
        assert moved % 10 == int(digit)
        assert word == ("ok" if digit == claimed else "bad")
        carried = int(not 0 <= moved <= 9)


def test_drills_are_a_function_of_seed_and_row() -> None:
    assert drill_examples(1, [7], RENDERER) == drill_examples(1, range(10), RENDERER)[7:8]


def test_two_of_five_drills_are_in_the_layout_and_no_word_is_unknown() -> None:
    drawn = drill_examples(2, range(1000), RENDERER)
    start = RENDERER.tokenizer(["question"])["input_ids"][0][0]
    assert 0.35 < sum(one.prompt_T[0] == start for one in drawn) / len(drawn) < 0.45
    unknown = chain_tokenizer().unk_token_id
    assert not any(unknown in one.prompt_T + one.completion_T for one in drawn)
