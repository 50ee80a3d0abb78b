"""Which sampled analyses become training rows?  Filter, balance, split; pure and seeded.

Every choice is made by rank: a hash of (seed, id).  So it does not depend on the order of the
rows, and a row keeps its place when others come or go.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Generic, Literal, Protocol, TypeVar

from rprm.engines.base import VerdictFormat
from rprm.errors import BadInput
from rprm.schema import Verdict
from rprm.verdicts import NotParsed, accept

Policy = Literal["last", "first", "all"]


class Row(Protocol):
    """What balancing and splitting need to know of a training row."""

    @property
    def id(self) -> str: ...

    @property
    def problem_id(self) -> str: ...

    @property
    def verdict(self) -> Verdict: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One sampled analysis of a case whose gold label is known."""

    case_id: str
    problem_id: str
    gold: Verdict
    sample: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """An analysis that ends in the right verdict: a row of supervised training."""

    case_id: str
    problem_id: str
    verdict: Verdict
    sample: int
    text: str

    @property
    def id(self) -> str:
        return f"{self.case_id}#{self.sample}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleCounts:
    """How many responses each rule took, and how many cases were left with none."""

    cases: int = 0
    responses: int = 0
    no_verdict: int = 0
    ambiguous: int = 0
    disagrees: int = 0
    trailing_text: int = 0
    accepted: int = 0
    superseded: int = 0
    """Accepted, but the policy keeps another response of the case."""
    kept: int = 0
    cases_without: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    rows: tuple[Accepted, ...]
    """Sorted by case id and sample."""
    counts: RuleCounts


def keep_accepted(
    responses: Iterable[Response], fmt: VerdictFormat, *, policy: Policy = "last"
) -> Selected:
    """The responses that agree with gold; by default the last one of each case, as published."""
    rules: Counter[str] = Counter()
    cases: set[str] = set()
    accepted: dict[str, list[Accepted]] = {}
    for response in responses:
        rules["responses"] += 1
        cases.add(response.case_id)
        found = accept(response.text, fmt, gold=response.gold)
        rules[found.cause.value if isinstance(found, NotParsed) else "accepted"] += 1
        if not isinstance(found, NotParsed):
            accepted.setdefault(response.case_id, []).append(_accepted(response))
    rows = tuple(chain.from_iterable(_choose(accepted[case], policy) for case in sorted(accepted)))
    counts = RuleCounts(
        **rules,
        cases=len(cases),
        superseded=rules["accepted"] - len(rows),
        kept=len(rows),
        cases_without=len(cases) - len(accepted),
    )
    return Selected(rows=rows, counts=counts)


def _accepted(response: Response) -> Accepted:
    return Accepted(
        case_id=response.case_id,
        problem_id=response.problem_id,
        verdict=response.gold,
        sample=response.sample,
        text=response.text,
    )


def _choose(accepted: list[Accepted], policy: Policy) -> list[Accepted]:
    ordered = sorted(accepted, key=lambda row: row.sample)
    return {"last": ordered[-1:], "first": ordered[:1], "all": ordered}[policy]


def rank(seed: Hashable, id: str) -> bytes:
    """A row's place in the shuffle of this seed."""
    return hashlib.blake2b(f"{seed}\0{id}".encode(), digest_size=16).digest()


def shuffled(rows: Iterable[R], *, seed: int) -> list[R]:
    return sorted(rows, key=lambda row: (rank(seed, row.id), row.id))


def balance(rows: Iterable[R], *, seed: int) -> list[R]:
    """As many Yes as No rows, shuffled and alternating: every even prefix is balanced too."""
    ordered = shuffled(rows, seed=seed)
    yes = [row for row in ordered if row.verdict is Verdict.YES]
    no = [row for row in ordered if row.verdict is Verdict.NO]
    return list(chain.from_iterable(zip(yes, no, strict=False)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Split(Generic[R]):
    train: tuple[R, ...]
    validation: tuple[R, ...]


def split_by_problem(rows: Sequence[R], *, validation_rows: int, seed: int) -> Split[R]:
    """Whole problems go to validation until it has the rows asked for; both keep their order."""
    sizes = Counter(row.problem_id for row in rows)
    held = set(_held_out(sizes, validation_rows, seed))
    train = tuple(row for row in rows if row.problem_id not in held)
    if rows and not train:
        raise BadInput(
            f"holding out {validation_rows} rows takes all {len(sizes)} problems of "
            f"{len(rows)} rows and leaves none to train on.",
            fix="hold out fewer rows, or select more data",
        )
    return Split(train=train, validation=tuple(row for row in rows if row.problem_id in held))


def _held_out(sizes: Counter[str], wanted: int, seed: int) -> Iterator[str]:
    held = 0
    for problem in sorted(sizes, key=lambda problem: (rank(f"split-{seed}", problem), problem)):
        if held >= wanted:
            return
        held += sizes[problem]
        yield problem
