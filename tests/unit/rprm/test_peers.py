"""Are the tensor-free parts of the peers right: batches, cuts, tags, and the registry?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.data.hub import is_hub_id
from rprm.engines.base import Refused
from rprm.errors import BadInput
from rprm.peers.base import LaidOut, PeerOptions, batches_of, check_options, fit
from rprm.peers.factory import ABOVE_HALF, AT_LEAST_HALF, PEERS, label_of, make_peer, peer_card
from rprm.peers.math_shepherd import write
from rprm.peers.tagging import fill, marker_for
from rprm.schema import Solution
from rprm.scoring import first_error
from rprm.stages.peer import Peer

LENGTHS = st.lists(st.integers(0, 300), max_size=40)


@given(LENGTHS, st.integers(1, 1000))
def test_every_solution_is_in_one_batch_and_no_batch_is_too_large(
    lengths: list[int], batch_tokens: int
) -> None:
    batches = batches_of(lengths, batch_tokens=batch_tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        width = max(lengths[index] for index in batch)
        assert len(batch) == 1 or width * len(batch) <= batch_tokens


@given(LENGTHS, st.integers(1, 1000))
def test_a_batch_holds_neighbours_in_length(lengths: list[int], batch_tokens: int) -> None:
    batches = batches_of(lengths, batch_tokens=batch_tokens)
    order = [lengths[index] for batch in batches for index in batch]
    assert order == sorted(lengths, reverse=True)


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(1, 220))
def test_a_cut_keeps_the_steps_that_fit_and_no_other(places: set[int], max_length: int) -> None:
    whole = LaidOut(id="s", tokens_T=tuple(range(250)), positions_S=tuple(sorted(places)))
    refused = fit(whole, max_length=max_length, overlong="refuse")
    cut = fit(whole, max_length=max_length, overlong="truncate")
    if max(places) < max_length:
        assert refused == cut == whole
        return
    assert isinstance(refused, Refused)
    assert refused.detail.startswith(f"{max(places) + 1} tokens > {max_length};")
    fitting = tuple(sorted(place for place in places if place < max_length))
    if fitting:
        assert isinstance(cut, LaidOut)
        assert cut.positions_S == fitting
        assert cut.length <= max_length
    else:
        assert cut == refused


@given(st.lists(st.text(alphabet="ab\ue000\ue0010", max_size=8), min_size=1, max_size=5))
def test_tags_land_where_they_were_written_whatever_the_steps_say(steps: list[str]) -> None:
    marker = marker_for(steps)
    rendered = "<a>" + "".join(step + marker for step in steps) + "<z>"
    text, ends_S = fill(rendered, marker=marker, tag="TAG", count=len(steps))
    assert text == "<a>" + "".join(step + "TAG" for step in steps) + "<z>"
    assert [text[:end].endswith("TAG") for end in ends_S] == [True] * len(steps)
    assert ends_S[-1] == len(text) - len("<z>")


def test_a_chat_template_that_drops_a_turn_is_an_error() -> None:
    with pytest.raises(BadInput, match="1 of 2 step tags"):
        fill("user: aM", marker="M", tag="+", count=2)


def test_math_shepherds_text_numbers_the_steps_that_have_no_number() -> None:
    one = Solution(
        id="s",
        problem_id="s",
        subset="",
        generator="",
        problem="Q?",
        steps=("Add. ", "Step 2: so 4", "Step two: 5", " "),
        label=-1,
    )
    text, ends_S = write(one)
    assert text == "Q? Step 1: Add. ки\nStep 2: so 4 ки\nStep 3: Step two: 5 ки\nStep 4: ки\n"
    assert [text[end - 2 : end] for end in ends_S] == ["ки"] * 4


@pytest.mark.parametrize("name", PEERS)
def test_a_card_names_its_weights_and_how_to_read_their_scores(name: str) -> None:
    card = peer_card(name)
    assert card.name == name
    assert is_hub_id(card.model)
    assert card.licence
    assert label_of(card, None, None) == f"{card.model}@{card.revision}"
    assert label_of(card, card.model, "v1") == f"{card.model}@v1"
    assert label_of(card, "other/weights", None) == "other/weights@main"
    assert label_of(card, "tests/unit", None) == name  # a folder that exists


def test_a_rule_decides_a_score_of_exactly_one_half() -> None:
    assert ABOVE_HALF.threshold is not None
    assert AT_LEAST_HALF.threshold is not None
    assert first_error([0.5], threshold=ABOVE_HALF.threshold) == 0
    assert first_error([0.5], threshold=AT_LEAST_HALF.threshold) == -1
    assert first_error([0.5 + 1e-9], threshold=ABOVE_HALF.threshold) == -1


def test_a_misspelt_peer_is_corrected() -> None:
    with pytest.raises(BadInput, match=r"did you mean 'qwen2\.5-math-prm-7b'"):
        make_peer("qwen2.5-prm-7b")


def test_only_rlhflow_has_a_choice_of_joint() -> None:
    assert Peer(Peer.Params(peer="rlhflow-deepseek-8b", joint=" ")).card.adapter == "rlhflow"
    with pytest.raises(BadInput, match="leave joint out"):
        Peer(Peer.Params(peer="skywork-prm-7b", joint=" "))


def test_sizes_that_mean_nothing_are_errors() -> None:
    with pytest.raises(BadInput, match="batch_tokens is 0"):
        check_options(PeerOptions(batch_tokens=0))
    with pytest.raises(BadInput, match="use one of auto, float32, bfloat16"):
        check_options(PeerOptions(dtype="bf16"))
