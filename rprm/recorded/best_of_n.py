"""What do recorded responses and their scores give under Best-of-N?

Rows      {"problem": "…", "response": "…", "scores": [0.9, 0.2], "correct": true}    per response
Pools     rows of one problem: by "problem_id", by "id" where it repeats, else by the problem's
          text; within "subset", where given
Scores    one per step, any finite numbers, or a single one for the response; null or [] is a
          response that was not judged: it is chosen only if no other was
Right?    "correct": true, false, or null where nobody could decide; without it "answer" is the
          reference, and the response's own answer is graded against it
Votes     are by the response's own answer: "prediction"; else "answer", next to "correct", where it
          varies within a problem or no response shows an answer; else the response's (own_answers)
Official  rows of Qwen2.5-Math's evaluation are read as they are: one per problem, with the lists
          "pred", "score", "pred_score"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rprm.benchmarks.best_of_n import Aggregator, BestOfN, Pool, Response, evaluate
from rprm.recorded.own_answers import own_answer
from rprm.recorded.reading import Problems, Row, RowFile, describe, kind, listed, read_scores

Grade = Callable[[Sequence[tuple[str, str]]], Sequence[bool | None]]
"""From pairs of reference and own answer to: is it right?  None where that could not be told."""

TOLD = ("pass_at_1", "pass_at_n", "majority", "best_of_n")
"""The numbers of the JSON object."""

_LISTS = {"prediction": "pred", "correct": "score", "scores": "pred_score"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    pools: tuple[Pool, ...]
    result: BestOfN
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Percentages; null where no response carries an answer to vote by."""
        found: dict[str, object] = {name: self.result.average.get(name) for name in TOLD}
        if len(self.result.subsets) > 1:
            subsets = self.result.subsets.items()
            found["subsets"] = {n: {name: of.get(name) for name in TOLD} for n, of in subsets}
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sample:
    """One row, read."""

    row: Row
    problem: str
    subset: str
    response: str
    scores: tuple[float, ...]
    correct: bool | None
    graded: bool
    """Does the row say itself whether it is right?"""
    answer: str | None
    prediction: str | None
    has_prediction: bool
    """Is its own answer told, even if it is that there is none?"""


def score(file: RowFile, *, aggregator: Aggregator, grade: Grade) -> Scored:
    """Raises BadInput that names every unusable row."""
    problems = Problems(source=file.source)
    rows = [part for row in file.rows for part in _parts(row, problems)]
    read = [_sample(row, problems) for row in rows]
    problems.done()  # rows first: what follows would only repeat their problems
    pools = _pools(read, problems)
    told = _answers_are_own(read, pools, problems)
    problems.done()
    samples = [replace(one, prediction=_own_answer(one, told=told)) for one in read]
    if not any(one.prediction for one in samples) and _may_be_own(samples, pools):
        samples = [replace(one, prediction=one.answer) for one in samples]
    verdicts = _verdicts(samples, grade)
    named = [
        Pool(
            problem_id=name,
            subset=samples[members[0]].subset,
            responses_N=tuple(
                Response(
                    answer=samples[at].prediction,
                    correct=verdicts[at],
                    scores=samples[at].scores,
                )
                for at in members
            ),
        )
        for name, members in pools.items()
    ]
    result = evaluate(named, aggregator=aggregator)
    warnings = tuple(_warnings(named, result))
    return Scored(pools=tuple(named), result=result, warnings=warnings)


# --- rows -------------------------------------------------------------------------------------


def _parts(row: Row, problems: Problems) -> Iterator[Row]:
    """One row per response: a row of the official format holds a whole pool."""
    lists = [row.values.get(theirs) for theirs in _LISTS.values()]
    if not all(isinstance(one, list) for one in lists):
        yield row
        return
    lengths = [len(one) for one in lists if isinstance(one, list)]
    if len(set(lengths)) > 1 or not lengths[0]:
        what = f"holds lists of {', '.join(map(str, lengths))} for {', '.join(_LISTS.values())}"
        problems.add(row.where, what, fix="give one entry per response in each")
        return
    shared = {"problem": row.values.get("question", row.values.get("problem"))}
    shared |= {"problem_id": _text(row.values["idx"])} if "idx" in row.values else {}
    for place in range(lengths[0]):
        own = {key: _item(row, theirs, place) for key, theirs in _LISTS.items()}
        yield replace(row, values={**shared, **own})


def _item(row: Row, key: str, place: int) -> object:
    found = row.values[key]
    assert isinstance(found, list)
    return found[place]


def _sample(row: Row, problems: Problems) -> _Sample:
    values = row.values
    problem = _problem(row, problems)
    correct = values.get("correct")
    if correct is not None and correct not in (0, 1):
        fix = "give true, false, or null where nobody could decide"
        problems.add(f"{row.where}, correct", f"is {kind(correct)}", fix=fix)
    if "correct" not in values and values.get("answer") is None:
        fix = 'give "correct", or the reference as "answer" and it will be graded'
        problems.add(row.where, "does not say whether the response is right", fix=fix)
    response = values.get("response")
    if not {"correct", "response", "prediction"} & set(values):
        fix = "give it as text, or null for a response that never came"
        problems.add(f"{row.where}, response", "is missing", fix=fix)
    if response is not None and not isinstance(response, str):
        problems.add(f"{row.where}, response", f"is {kind(response)}", fix="give it as text")
    return _Sample(
        row=row,
        problem=problem,
        subset=_optional_text(row, "subset", problems) or "",
        response=response if isinstance(response, str) else "",
        scores=_scores(row, problems),
        correct=None if correct is None else bool(correct),
        graded="correct" in values,
        answer=_optional_text(row, "answer", problems),
        prediction=_optional_text(row, "prediction", problems),
        has_prediction="prediction" in values,
    )


