"""What do recorded outputs score on PRMBench?

Rows        {"id": "circular_prm_test_p1_0", "scores": [0.9, 0.2]}     one per step; a step at or
                                                                      above the threshold is right
            {"id": …, "labels": [true, 0]}                            true or 1: the step is right
Both        the labels count, as in the official script, unless a threshold is asked for
Redundancy  "redundancy_labels", where given, true for a redundant step: they and not the scores
            count in the classes redundency and circular, as in the official script
Unusable    "validity": false, or scores of null: the judge's answer could not be read; the item is
            left out and lowers the validity rate
Official    the rows of its result files are read as they are: "idx", and in "scores" the lists
            step_level_validity_labels, step_level_validity_scores, step_level_redundancy_labels
Twice       the first row of an id counts, as in the official script
Not counted ids "correct_…": the official script uses them for another number
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rprm.benchmarks import prmbench as bench
from rprm.benchmarks.prmbench import OVERALL, REDUNDANCY, PrmResult, Steps
from rprm.benchmarks.resampling import known
from rprm.data.prmbench import CLASSES, PrmBenchData, PrmItem
from rprm.errors import BadInput
from rprm.recorded.reading import (
    Problems,
    Row,
    RowFile,
    describe,
    kind,
    listed,
    nearest,
    read_id,
    read_scores,
)
from rprm.scoring import THRESHOLD

_TWIN = "correct_"
_STARTS = tuple(f"{name}_" for name in CLASSES)
_OFFICIAL = {
    "scores": "step_level_validity_scores",
    "labels": "step_level_validity_labels",
    "redundancy_labels": "step_level_redundancy_labels",
}

_SCORES_FIRST, _LABELS_FIRST = ("scores", "labels"), ("labels", "scores")

Values = tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What the rows say, ready to be counted."""

    items: tuple[PrmItem, ...]
    """Those with a row."""
    scores: Mapping[str, Sequence[float | None]]
    """Without the items whose row is unusable."""
    labels: Mapping[str, Sequence[float | None]]
    """0 or 1 where a row gave labels: no threshold changes them."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    result: PrmResult
    steps: Steps
    """As arrays, labels already 0 or 1 about the threshold."""
    threshold: float
    has_labels: bool
    """No threshold changes the rows that gave labels."""
    num_items: int
    """With a row."""
    num_usable: int
    warnings: tuple[str, ...]

    @property
    def validity_rate(self) -> float:
        return self.num_usable / self.num_items if self.num_items else math.nan

    def as_json(self) -> dict[str, object]:
        """Percentages; null where no row of a class was given."""
        scores = {name: known(value) for name, value in self.result.scores.items()}
        cells = self.result.overall.confusion
        return {**scores, "counts": {n: getattr(cells, n) for n in bench.COUNTS}}


def score(
    file: RowFile, data: PrmBenchData, *, threshold: float | None, limit_to_present: bool = False
) -> Scored:
    """A threshold of None is the usual one, and labels count where a row has them too.

    Raises BadInput that names every unusable row.
    """
    problems = Problems(source=file.source)
    read = _read(file, data, problems, _SCORES_FIRST if threshold is not None else _LABELS_FIRST)
    threshold = THRESHOLD if threshold is None else threshold
    problems.done()
    if not limit_to_present:
        _check_complete(file.source, data, {item.solution.id for item in read.items})
    if not read.scores and not read.labels:
        raise BadInput(f"{file.source}: no row can be scored.", fix='give "scores" or "labels"')
    steps = _steps(read, threshold)
    result = bench.evaluate(steps, threshold=threshold)
    return Scored(
        result=result,
        steps=steps,
        threshold=threshold,
        has_labels=bool(read.labels),
        num_items=len(read.items),
        num_usable=len(read.scores) + len(read.labels),
        warnings=(*read.warnings, *weak_spots(result, steps)),
    )


def _steps(read: Judged, threshold: float) -> Steps:
    """Labels become scores far on their side of the threshold."""
    far = {1.0: math.inf, 0.0: -math.inf, None: None}
    labels = {name: [far[one] for one in values] for name, values in read.labels.items()}
    return bench.gather(read.items, {**read.scores, **labels})


# --- rows -------------------------------------------------------------------------------------


def _read(file: RowFile, data: PrmBenchData, problems: Problems, order: tuple[str, str]) -> Judged:
    items = {item.solution.id: item for item in data.items}
    found: dict[str, _Answer] = {}
    notes = _Notes(order, data.duplicates)
    for row in file.rows:
        official = _plain(row)
        identity = _identity(official, problems)
        if identity is None:
            continue
        if identity.startswith(_TWIN):
            notes.twins.append(identity)
        elif identity not in items and data.is_part and identity.startswith(_STARTS):
            notes.elsewhere.append(identity)
        elif identity not in items:
            hint = nearest(identity, list(items), problems)
            fix = f"{hint}use {{classification}}_{{idx}} of the data; see --data and --subset394"
            problems.add(f"{row.where}, id {identity!r:.80}", "is no item of PRMBench", fix=fix)
        elif identity in found:
            notes.repeated.append(identity)
        else:
            found[identity] = _answer(official, items[identity], problems, notes)
    return Judged(
        items=tuple(item for item in data.items if item.solution.id in found),
        scores={name: one.values for name, one in found.items() if one.kind == "scores"},
        labels={name: one.values for name, one in found.items() if one.kind == "labels"},
        warnings=tuple(notes.told()),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    kind: str
    """"scores", "labels", or "" where the row is unusable."""
    values: Values = ()


class _Notes:
    """What is said of rows that are fine, but not as one might think."""

    def __init__(self, order: tuple[str, str], ambiguous: Sequence[str] = ()) -> None:
        self.order = order
        """Which of scores and labels decide where a row has both: the first."""
        self.ambiguous = frozenset(ambiguous)
        """Ids that stand twice in the data: a row may be of the other text."""
        self.cut: list[str] = []
        self.twins: list[str] = []
        self.elsewhere: list[str] = []
        self.repeated: list[str] = []
        self.short: list[str] = []
        self.both: list[str] = []
        self.unusable: list[str] = []

    def told(self) -> list[str]:
        said = {
            "row(s) have fewer values than steps; the rest of their steps is not counted, as in "
            "the official script": self.short,
            "row(s) have more values than steps, of ids that stand twice in the data; the values "
            "beyond the first text's steps are not counted": self.cut,
            "row(s) repeat an id; the first row counts": self.repeated,
            f"row(s) give scores and labels; the {self.order[0]} decide": self.both,
            "row(s) are unusable and left out of the counts": self.unusable,
            "row(s) are of items outside the subset and not counted": self.elsewhere,
            'row(s) are twins without an error ("correct_…") and not counted': self.twins,
        }
        return [f"{len(ids)} {what}: {listed(ids)}" for what, ids in said.items() if ids]


def _plain(row: Row) -> Row:
    """The official nested row as a flat one; other rows as they are."""
    nested = row.values.get("scores")
    if not isinstance(nested, dict):
        return row
    flat = {key: value for key, value in row.values.items() if key != "scores"}
    flat |= {ours: nested[theirs] for ours, theirs in _OFFICIAL.items() if theirs in nested}
    return replace(row, values=flat)


def _identity(row: Row, problems: Problems) -> str | None:
    key = "idx" if "idx" in row.values and "id" not in row.values else "id"
    return read_id(row, problems, key=key, fix="give {classification}_{idx} of the item")


def _answer(row: Row, item: PrmItem, problems: Problems, notes: _Notes) -> _Answer:
    identity, values = item.solution.id, row.values
    given = [key for key in notes.order if values.get(key) is not None]
    redundancy = values.get("redundancy_labels") is not None
    if values.get("validity", True) not in (True, False, None):
        what = f"is {kind(values['validity'])}"
        problems.add(f"{describe(row)}, validity", what, fix="give true or false")
    if values.get("validity") is False or (not given and _says_null(row)):
        notes.unusable.append(identity)
        return _Answer(kind="")
    if redundancy and item.solution.subset in REDUNDANCY:
        redundant = _labels(row, "redundancy_labels", problems)
        negated = tuple(None if one is None else 1.0 - one for one in redundant)
        return _checked(_Answer(kind="labels", values=negated), row, item, problems, notes)
    if not given:
        fix = 'give "scores" or "labels", one per step'
        problems.add(describe(row), "says nothing of the steps", fix=fix)
        return _Answer(kind="")
    if len(given) == 2:
        notes.both.append(identity)
    read = read_scores if given[0] == "scores" else _labels_of
    answer = _Answer(kind=given[0], values=read(row, problems, given[0]))
    return _checked(answer, row, item, problems, notes)


def _says_null(row: Row) -> bool:
    return "scores" in row.values or "labels" in row.values


def _labels_of(row: Row, problems: Problems, key: str) -> Values:
    return _labels(row, key, problems)


def _labels(row: Row, key: str, problems: Problems) -> Values:
    found = row.values.get(key)
    where = f"{describe(row)}, {key}"
    if not isinstance(found, list):
        problems.add(where, f"is {kind(found)}, not a list", fix="give one per step")
        return ()
    for step, one in enumerate(found):
        if one is not None and one not in (0, 1):
            fix = "give true or 1 for yes, false or 0 for no, null for unjudged"
            problems.add(f"{where}[{step}]", f"is {kind(one)}, not a label", fix=fix)
            return ()
    return tuple(None if one is None else float(one) for one in found)


def _checked(
    answer: _Answer, row: Row, item: PrmItem, problems: Problems, notes: _Notes
) -> _Answer:
    num_steps, num_values = len(item.solution.steps), len(answer.values)
    if num_values > num_steps and item.solution.id in notes.ambiguous:
        notes.cut.append(item.solution.id)
        return replace(answer, values=answer.values[:num_steps])
    if num_values > num_steps:
        what = f"holds {num_values} values but the item has {num_steps} steps"
        fix = "give one per step of modified_process"
        problems.add(f"{describe(row)}, {answer.kind}", what, fix=fix)
    elif num_values < num_steps:
        notes.short.append(item.solution.id)
    return answer


def _check_complete(source: str, data: PrmBenchData, present: set[str]) -> None:
    missing = [item.solution for item in data.items if item.solution.id not in present]
    if not missing:
        return
    lacking = Counter(one.subset for one in missing)
    total = Counter(item.solution.subset for item in data.items)
    parts = [f"{name} {lacking[name]} of {total[name]}" for name in CLASSES if lacking[name]]
    raise BadInput(
        f"{source}: {len(missing)} of {len(data.items)} items have no row: {', '.join(parts)} "
        f"({listed([one.id for one in missing], most=3)}).",
        fix="add them (scores null where an answer was unusable), score the rest with "
        "--limit-to-present, or say --subset394",
    )


def weak_spots(result: PrmResult, steps: Steps) -> list[str]:
    """Where a number is not what it seems."""
    told = []
    if steps.num_unscored:
        told.append(f"{steps.num_unscored} step(s) without a score are not counted")
    if result.undefined:
        told.append(
            f"{', '.join(result.undefined)}: a half of the PRMScore is not defined and counts "
            "-100, as in the official script"
        )
    absent = [name for name in CLASSES if name not in result.classes]
    if absent:
        told.append(
            f"no row of {', '.join(absent)}: these classes and their groups are null, and "
            f"{OVERALL} is over the others"
        )
    return told
