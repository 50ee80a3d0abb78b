"""Does a page read what `rprm judge --json` writes, by the function that writes it?"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rprm.engines.base import Refused
from rprm.errors import BadInput
from rprm.judge import JudgeParams
from rprm.reading import Given
from rprm.schema import Critique, Judgement, Solution, Unparsed, Verdict
from rprm.scoring import Aggregate, score
from rprm.show.making import Wanted, make_page
from rprm.show.shown import Category, show
from rprm.show.sources import open_source
from rprm.solutions import Judge, JudgedSolution, JudgedStep, as_dict

CRITIQUES = (
    Critique(text="fine \u2028 <b>", verdict=Verdict.YES, p_yes=0.9, num_tokens=3),
    Critique(text="bad", verdict=Verdict.NO, p_yes=None, num_tokens=4),
    Unparsed(text="…", cause="cut_off", num_tokens=9),
)
BY = cast(
    Judge,
    SimpleNamespace(
        model=SimpleNamespace(name="sft-1"),
        renderer=SimpleNamespace(template=SimpleNamespace(name="chain", sha256="ab12")),
    ),
)


def line(name: str = "s1", *, label: int | None = None, **changed: Any) -> str:
    """Two steps: the first with critiques, the second refused."""
    params = JudgeParams(aggregate=Aggregate.HARD, threshold=0.4)
    solution = Solution(
        id=name,
        problem_id=name,
        subset="",
        generator="",
        problem="1 + 1?",
        steps=("1 + 1 = 2", "2 = 3"),
        label=-1 if label is None else label,
    )
    judgement = Judgement(
        case_id=f"{name}:0", critiques_K=CRITIQUES, score=score(CRITIQUES, params.aggregate)
    )
    refused = Refused(id=f"{name}:1", cause="prompt_too_long", detail="9000 tokens")
    judged = JudgedSolution(
        given=Given(solution=solution, has_label=label is not None),
        steps=(
            JudgedStep(text=solution.steps[0], answer=judgement),
            JudgedStep(text=solution.steps[1], answer=refused),
        ),
        params=params,
    )
    return json.dumps(as_dict(judged, BY) | changed)


def written(folder: Path, *lines: str) -> Path:
    file = folder / "judged.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_every_critique_and_refusal_arrives_with_how_it_was_scored(tmp_path: Path) -> None:
    source = open_source(written(tmp_path, line()))
    assert source.reading.aggregate is Aggregate.HARD
    assert source.reading.threshold == 0.4
    assert dict(source.facts) == {
        "judge": "sft-1",
        "template": "chain",
        "critiques per step": "10",
    }
    ((subject, said),) = source.open(source.reading)
    found = show(subject, said, threshold=source.reading.threshold)
    assert found.steps_S[0].critiques_K == CRITIQUES
    assert found.steps_S[0].score == 0.5
    assert found.steps_S[1].refused == "prompt_too_long: 9000 tokens"
    assert (found.category, found.subject.label) == (Category.UNPARSED, None)


@pytest.mark.parametrize(
    ("label", "threshold", "category"),
    [
        (None, 0.6, Category.FLAGGED),
        (0, 0.6, Category.RIGHT),
        (1, 0.6, Category.WRONG_PLACE),
        (-1, 0.6, Category.FALSE_ALARM),
        (0, 0.5, Category.MISSED_ERROR),
    ],
)
def test_labels_are_used_where_they_were_given(
    tmp_path: Path, label: int | None, threshold: float, category: Category
) -> None:
    source = open_source(written(tmp_path, line(label=label)))
    counts = make_page(source, Wanted(threshold=threshold), tmp_path / "page")
    assert counts.categories == {category: 1}


def test_every_bad_line_is_named_and_leaves_no_page(tmp_path: Path) -> None:
    file = written(tmp_path, line(), line(problem=7), "{oops", line("s4", label=5))
    with pytest.raises(BadInput) as caught:
        make_page(open_source(file), Wanted(), tmp_path / "page")
    for words in ("row 1, problem", "row 1, id: 's1' is already", "row 2, (row)", "row 3, label"):
        assert words in str(caught.value)
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize("text", ["", '{"id": 1}', "{oops", '["a"]'])
def test_another_file_is_refused_at_once(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match=r"judged\.jsonl.*rprm judge --json"):
        open_source(written(tmp_path, text))
