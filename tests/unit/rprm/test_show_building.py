"""Does a page file each solution where the benchmark would count it, and keep its text harmless?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm.benchmarks import processbench
from rprm.data.problem_tables import (
    Solved,
    StepScores,
    scores_to_table,
    solved_to_table,
)
from rprm.data.tables import cases_of, solutions_to_table
from rprm.errors import BadInput
from rprm.schema import Critique, Judgement, Solution, Unparsed, Verdict
from rprm.scoring import Aggregate, score
from rprm.show.assembling import assemble, assemble_scores
from rprm.show.making import Wanted, make_page
from rprm.show.shown import Category, Reading, Shown, predict, show, subject_of
from rprm.show.sources import open_source
from rprm.show.writing import About, script_json, solution_entry, write_page
from rprm.stages.judged import JudgedCase, judged_to_table

YES = Critique(text="fine", verdict=Verdict.YES, p_yes=0.9, num_tokens=3)
NO = Critique(text="bad", verdict=Verdict.NO, p_yes=0.2, num_tokens=3)
SILENT = Unparsed(text="…", cause="cut_off", num_tokens=9)


def solution(label: int = -1, *, steps: int = 3, name: str = "s1") -> Solution:
    return Solution(
        id=name,
        problem_id="p1",
        subset="math",
        generator="somebody",
        problem="1 + 1?",
        steps=tuple(f"step {step}" for step in range(steps)),
        label=label,
    )


def judged(one: Solution, *critiques: Sequence[Critique | Unparsed]) -> list[JudgedCase]:
    cases = cases_of(one, up_to_first_error=False)
    return [
        JudgedCase(case=case, engine="judge", critiques_K=tuple(given))
        for case, given in zip(cases, critiques, strict=False)
    ]


def shown(
    one: Solution, *critiques: Sequence[Critique | Unparsed], reading: Reading | None = None
) -> Shown:
    reading = reading or Reading()
    rows = judged(one, *critiques)
    ((subject, said),) = assemble(rows, {one.id: subject_of(one)}, reading, {})
    return show(subject, said, threshold=reading.threshold)


@pytest.mark.parametrize(
    ("label", "critiques", "category", "prediction"),
    [
        (-1, [[YES], [YES], [YES]], Category.RIGHT, -1),
        (1, [[YES], [NO]], Category.RIGHT, 1),
        (1, [[YES], [YES]], Category.MISSED_ERROR, -1),  # judged up to the label, as `sample` does
        (1, [[YES], [YES], [NO]], Category.WRONG_PLACE, 2),
        (1, [[NO], [NO]], Category.WRONG_PLACE, 0),
        (-1, [[YES], [NO], [YES]], Category.FALSE_ALARM, 1),
        (-1, [[YES], [SILENT], [NO]], Category.UNPARSED, None),
        (-1, [[NO], [SILENT], [YES]], Category.FALSE_ALARM, 0),  # wrong before it is unknown
        (1, [[YES], [YES], [SILENT]], Category.MISSED_ERROR, -1),  # unknown only after the label
        (-1, [[YES], [YES]], Category.UNPARSED, None),  # the last step was refused
        (-1, [], Category.UNPARSED, None),
    ],
)
def test_a_solution_is_filed_by_its_first_wrong_step(
    label: int,
    critiques: list[list[Critique | Unparsed]],
    category: Category,
    prediction: int | None,
) -> None:
    if not critiques:
        ((subject, said),) = assemble([], {"s1": subject_of(solution(label))}, Reading(), {})
        found = show(subject, said, threshold=0.5)
    else:
        found = shown(solution(label), *critiques)
    assert (found.category, found.prediction) == (category, prediction)


SCORES = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=6)


@given(scores=SCORES, data=st.data())
def test_right_is_exactly_what_the_benchmark_counts_as_a_match(
    scores: list[float | None], data: st.DataObject
) -> None:
    label = data.draw(st.integers(-1, len(scores) - 1))
    one = solution(label, steps=len(scores))
    judgements = {
        f"s1:{step}": Judgement(case_id=f"s1:{step}", critiques_K=(), score=value)
        for step, value in enumerate(scores)
    }
    match = processbench.outcome(one, processbench.predict(one, judgements)).match
    found = predict(scores, label=label)
    assert (found is not None and found == label) == bool(match)


def test_the_first_k_critiques_alone_count_where_that_is_asked_for() -> None:
    reading = Reading(num_critiques=1)
    found = shown(solution(), [YES, NO, NO], [YES, NO], [YES], reading=reading)
    assert found.category is Category.RIGHT
    assert [len(step.critiques_K) for step in found.steps_S] == [1, 1, 1]


def test_score_and_threshold_are_those_that_are_asked_for() -> None:
    found = shown(solution(), [YES, NO], [YES, YES], [YES, YES])
    assert found.steps_S[0].score == score((YES, NO))
    assert found.category is Category.RIGHT
    hard = Reading(aggregate=Aggregate.HARD, threshold=0.6)
    found = shown(solution(), [YES, NO], [YES, YES], [YES, YES], reading=hard)
    assert found.steps_S[0].score == 0.5
    assert found.category is Category.FALSE_ALARM
    assert found.certainty == pytest.approx(0.1)


def test_without_solutions_text_and_label_come_from_the_cases() -> None:
    one = solution(label=1)
    rows = judged(one, [YES], [NO])
    ((subject, _),) = assemble(rows[1:], {}, Reading(), {})
    assert (subject.problem, subject.steps_S, subject.label) == ("1 + 1?", one.steps[:2], 1)
    ((subject, _),) = assemble(judged(solution(), [YES], [YES], [NO]), {}, Reading(), {})
    assert subject.label == -1


def test_a_step_that_was_refused_says_why_and_a_solution_without_rows_is_shown() -> None:
    subjects = {name: subject_of(solution(name=name)) for name in ("s1", "s2")}
    refusals = {"s1:1": "prompt_too_long: 9000 tokens", "s2": "timeout"}
    found = list(assemble(judged(solution(), [YES]), subjects, Reading(), refusals))
    assert [subject.id for subject, _ in found] == ["s1", "s2"]
    first = show(*found[0], threshold=0.5)
    assert [step.refused for step in first.steps_S] == ["", "prompt_too_long: 9000 tokens", ""]
    assert found[1][1].steps[0].refused == "timeout"


def test_two_runs_in_one_table_are_refused_by_name() -> None:
    other = judged(solution(name="s2"), [YES])
    rows = [*judged(solution(), [YES]), *other, *judged(solution(), [NO])]
    with pytest.raises(BadInput, match=r"'s1' is judged in two places.*one judge"):
        list(assemble(rows, {}, Reading(), {}))


@pytest.mark.parametrize(
    ("row", "category"),
    [
        (StepScores(solution_id="s1", engine="e", scores_S=(0.9, 0.1)), Category.RIGHT),
        (StepScores(solution_id="s1", engine="e", scores_S=(0.9, 0.7)), Category.MISSED_ERROR),
        (
            StepScores(solution_id="s1", engine="e", scores_S=None, prediction=2),
            Category.WRONG_PLACE,
        ),
        (StepScores(solution_id="s1", engine="e", scores_S=None, prediction=1), Category.RIGHT),
        (StepScores(solution_id="s1", engine="e", scores_S=None), Category.UNPARSED),
    ],
)
def test_judges_that_only_score_or_name_an_index_are_filed_alike(
    row: StepScores, category: Category
) -> None:
    subjects = {"s1": subject_of(solution(label=1))}
    ((subject, said),) = assemble_scores([row], subjects, {})
    assert show(subject, said, threshold=0.5).category is category
    ((subject, said),) = assemble_scores([row], {}, {})
    assert show(subject, said, threshold=0.5).category in (
        Category.FLAGGED,
        Category.PASSED,
        Category.UNPARSED,
    )


@given(text=st.text() | st.just("</script><!-- \u2028\u2029"))
def test_data_stay_data_in_a_script(text: str) -> None:
    written = script_json([text]).decode()
    assert not {"<", "\u2028", "\u2029"} & set(written)
    assert json.loads(written) == [text]


def test_half_a_surrogate_pair_can_still_be_written() -> None:
    assert script_json(["\ud800<"]) == rb'["\ud800\u003c"]'


def test_an_entry_keeps_every_critique_with_its_cause() -> None:
    entry = solution_entry(shown(solution(), [YES, SILENT], [NO], [YES]))
    assert entry["steps"][0]["critiques"] == [
        (1, 0.9, 3, "fine", ""),
        (None, None, 9, "…", "cut_off"),
    ]


def test_a_page_replaces_a_page_and_nothing_else(tmp_path: Path) -> None:
    one = shown(solution(), [YES], [YES], [YES])
    about = About(title="run", threshold=0.5)
    write_page(tmp_path / "page", [one, one], about)
    (tmp_path / "page" / "old.txt").write_text("of the page before")
    assert write_page(tmp_path / "page", [one], about).solutions == 1
    assert not (tmp_path / "page" / "old.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    with pytest.raises(BadInput, match="is no page of"):
        write_page(tmp_path / "mine", [one], about)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "page"]
    with pytest.raises(BadInput, match=r"cannot write to.*--output"):
        write_page(tmp_path / "mine" / "thesis.txt" / "page", [one], about)


def test_a_page_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    one = shown(solution(), [YES], [YES], [YES])
    about = About(title="run", threshold=0.5)
    write_page(tmp_path / "page", [one], about)
    before = (tmp_path / "page" / "data" / "index.js").read_bytes()

    def broken() -> list[Shown]:
        raise BadInput("row 7 is odd")

    with pytest.raises(BadInput):
        write_page(tmp_path / "page", (row for row in [one, *broken()]), about)
    assert (tmp_path / "page" / "data" / "index.js").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["page"]


def test_colours_keep_to_their_side_of_the_threshold(tmp_path: Path) -> None:
    near = [Critique(text="", verdict=Verdict.NO, p_yes=p, num_tokens=1) for p in (0.60999, 0.61)]
    found = shown(solution(steps=2), [near[0]], [near[1]], reading=Reading(threshold=0.61))
    write_page(tmp_path / "page", [found], About(title="run", threshold=0.61))
    assert read_index(tmp_path / "page")["strip"] == ["45"]
    assert [one["score"] for one in solution_entry(found)["steps"]] == [0.60999, 0.61]


def read_index(folder: Path) -> dict[str, list[object]]:
    text = (folder / "data" / "index.js").read_text()
    found: dict[str, list[object]] = json.loads(text[len("rprmShow.index(") : -len(");\n")])
    return found


def test_a_folder_of_parquet_becomes_a_page(tmp_path: Path) -> None:
    ones = [solution(label=1, name="s1"), solution(name="s2")]
    rows = [*judged(ones[0], [YES], [YES]), *judged(ones[1], [YES], [NO], [YES])]
    (tmp_path / "run").mkdir()
    pq.write_table(judged_to_table(rows), tmp_path / "run" / "judged.parquet")
    pq.write_table(solutions_to_table(ones), tmp_path / "run" / "solutions.parquet")
    counts = make_page(open_source(tmp_path / "run"), Wanted(), tmp_path / "page")
    assert counts.categories == {Category.MISSED_ERROR: 1, Category.FALSE_ALARM: 1}
    index = read_index(tmp_path / "page")
    assert index["ids"] == ["s1", "s2"]
    assert index["strip"] == ["99-", "929"]
    only = Wanted(only=Category.FALSE_ALARM, limit=3)
    make_page(open_source(tmp_path / "run"), only, tmp_path / "page")
    assert read_index(tmp_path / "page")["ids"] == ["s2"]
    with pytest.raises(BadInput, match="no solution that is wrong-place"):
        make_page(open_source(tmp_path / "run"), Wanted(only=Category.WRONG_PLACE), tmp_path / "p")


def test_scores_of_sampled_solutions_show_whether_the_answer_is_right(tmp_path: Path) -> None:
    ones = [
        Solved(
            solution=solution(name=f"p1/{sample}"),
            sample=sample,
            answer="2",
            reference="2",
            correct=correct,
            num_tokens=9,
        )
        for sample, correct in enumerate([True, False])
    ]
    rows = [
        StepScores(solution_id=one.solution.id, engine="prm", scores_S=(0.9, 0.2, 0.8))
        for one in ones
    ]
    pq.write_table(solved_to_table(ones), tmp_path / "solved.parquet")
    pq.write_table(scores_to_table(rows), tmp_path / "scores.parquet")
    counts = make_page(open_source(tmp_path), Wanted(), tmp_path / "page")
    assert counts.categories == {Category.FALSE_ALARM: 1, Category.FLAGGED: 1}
    assert "answer 2, wrong; reference 2" in (tmp_path / "page/data/00000.js").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "maybe"}, r"verdict 'maybe'.*Fix: give"),
        ({"p_yes": 7.0}, r"P\(Yes\) outside"),
    ],
)
def test_critiques_that_make_no_sense_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    table = judged_to_table(judged(solution(), [YES]))
    rows = table.to_pylist()
    rows[0]["critiques"][0] |= change
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "judged.parquet")
    with pytest.raises(BadInput, match=message):
        make_page(open_source(tmp_path), Wanted(), tmp_path / "page")