def _problem(row: Row, problems: Problems) -> str:
    value = row.values.get("problem")
    if isinstance(value, str) and value.strip():
        return value
    if value is None and any(row.values.get(key) is not None for key in ("problem_id", "id")):
        return ""
    given = "blank" if isinstance(value, str) else f"{kind(value)}, not a text"
    what = "is missing" if value is None else f"is {given}"
    problems.add(f"{row.where}, problem", what, fix='give the problem, or a "problem_id"')
    return ""


def _scores(row: Row, problems: Problems) -> tuple[float, ...]:
    value = row.values.get("scores")
    if "scores" not in row.values:
        problems.add(f"{row.where}, scores", "is missing", fix="give a list, or null for unjudged")
        return ()
    if value is None:
        return ()
    if not isinstance(value, list):
        row = replace(row, values={**row.values, "scores": [value]})
    found = read_scores(row, problems)
    if isinstance(value, list) and any(one is None for one in value):
        fix = "give a number per step, or null for the whole list"
        problems.add(f"{describe(row)}, scores", "holds null", fix=fix)
    return tuple(one for one in found if one is not None)


def _optional_text(row: Row, key: str, problems: Problems) -> str | None:
    """Numbers are taken as they are written: 42 is "42"."""
    value = row.values.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _text(value)
    problems.add(f"{row.where}, {key}", f"is {kind(value)}, not a text", fix="give it as text")
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


# --- pools ------------------------------------------------------------------------------------


def _pools(samples: Sequence[_Sample], problems: Problems) -> dict[str, list[int]]:
    """Places of the samples, by a name that is unique over subsets."""
    ids = [one.row.values.get("id") for one in samples]
    seen = Counter(
        (one.subset, _text(name))
        for one, name in zip(samples, ids, strict=True)
        if name is not None
    )
    repeats = any(count > 1 for count in seen.values())
    found: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(samples):
        found.setdefault((one.subset, _pool_name(one, id_repeats=repeats)), []).append(place)
    for (_, name), members in found.items():
        first = samples[members[0]]
        for other in (samples[place] for place in members):
            if other.problem != first.problem:
                what = f"is of problem {name!r:.60} as {first.row.where}, with another text"
                problems.add(other.row.where, what, fix='one id per problem, or leave "id" out')
                break
    return {f"{subset}/{name}" if subset else name: of for (subset, name), of in found.items()}


def _pool_name(sample: _Sample, *, id_repeats: bool) -> str:
    """An id that never repeats names the response, not the problem."""
    values = sample.row.values
    if values.get("problem_id") is not None:
        return _text(values["problem_id"])
    if values.get("id") is not None and (id_repeats or not sample.problem):
        return _text(values["id"])
    return sample.problem


def _answers_are_own(
    samples: Sequence[_Sample], pools: Mapping[str, Sequence[int]], problems: Problems
) -> bool:
    """Does "answer" hold what each response says, rather than the reference?"""
    varying = [of for of in pools.values() if len({samples[place].answer for place in of}) > 1]
    for one in (samples[place] for members in varying for place in members):
        if not one.graded:
            what = "is one of several answers to its problem, so it cannot be the reference"
            fix = 'give "correct" next to each response\'s own answer, or one reference'
            problems.add(f"{one.row.where}, answer", what, fix=fix)
    return bool(varying)


def _may_be_own(samples: Sequence[_Sample], pools: Mapping[str, Sequence[int]]) -> bool:
    """A reference is the same where one response is right and another is not."""
    return all(one.graded and not one.has_prediction for one in samples) and all(
        len({samples[place].correct for place in members}) == 1 for members in pools.values()
    )


def _own_answer(sample: _Sample, *, told: bool) -> str | None:
    if sample.has_prediction:
        return sample.prediction
    return sample.answer if told else own_answer(sample.response)


def _verdicts(samples: Sequence[_Sample], grade: Grade) -> list[bool | None]:
    """A response without an answer of its own is wrong; the others are graded together."""
    pairs = {
        index: (one.answer, one.prediction)
        for index, one in enumerate(samples)
        if not one.graded and one.answer is not None and one.prediction is not None
    }
    found = dict(zip(pairs, grade(list(pairs.values())) if pairs else (), strict=True))
    return [
        one.correct if one.graded else found.get(index, False) for index, one in enumerate(samples)
    ]


def _warnings(pools: Sequence[Pool], result: BestOfN) -> Iterator[str]:
    sizes = Counter(len(pool.responses_N) for pool in pools)
    if len(sizes) > 1:
        shown = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items()))
        yield f"pools differ in size ({shown} responses): each is used as it is"
    if result.num_undecided:
        yield f"{result.num_undecided} response(s) could not be graded and count as wrong"
    if result.num_unjudged:
        without = [p.problem_id for p in pools if any(not one.scores for one in p.responses_N)]
        yield (
            f"{result.num_unjudged} response(s) without scores are never chosen over others: "
            f"{listed(without)}"
        )
    if "majority" not in result.average:
        yield "no response carries an answer, so there are no votes"
