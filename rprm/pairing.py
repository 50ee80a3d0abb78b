"""Which pairs of analyses does preference training compare?  Pure rules with counts.

Per case, over the responses with exactly one verdict (they are the valid ones): those that
pass every rule of seed selection are chosen, those with the wrong verdict are rejected, those with
the right verdict and trailing text are neither, though they count as valid.  Pairs are the cross
product, chosen-major.  With the filter, a case counts only if more than a third of its valid
responses are chosen, and gives at most `cap` pairs.

`selection.balance` and `selection.split_by_problem` take pairs as they take rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import product

from rprm.engines.base import VerdictFormat
from rprm.schema import Verdict
from rprm.selection import Response
from rprm.verdicts import Cause, NotParsed, Parsed, accept, read

CAP = 2
"""Pairs per case, as published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRow:
    case_id: str
    problem_id: str
    verdict: Verdict
    """Of the chosen analysis, which is the gold one."""
    chosen: str
    rejected: str
    chosen_sample: int
    rejected_sample: int

    @property
    def id(self) -> str:
        return f"{self.case_id}#{self.chosen_sample}-{self.rejected_sample}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleCounts:
    cases: int = 0
    responses: int = 0
    no_verdict: int = 0
    ambiguous: int = 0
    trailing_text: int = 0
    chosen: int = 0
    rejected: int = 0
    cases_all_right: int = 0
    """Valid responses, none of them rejected; among them cases whose text only trails."""
    cases_all_wrong: int = 0
    """Valid responses, none of them chosen."""
    cases_without_verdict: int = 0
    cases_too_hard: int = 0
    """Both kinds, but at most a third of the valid responses is chosen."""
    cases_paired: int = 0
    pairs_over_cap: int = 0
    pairs: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    rows: tuple[PairRow, ...]
    """Sorted by case id; within a case chosen-major, in order of the samples."""
    counts: RuleCounts


@dataclass(kw_only=True, slots=True)
class _Pools:
    valid: int = 0
    chosen: list[Response] = field(default_factory=list)
    rejected: list[Response] = field(default_factory=list)


def make_pairs(
    responses: Iterable[Response],
    fmt: VerdictFormat,
    *,
    cap: int | None = CAP,
    filtered: bool = True,
) -> Paired:
    """`filtered=False` keeps every case; `cap=None` keeps every pair."""
    counts: Counter[str] = Counter()
    rows: list[PairRow] = []
    for case in _by_case(responses):
        pools = _pools(case, fmt, counts)
        rule = _rule(pools, filtered=filtered)
        counts.update({"cases": 1, "responses": len(case), rule: 1})
        if rule == "cases_paired":
            made = [_pair(good, bad) for good, bad in product(pools.chosen, pools.rejected)]
            rows += made[:cap]
            counts["pairs_over_cap"] += len(made) - len(made[:cap])
    counts["pairs"] = len(rows)
    return Paired(rows=tuple(rows), counts=RuleCounts(**counts))


def _by_case(responses: Iterable[Response]) -> list[list[Response]]:
    cases: dict[str, list[Response]] = {}
    for response in responses:
        cases.setdefault(response.case_id, []).append(response)
    return [sorted(cases[case], key=lambda one: one.sample) for case in sorted(cases)]


def _pools(case: list[Response], fmt: VerdictFormat, counts: Counter[str]) -> _Pools:
    pools = _Pools()
    for response in case:
        found = read(response.text, fmt)
        if isinstance(found, NotParsed):
            counts[found.cause.value] += 1
            continue
        pools.valid += 1
        if found.verdict is not response.gold:
            pools.rejected.append(response)
        elif isinstance(accept(response.text, fmt, gold=response.gold), Parsed):
            pools.chosen.append(response)
        else:
            counts[Cause.TRAILING_TEXT.value] += 1
    counts.update({"chosen": len(pools.chosen), "rejected": len(pools.rejected)})
    return pools


def _rule(pools: _Pools, *, filtered: bool) -> str:
    """Which of the case counts this case falls under."""
    if not pools.valid:
        return "cases_without_verdict"
    if not pools.rejected:
        return "cases_all_right"
    if not pools.chosen:
        return "cases_all_wrong"
    if filtered and pools.valid >= 3 * len(pools.chosen):
        return "cases_too_hard"
    return "cases_paired"


def _pair(chosen: Response, rejected: Response) -> PairRow:
    return PairRow(
        case_id=chosen.case_id,
        problem_id=chosen.problem_id,
        verdict=chosen.gold,
        chosen=chosen.text,
        rejected=rejected.text,
        chosen_sample=chosen.sample,
        rejected_sample=rejected.sample,
    )
