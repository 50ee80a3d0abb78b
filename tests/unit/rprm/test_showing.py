"""Does what is shown say what was judged, in plain text wherever that is wanted?"""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rprm.engines.base import Refused
from rprm.judge import JudgeParams
from rprm.reading import Given, read_solutions
from rprm.schema import Critique, Judgement, Unparsed, Verdict
from rprm.scoring import score
from rprm.showing import bar, conclusion, plain, print_solution, print_totals, savings
from rprm.solutions import JudgedSolution, JudgedStep

Answer = list[float | None] | Refused | None
REFUSED = Refused(id="1:0", cause="prompt_too_long", detail="9 tokens")


def given_solution(num_steps: int, label: int | None) -> Given:
    steps = ", ".join(f'"step text {n}"' for n in range(num_steps))
    tail = "" if label is None else f', "label": {label}'
    [found] = read_solutions(f'{{"problem": "p?", "steps": [{steps}]{tail}}}', source="test")
    return found


def judged(*answers: Answer, label: int | None = None, early: bool = True) -> JudgedSolution:
    """A step's answer is the P(Yes) of its critiques; None stands for an unparsed one."""
    params = JudgeParams(num_critiques=4, early_stop=early)
    steps = tuple(
        JudgedStep(text=f"step text {n}", answer=_judgement(answer))
        for n, answer in enumerate(answers)
    )
    return JudgedSolution(given=given_solution(len(answers), label), steps=steps, params=params)


def _judgement(answer: Answer) -> Judgement | Refused | None:
    if not isinstance(answer, list):
        return answer
    critiques = tuple(map(_critique, answer))
    return Judgement(case_id="c", critiques_K=critiques, score=score(critiques))


def _critique(p_yes: float | None) -> Critique | Unparsed:
    if p_yes is None:
        return Unparsed(text="lost", cause="no_marker", num_tokens=9)
    verdict = Verdict.YES if p_yes >= 0.5 else Verdict.NO
    return Critique(text="because \x1b[2J", verdict=verdict, p_yes=p_yes, num_tokens=3)


def shown(one: JudgedSolution, *, critiques: int = 1, **options: object) -> str:
    file = io.StringIO()
    print_solution(Console(file=file, **options), one, critiques=critiques)  # type: ignore[arg-type]
    return file.getvalue()


def test_the_last_line_is_the_judgement() -> None:
    lines = shown(judged([0.9], [0.1, 0.2], label=1)).splitlines()
    assert lines[-1] == "first error: step 2; the label agrees"
    assert lines[-2] == "3 of at most 8 critiques decided it (62% saved)"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (judged([0.9], [0.5]), "no error in 2 steps"),  # exactly on the threshold is right
        (judged([0.9], [0.49], label=-1), "first error: step 2; the label says: no error"),
        (judged([0.9], label=0), "no error in 1 steps; the label says: step 1"),
        (judged([0.9], [None], [0.1]), "first error: unknown, since step 2 has no score"),
        (judged([0.1], None), "first error: step 1"),  # not judged, and needs no judging
        (judged(REFUSED), "first error: unknown, since step 1 has no score"),
    ],
)
def test_the_judgement_is_told_in_words(one: JudgedSolution, said: str) -> None:
    assert conclusion(one).plain == said


def test_each_step_shows_its_score_verdicts_and_place() -> None:
    text = shown(judged([0.9, None, 0.8], [0.1], None, REFUSED, label=1), critiques=3)
    assert "0.85 right    2 yes, 0 no, 1 without a verdict (no_marker)" in text
    assert "0.10 wrong    0 yes, 1 no, certain after 1 of 4  ← first error" in text
    assert "first error by the label" in text
    assert "not judged: an earlier step is wrong" in text
    assert "refused: prompt_too_long: 9 tokens" in text
    assert "▸ no verdict: no_marker, 9 tokens" in text


def test_only_the_first_critiques_are_printed() -> None:
    one = judged([0.9, 0.8, 0.7])
    assert shown(one, critiques=1).count("because") == 1
    assert "and 2 more critiques" in shown(one, critiques=1)
    assert "because" not in shown(one, critiques=0)
    assert "more" not in shown(one, critiques=3)


def test_a_pipe_gets_no_escape_sequence_and_no_folded_line() -> None:
    one = judged([0.9])
    long = JudgedStep(text="x " * 200, answer=one.steps[0].answer)
    text = shown(JudgedSolution(given=one.given, steps=(long,), params=one.params))
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) > 300


def test_a_terminal_gets_colours_and_folded_lines() -> None:
    one = judged([0.9], [0.1])
    text = shown(one, force_terminal=True, color_system="standard", width=40)
    assert "\x1b[32m" in text or "\x1b[1;32m" in text
    assert "\x1b[31m" in text or "\x1b[1;31m" in text


def test_a_narrow_encoding_gets_signs_it_can_write() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    print_solution(Console(file=file), judged([0.9], [0.1], label=1), critiques=1)
    file.flush()
    assert b"<- first error" in file.buffer.getvalue()  # type: ignore[attr-defined]


def test_without_early_stopping_nothing_was_saved() -> None:
    assert savings([judged([0.9], early=False)]) == ""
    assert savings([judged(REFUSED)]) == ""


def test_totals_are_for_several_solutions() -> None:
    file = io.StringIO()
    print_totals(Console(file=file), [judged([0.9])])
    assert file.getvalue() == ""
    print_totals(Console(file=file, width=200), [judged([0.9], label=-1), judged([0.1], label=-1)])
    assert file.getvalue().startswith("2 solutions; 1 of 2 labels agree; 2 of at most 8 critiques")


@given(st.floats(0, 1))
def test_a_bar_has_one_length(value: float) -> None:
    assert len(bar(value, ascii_only=False)) == len(bar(value, ascii_only=True)) == 20


@given(st.text())
def test_no_text_can_drive_a_terminal(text: str) -> None:
    signs = set(plain(text))
    assert not {sign for sign in signs if sign < " " or "\x7f" <= sign <= "\x9f"} - {"\n", "\t"}
