"""Do samples end where they should, and is the verdict read at the right place?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rprm.engines.base import Completion, Request, Sample, SamplingParams, VerdictFormat
from rprm.engines.stopping import ending_mask, find_first, tail_contains, token_texts
from rprm.engines.tokenizers import decode
from rprm.engines.transformers import TransformersEngine
from rprm.engines.verdict_tokens import verdict_token_ids
from rprm.errors import BadInput
from tests.unit.rprm.engine_models import byte_tokenizer, save_tiny, word_tokenizer

CORPUS = ["Is it correct? Yes", "Is it correct? No", "the step, the sum", " Yes No Yes No"] * 20


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    return TransformersEngine(
        save_tiny(tmp_path_factory.mktemp("words"), word_tokenizer()), threads=1
    )


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    """Byte-level tokens, several characters each."""
    return TransformersEngine(
        save_tiny(tmp_path_factory.mktemp("pieces"), byte_tokenizer(CORPUS)), threads=1
    )


def one(engine: TransformersEngine, params: SamplingParams, *, k: int = 0) -> Sample:
    return several(engine, params, first=k, n=1)[0]


def several(
    engine: TransformersEngine, params: SamplingParams, *, first: int = 0, n: int = 30
) -> tuple[Sample, ...]:
    request = Request(id="a", prompt_T=(5, 9, 14), n=n, seed=0, first_sample=first)
    (answer,) = engine.sample([request], params)
    assert isinstance(answer, Completion)
    return answer.samples


def long_sample(engine: TransformersEngine, length: int = 24) -> int:
    """A sample that runs to the limit without a special token, which has no text."""
    return next(
        k
        for k, sample in enumerate(several(engine, SamplingParams(max_tokens=length)))
        if sample.finish == "length" and not set(sample.token_ids) & {0, 1, 2}
    )


def belief(engine: TransformersEngine, ids: tuple[int, ...], fmt: VerdictFormat) -> float:
    """P(Yes) after `ids` by a plain forward pass."""
    tokens = verdict_token_ids(engine.tokenizer, fmt)
    logits = engine.model(input_ids=torch.tensor([(5, 9, 14, *ids)])).logits[0, -1]
    return float(torch.softmax(logits[[tokens.yes, tokens.no]], dim=0)[0])


def test_the_stop_string_is_kept_and_nothing_after_it(words: TransformersEngine) -> None:
    k = long_sample(words)
    whole = one(words, SamplingParams(max_tokens=24), k=k)
    stop = " ".join(whole.text.split()[6:8])
    stopped = one(words, SamplingParams(max_tokens=24, stop=("never", stop)), k=k)
    assert stopped.finish == "stop"
    assert stopped.text == whole.text[: whole.text.index(stop) + len(stop)]
    assert whole.token_ids[: len(stopped.token_ids)] == stopped.token_ids


def test_a_stop_string_inside_a_token_cuts_the_text(pieces: TransformersEngine) -> None:
    k = long_sample(pieces)
    whole = one(pieces, SamplingParams(max_tokens=24), k=k)
    start = next(
        at
        for at in range(3, 24)
        if len(decode(pieces.tokenizer, [whole.token_ids[at]])) > 2
        and decode(pieces.tokenizer, [whole.token_ids[at]]).isascii()
    )
    before = decode(pieces.tokenizer, list(whole.token_ids[:start]))
    stop = whole.text[len(before) : len(before) + 2]
    stopped = one(pieces, SamplingParams(max_tokens=24, stop=(stop,)), k=k)
    assert stopped.finish == "stop"
    assert stopped.text == whole.text[: whole.text.index(stop) + 2]


def test_the_last_token_is_the_end_token_and_the_text_leaves_it_out(
    words: TransformersEngine,
) -> None:
    samples = several(words, SamplingParams(max_tokens=400))
    ended = next(sample for sample in samples if sample.finish == "eos")
    assert ended.token_ids[-1] == words.tokenizer.eos_token_id
    assert "<eos>" not in ended.text


def test_a_belief_is_read_even_when_the_text_ends_with_the_marker(
    words: TransformersEngine,
) -> None:
    k = long_sample(words)
    whole = one(words, SamplingParams(max_tokens=24), k=k)
    fmt = VerdictFormat(marker=" ".join(whole.text.split()[9:12]), yes=" yes", no=" no")
    expected = belief(words, whole.token_ids[:12], fmt)
    for params in (
        SamplingParams(max_tokens=24, verdict=fmt),  # in the same pass
        SamplingParams(max_tokens=24, verdict=fmt, stop=(fmt.marker,)),  # nothing was drawn there
        SamplingParams(max_tokens=12, verdict=fmt),
    ):
        assert one(words, params, k=k).p_yes == pytest.approx(expected, abs=1e-5)


def test_a_marker_that_ends_inside_a_token_is_read_after_cutting_the_text(
    pieces: TransformersEngine,
) -> None:
    k = long_sample(pieces)
    whole = one(pieces, SamplingParams(max_tokens=24), k=k)
    places = [
        at
        for at in range(2, 24)
        if len(decode(pieces.tokenizer, [whole.token_ids[at]])) > 1
        and decode(pieces.tokenizer, list(whole.token_ids[at - 1 : at + 1])).isascii()
    ]
    at = places[0]
    end = len(decode(pieces.tokenizer, list(whole.token_ids[: at + 1]))) - 1
    marker = whole.text[max(0, end - 3) : end]
    assert whole.text.index(marker) + len(marker) == end, "the marker must be new here"
    fmt = VerdictFormat(marker=marker, yes=" Yes", no=" No")
    cut = pieces.tokenizer.encode(whole.text[:end], add_special_tokens=False)
    read = one(pieces, SamplingParams(max_tokens=24, verdict=fmt), k=k)
    assert read.token_ids == whole.token_ids
    assert read.p_yes == pytest.approx(belief(pieces, tuple(cut), fmt), abs=1e-5)


@pytest.mark.parametrize("string", ["correct?", "? Yes", "p, t", "é", "Yes "])
def test_finding_by_bisection_equals_looking_after_every_token(string: str) -> None:
    tokenizer = byte_tokenizer(CORPUS)
    text = "the step, the café sum. Is it correct? Yes or correct? No"
    ids = tokenizer.encode(text, add_special_tokens=False)
    mask = ending_mask(token_texts(tokenizer, len(tokenizer)), [string])
    found = find_first(tokenizer, ids, string, mask)
    slow = next(n for n in range(1, len(ids) + 1) if string in decode(tokenizer, ids[:n]))
    assert found is not None
    assert (found.num_tokens, found.end) == (slow, text.index(string) + len(string))
    assert found.flush == decode(tokenizer, ids[:slow]).endswith(string)
    assert mask[ids[slow - 1]]
    assert tail_contains(tokenizer, ids[:slow], [string])
    assert not tail_contains(tokenizer, ids[: slow - 1], [string])


def test_a_string_that_is_not_there_is_not_found() -> None:
    tokenizer = word_tokenizer()
    mask = ending_mask(token_texts(tokenizer, 50), ["correct ?"])
    assert find_first(tokenizer, [13, 14, 15], "correct ?", mask) is None


def test_ending_mask_keeps_few_tokens_of_a_word_vocabulary() -> None:
    tokenizer = word_tokenizer()
    mask = ending_mask(token_texts(tokenizer, 50), ["correct ?"])
    assert mask[tokenizer.convert_tokens_to_ids("?")]
    assert mask.sum() < 5


@pytest.mark.parametrize(
    ("yes", "no", "complaint"),
    [
        (" yes", " yes", "same token"),
        (" yes no", " no", "not exactly one token"),
        ("", " no", "not exactly one token"),
        (" maybe", " no", "not in the tokenizer's vocabulary"),
    ],
)
def test_verdict_words_must_be_single_known_tokens(yes: str, no: str, complaint: str) -> None:
    fmt = VerdictFormat(marker="correct ?", yes=yes, no=no)
    with pytest.raises(BadInput, match=complaint):
        verdict_token_ids(word_tokenizer(), fmt)


def test_verdict_words_are_taken_in_context() -> None:
    tokenizer = byte_tokenizer(CORPUS)
    tokens = verdict_token_ids(
        tokenizer, VerdictFormat(prefix="Is it ", marker="correct?", yes=" Yes", no=" No")
    )
    assert [tokenizer.decode([token]) for token in (tokens.yes, tokens.no)] == [" Yes", " No"]


def test_a_saved_word_tokenizer_is_not_read_as_the_model_familys_own(tmp_path: Path) -> None:
    engine = TransformersEngine(save_tiny(tmp_path, word_tokenizer()), threads=1)
    assert engine.tokenizer.encode("correct ? yes") == [15, 16, 13]
