"""Which numbers did the benches find?  A table of all rows that tests recorded, at the end.

A test calls `row` before it asserts, so that a target that is missed stands in the table, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.bench.rows import HEAD, HOLDS, Row


@pytest.fixture
def row(record_property: Callable[[str, object], None]) -> Row:
    def record(measure: str, value: str, target: str, holds: bool | None, beside: str) -> None:
        record_property("row", (measure, value, target, HOLDS[holds], beside))

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = list(_rows(terminalreporter))
    if rows:
        terminalreporter.section("what was measured")
        for cells in (HEAD, ("---",) * len(HEAD), *rows):
            terminalreporter.write_line(f"| {' | '.join(cells)} |")


def _rows(terminal: pytest.TerminalReporter) -> Iterator[tuple[str, ...]]:
    for outcome in ("passed", "failed"):
        for report in terminal.getreports(outcome):
            yield from (value for name, value in report.user_properties if name == "row")
    for report in terminal.getreports("skipped"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        yield (report.nodeid.rpartition("::")[2], why, "", "", "")
