"""Which beams are carried on, and is a choice safe from an engine's rounding?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks.best_of_n import Aggregator
from rprm.engines.base import Refused
from rprm.search.beams import Beam, Expansion, Pool, best, told_apart

TOO_LONG = Refused(id="r", cause="prompt_too_long", detail="")
SCORE = st.none() | st.floats(0, 1)


def beam(*scores: float | None, finished: bool = False) -> Beam:
    return Beam(steps=tuple(f"s{score}" for score in scores), scores_S=scores, finished=finished)


@given(st.data())
def test_beams_that_are_alive_or_finished_are_never_more_than_asked_for(
    data: st.DataObject,
) -> None:
    beams, pool = data.draw(st.integers(1, 4)), Pool()
    for _ in range(4):
        expansions = [
            Expansion(
                beam=one,
                children=tuple(
                    one.grown("x", score, finished=finished, num_tokens=1)
                    for score, finished in data.draw(
                        st.lists(st.tuples(SCORE, st.booleans()), max_size=3)
                    )
                ),
            )
            for one in pool.live
        ]
        finished = pool.finished
        pool = pool.after(
            expansions, beams=beams, aggregator=data.draw(st.sampled_from(Aggregator))
        )
        assert len(pool.live) + len(pool.finished) <= beams
        assert pool.finished[: len(finished)] == finished
        assert all(one.finished for one in pool.finished)
        assert not any(one.finished for one in pool.live)


def test_a_beam_without_candidates_keeps_its_place_and_the_best_child_takes_the_other() -> None:
    stuck, grown = beam(0.1), beam(0.9)
    children = (beam(0.9, 0.3), beam(0.9, 0.8))
    pool = Pool(live=(stuck, grown)).after(
        [Expansion(beam=stuck), Expansion(beam=grown, children=children)],
        beams=2,
        aggregator=Aggregator.MIN,
    )
    assert [(one.scores_S, one.tries) for one in pool.live] == [((0.1,), 1), ((0.9, 0.8), 0)]


def test_a_refused_beam_gives_its_place_away_and_is_remembered() -> None:
    lost, grown = beam(0.9), beam(0.1)
    children = (beam(0.1, 0.3), beam(0.1, 0.2))
    pool = Pool(live=(lost, grown)).after(
        [Expansion(beam=lost, refused=TOO_LONG), Expansion(beam=grown, children=children)],
        beams=2,
        aggregator=Aggregator.MIN,
    )
    assert len(pool.live) == 2
    assert pool.refused == ((lost, TOO_LONG),)


def test_the_answer_is_the_best_finished_beam_else_the_best_there_is() -> None:
    done, alive = beam(0.2, finished=True), beam(0.9)
    assert Pool(live=(alive,), finished=(done,)).answer(Aggregator.MIN) is done
    assert Pool(live=(beam(0.1), alive)).answer(Aggregator.MIN) is alive
    assert Pool(live=(), refused=((alive, TOO_LONG),)).answer(Aggregator.MIN) is alive


def test_steps_without_a_score_put_a_beam_behind_all_that_have_them() -> None:
    ranked = best([beam(None, 0.9), beam(0.01, 0.01), beam(None, None)], 3, Aggregator.MEAN)
    assert [one.scores_S for one in ranked] == [(0.01, 0.01), (None, 0.9), (None, None)]


@pytest.mark.parametrize(("first", "second"), [(0.75, 0.75 + 1e-7), (1.2e-5, 1.2e-5 + 1e-12)])
def test_what_an_engine_rounds_decides_nothing(first: float, second: float) -> None:
    assert told_apart(first) == told_apart(second)
    assert told_apart(first) != told_apart(first * 1.01)
