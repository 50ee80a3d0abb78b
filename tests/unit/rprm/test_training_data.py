"""Is ill-formed training data caught before training, and in which order is the rest seen?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.errors import BadInput, TruncationError
from rprm.training.collate import Example, Pair, check_lengths, check_tokens, short_first
from rprm.training.ordering import EpochSampler, epoch_order

EOS = 0


def example(name: str, prompt: int = 3, completion: int = 2) -> Example:
    return Example(id=name, prompt_T=(5,) * prompt, completion_T=(*(6,) * (completion - 1), EOS))


def test_examples_of_exactly_the_maximum_length_fit() -> None:
    check_lengths([example("fits", prompt=6, completion=4)], 10)


def test_a_truncation_error_names_the_count_the_worst_and_the_length_needed() -> None:
    examples = [example("short"), example("long", 9), example("longest", 20), example("long2", 9)]
    with pytest.raises(TruncationError) as caught:
        check_lengths(examples, 10)
    message = str(caught.value)
    assert "3 of 4" in message
    assert "longest (22 tokens), long (11 tokens), long2 (11 tokens)" in message
    assert "max_length to at least 22" in message


def test_both_completions_of_a_pair_must_fit() -> None:
    pair = Pair(id="p", prompt_T=(5, 5), chosen_T=(6, EOS), rejected_T=(6, 6, 6, 6, EOS))
    check_lengths([pair], 7)
    with pytest.raises(TruncationError, match=r"p \(7 tokens\)"):
        check_lengths([pair], 6)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (Example(id="e", prompt_T=(), completion_T=(EOS,)), "empty prompt"),
        (Example(id="e", prompt_T=(5,), completion_T=()), "empty completion"),
        (Example(id="e", prompt_T=(5,), completion_T=(6, 7)), "ends with token 7"),
        (Example(id="e", prompt_T=(50,), completion_T=(EOS,)), "token 50 is not in"),
        (Example(id="e", prompt_T=(5,), completion_T=(-1, EOS)), "token -1 is not in"),
        (  # only the rejected one is wrong
            Pair(id="e", prompt_T=(5,), chosen_T=(EOS,), rejected_T=(6,)),
            "ends with token 6",
        ),
    ],
)
def test_ill_formed_token_ids_are_refused(bad: Example | Pair, complaint: str) -> None:
    with pytest.raises(BadInput, match=f"e: .*{complaint}"):
        check_tokens([example("good"), bad], eos_id=EOS, vocab_size=10)


def test_well_formed_token_ids_pass() -> None:
    check_tokens([example("good")], eos_id=EOS, vocab_size=10)


def test_evaluation_goes_from_short_to_long() -> None:
    ordered = short_first([example("b", 9), example("c", 1), example("a", 9)])
    assert [e.id for e in ordered] == ["c", "a", "b"]


LENGTHS = st.lists(st.integers(min_value=1, max_value=99), min_size=1, max_size=300)


@given(
    lengths=LENGTHS,
    batch_size=st.integers(min_value=1, max_value=9),
    epoch=st.integers(min_value=0, max_value=9),
    by_length=st.booleans(),
)
def test_an_epoch_sees_every_example_once_and_always_in_the_same_order(
    lengths: list[int], batch_size: int, epoch: int, by_length: bool
) -> None:
    first, second = (
        epoch_order(lengths, batch_size=batch_size, seed=7, epoch=epoch, by_length=by_length)
        for _ in range(2)
    )
    assert first == second
    assert sorted(first) == list(range(len(lengths)))


def padding(lengths: list[int], order: list[int], batch_size: int) -> int:
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return sum(max(lengths[i] for i in b) * len(b) - sum(lengths[i] for i in b) for b in batches)


def test_grouping_by_length_pads_less_and_still_mixes_the_batches() -> None:
    lengths = [1 + (37 * i) % 100 for i in range(400)]
    orders = {
        by_length: epoch_order(lengths, batch_size=8, seed=1, epoch=0, by_length=by_length)
        for by_length in (False, True)
    }
    assert padding(lengths, orders[True], 8) < padding(lengths, orders[False], 8) / 4
    first_of_batches = [lengths[i] for i in orders[True][::8]]
    assert first_of_batches != sorted(first_of_batches)


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order([1] * 50, batch_size=8, seed=seed, epoch=epoch, by_length=False)

    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    sampler = EpochSampler([1] * 50, batch_size=8, seed=0, by_length=False)
    sampler.set_epoch(1)
    assert (list(sampler), len(sampler)) == (order(0, 1), 50)
