"""Is early stopping lossless, and as early as it can be?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm.sampling import decided, next_wave
from rprm.scoring import is_error, mean

Stream = list[float | None]
"""The beliefs of all K critiques in order; None is one that cannot be parsed."""

unparsable = st.none()
soft = st.lists(
    st.one_of(st.floats(0, 1), st.floats(0, 0.02), st.floats(0.98, 1), unparsable), max_size=12
)
hard = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), unparsable), max_size=12)
unanimous = st.tuples(st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0]), st.integers(1, 12)).map(
    lambda pair: [pair[0]] * pair[1]
)
streams = st.one_of(soft, hard, unanimous)
thresholds = st.one_of(st.just(0.5), st.sampled_from([0.0, 0.3, 0.61, 1.0]), st.floats(0, 1))


def parsed(stream: Stream) -> list[float]:
    return [belief for belief in stream if belief is not None]


def label(stream: Stream, threshold: float) -> bool | None:
    value = mean(parsed(stream))
    return None if value is None else not is_error(value, threshold)


def draw(stream: Stream, threshold: float, min_wave: int = 1) -> tuple[Stream, int]:
    """What early stopping sees of the stream, and in how many waves."""
    drawn, waves = 0, 0
    while size := next_wave(
        parsed(stream[:drawn]),
        remaining=len(stream) - drawn,
        threshold=threshold,
        min_wave=min_wave,
    ):
        drawn, waves = drawn + size, waves + 1
    return stream[:drawn], waves


@settings(max_examples=500)
@given(stream=streams, threshold=thresholds, min_wave=st.integers(1, 4))
def test_the_label_is_that_of_all_critiques(
    stream: Stream, threshold: float, min_wave: int
) -> None:
    seen, _ = draw(stream, threshold, min_wave)
    assert label(seen, threshold) == label(stream, threshold)


@given(stream=streams, threshold=thresholds)
def test_waves_draw_no_more_than_one_by_one_drawing(stream: Stream, threshold: float) -> None:
    seen, _ = draw(stream, threshold)
    for drawn in range(len(seen)):
        left = len(stream) - drawn
        assert decided(parsed(stream[:drawn]), remaining=left, threshold=threshold) is None


@given(stream=streams, threshold=thresholds, data=st.data())
def test_an_open_case_really_could_end_either_way(
    stream: Stream, threshold: float, data: st.DataObject
) -> None:
    """No decision is put off: while it is open, two futures with different labels exist."""
    drawn = data.draw(st.integers(0, len(stream)))
    known, left = parsed(stream[:drawn]), len(stream) - drawn
    if decided(known, remaining=left, threshold=threshold) is None:
        futures: list[Stream] = [[], *([v] * m for v in (0.0, 1.0) for m in range(1, left + 1))]
        labels = {label([*known, *future], threshold) for future in futures}
        assert len(labels) > 1 or labels == {None}


@pytest.mark.parametrize(
    ("beliefs", "remaining", "expected"),
    [
        ([0.0] * 6, 4, False),  # 4 of 10 at best
        ([0.0] * 5, 5, None),  # 5 of 10 is exactly on the threshold, which is right
        ([1.0] * 5, 5, True),  # 5 of 10 at worst
        ([0.99] * 5, 5, None),  # 4.95 of 10 at worst
        ([0.99] * 6, 4, True),
        ([], 3, None),  # the score may yet be None
        ([], 0, None),  # and is
        ([0.4], 0, False),
        ([0.9, 0.1], 1, None),
    ],
)
def test_a_case_is_decided_once_nothing_can_cross_the_threshold(
    beliefs: list[float], remaining: int, expected: bool | None
) -> None:
    assert decided(beliefs, remaining=remaining) is expected


@pytest.mark.parametrize(
    ("stream", "drawn", "waves"),
    [
        ([0.01] * 10, 6, 2),  # the paper's K: four of ten are saved
        ([0.99] * 10, 6, 2),
        ([1.0] * 10, 5, 1),  # hard votes
        ([None] * 10, 10, 4),  # nothing is known until something can be parsed
        ([0.0, 1.0] * 5, 10, 4),
        ([0.7], 1, 1),
    ],
)
def test_waves_are_few(stream: Stream, drawn: int, waves: int) -> None:
    seen, number = draw(stream, 0.5)
    assert (len(seen), number) == (drawn, waves)


def test_larger_waves_trade_critiques_for_rounds() -> None:
    seen, number = draw([0.99] * 10, 0.5, min_wave=6)
    assert (len(seen), number) == (6, 1)
