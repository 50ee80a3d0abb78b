"""What may be removed from a store, given the campaigns that are kept?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from jobs.runtime.session import Session
from jobs.store.gc import Plan, collect


def collect_garbage(
    sessions: Sequence[Session], *, delete: bool, grace: timedelta
) -> Iterator[str]:
    """One line per reason and artifact, then a total."""
    roots = {stage.address for session in sessions for stage in session.stages}
    for store in {session.store.url: session.store for session in sessions}.values():
        plan = collect(store, roots, now=datetime.now(UTC), grace=grace, dry_run=not delete)
        yield from _lines(plan)
        what = "removed" if delete else "could be removed with --delete"
        yield f"{store.url}: {len(plan.items)} objects, {plan.num_bytes / 1e6:,.1f} MB {what}."


def _lines(plan: Plan) -> Iterator[str]:
    sizes: Counter[tuple[str, str]] = Counter()
    for item in plan.items:
        sizes["/".join(item.key.split("/")[:2]), item.reason] += item.size
    for (folder, reason), size in sorted(sizes.items()):
        yield f"{folder}: {size / 1e6:,.1f} MB, {reason}"
