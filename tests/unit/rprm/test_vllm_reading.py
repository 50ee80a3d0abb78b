"""Are samples of a server read as the engine in process would have written them?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.data.chain_tokenizer import VOCABULARY, chain_tokenizer
from rprm.engines.base import SamplingParams, VerdictFormat
from rprm.engines.vllm_protocol import Drawn
from rprm.engines.vllm_reading import Reader, StoppedTooSoon, Unread, reader_of

EOS = 1
MARKER = "correct ?"
VERDICT = VerdictFormat(marker=MARKER, yes=" yes", no=" no")
JUDGING = SamplingParams(verdict=VERDICT)
READER = reader_of(chain_tokenizer(), None)


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(chain_tokenizer().encode(text, add_special_tokens=False))


def drawn(text: str, *, cut: bool = False, eos: bool = True, beliefs: Any = None) -> Drawn:
    ids = (*ids_of(text), EOS) if eos else ids_of(text)
    return Drawn(token_ids=ids, cut=cut, beliefs=beliefs)


class Pieces:
    """A tokenizer of whole pieces of text."""

    eos_token_id = 0
    pieces = ("", "so it is correct", " ?", " ? yes", " no", "correct ?")

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "".join(self.pieces[number] for number in ids)

    def encode(self, text: str, **_: Any) -> list[int]:
        return [100 + len(text)]


def pieces() -> Reader:
    return Reader(tokenizer=Pieces(), decode=Pieces().decode, eos=frozenset({0}))


def test_a_sample_ends_with_eos_or_with_the_limit() -> None:
    ended, _ = READER.sample(drawn("so value 7"), SamplingParams())
    cut, _ = READER.sample(drawn("so value 7", eos=False, cut=True), SamplingParams())
    assert (ended.finish, cut.finish) == ("eos", "length")
    assert ended.text == cut.text == READER.decode(ids_of("so value 7"))
    assert len(ended.token_ids) == len(cut.token_ids) + 1


def test_a_stop_string_ends_the_sample_wherever_the_server_ended_it() -> None:
    params = SamplingParams(stop=("value 7",))
    found, _ = READER.sample(drawn("check value 7 and more value 7"), params)
    assert (found.text, found.finish) == ("check value 7", "stop")
    assert found.token_ids == ids_of("check value 7")


def test_of_two_stop_strings_the_first_that_is_complete_counts() -> None:
    params = SamplingParams(stop=("value 7", "check"))
    found, _ = READER.sample(drawn("check value 7"), params)
    assert found.text == "check"


def test_a_text_that_the_server_stopped_for_nothing_is_an_error() -> None:
    with pytest.raises(StoppedTooSoon):
        READER.sample(drawn("check value 7", eos=False), SamplingParams(stop=("units",)))


def test_a_belief_that_came_along_is_the_one_after_the_marker() -> None:
    text = f"check value 7 {MARKER} yes"
    beliefs = [index / 100 for index in range(len(ids_of(text)) + 1)]
    found, unread = READER.sample(drawn(text, beliefs=beliefs), JUDGING)
    assert unread is None
    assert found.p_yes == beliefs[len(ids_of(f"check value 7 {MARKER}"))]


def test_a_belief_that_did_not_come_along_is_asked_for_after_the_marker() -> None:
    _, unread = READER.sample(drawn(f"check {MARKER} yes so {MARKER} no"), JUDGING)
    assert unread == Unread(ids_T=ids_of(f"check {MARKER}"))


def test_a_belief_right_after_the_last_token_is_asked_for() -> None:
    text = f"check {MARKER}"
    beliefs = [0.5] * len(ids_of(text))
    cut = drawn(text, eos=False, cut=True, beliefs=beliefs)
    assert READER.sample(cut, JUDGING)[1] == Unread(ids_T=ids_of(text))


def test_a_marker_that_ends_inside_a_token_is_cut_and_tokenized_anew() -> None:
    ended = Drawn(token_ids=(1, 3, 0), cut=False, beliefs=[0.1, 0.2, 0.3])
    found, unread = pieces().sample(ended, JUDGING)
    assert found.text == "so it is correct ? yes"
    assert unread == Unread(ids_T=(100 + len("so it is correct ?"),))


def test_a_text_without_a_marker_has_no_belief() -> None:
    found, unread = READER.sample(drawn("check value 7"), JUDGING)
    assert (found.p_yes, unread) == (None, None)


@given(
    st.lists(st.integers(3, len(VOCABULARY) - 1), max_size=150),
    st.lists(st.sampled_from(ids_of(f"{MARKER} {MARKER} yes")), max_size=8),
    st.lists(st.integers(3, len(VOCABULARY) - 1), max_size=150),
)
def test_the_first_occurrence_is_found_wherever_it_is(
    before: list[int], amid: list[int], after: list[int]
) -> None:
    ids = (*before, *amid, *after)
    text = READER.decode(ids)
    found = READER.locate(ids, text, MARKER)
    expected = next(
        (n for n in range(len(ids) + 1) if MARKER in READER.decode(ids[:n])),
        None,
    )
    assert (None if found is None else found.num_tokens) == expected
    if found is not None:
        assert text[: found.end].endswith(MARKER)
        assert found.flush


def test_eos_is_what_the_model_declares_beside_its_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"eos_token_id": 9}')
    assert reader_of(chain_tokenizer(), tmp_path).eos == {EOS, 9}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    assert reader_of(chain_tokenizer(), tmp_path).eos == {EOS, 2, 7}
