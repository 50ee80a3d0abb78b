"""Which rows of a file cannot be used, and why?  All of them are named at once, up to a cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rprm.errors import BadInput

MAX_SHOWN = 20
"""Problems spelled out in one message; a file of the wrong kind has one in every row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowProblem:
    row: int
    """0-based, as in the file."""
    key: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.key}: {self.what}. Fix: {self.fix}"


@dataclass(kw_only=True, slots=True)
class RowChecks:
    """Collects the problems of one file; `done` raises them together."""

    source: str
    shown: list[RowProblem] = field(default_factory=list)
    num_problems: int = 0

    def problem(self, row: int, key: str, what: str, *, fix: str) -> None:
        self.num_problems += 1
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(RowProblem(row=row, key=key, what=what, fix=fix))

    def row(self, index: int, values: object) -> RowReader:
        """A row that is no object at all reads as an empty one: each key is then missing."""
        if isinstance(values, Mapping):
            return RowReader(checks=self, index=index, values=values)
        self.problem(
            index,
            "(row)",
            f"is {_kind(values)}, not an object",
            fix="write one JSON object per row",
        )
        return RowReader(checks=RowChecks(source=self.source), index=index, values={})

    def unique(self, seen: dict[str, int], row: int, key: str, value: str) -> None:
        """`seen` maps each value met so far to its row; the caller keeps one per key."""
        first = seen.setdefault(value, row)
        if first != row:
            self.problem(
                row, key, f"{value!r} is already used by row {first}", fix="make it unique"
            )

    def done(self) -> None:
        if not self.num_problems:
            return
        rest = self.num_problems - len(self.shown)
        lines = [
            f"{self.source}: {self.num_problems} problem(s) in its rows",
            *map(str, self.shown),
        ]
        raise BadInput("\n  ".join([*lines, f"and {rest} more"] if rest else lines))


@dataclass(frozen=True, kw_only=True, slots=True)
class RowReader:
    """Typed access to one row.  A wrong value is noted and a harmless stand-in returned."""

    checks: RowChecks
    index: int
    values: Mapping[str, object]
    inner: str = ""
    """Where in the row this reader stands, such as "label.steps[3]."."""

    def problem(self, key: str, what: str, *, fix: str) -> None:
        self.checks.problem(self.index, self.inner + key, what, fix=fix)

    def text(self, key: str, *, blank: bool = False) -> str:
        value = self._typed(key, str, "text")
        if isinstance(value, str) and not blank and not value.strip():
            self._note(key, "is blank", "fill it in or drop the row")
        return value if isinstance(value, str) else ""

    def optional_text(self, key: str) -> str | None:
        return None if self.values.get(key) is None else self.text(key)

    def integer(self, key: str) -> int:
        value = self._typed(key, int, "a whole number")
        return value if isinstance(value, int) else 0

    def optional_integer(self, key: str) -> int | None:
        return None if self.values.get(key) is None else self.integer(key)

    def boolean(self, key: str) -> bool:
        return self._typed(key, bool, "true or false") is True

    def optional_boolean(self, key: str) -> bool | None:
        return None if self.values.get(key) is None else self.boolean(key)

    def optional_fraction(self, key: str) -> float | None:
        """A number in [0, 1] or nothing."""
        if self.values.get(key) is None:
            return None
        value = self._typed(key, (int, float), "a number")
        if not isinstance(value, int | float):
            return None
        if not 0.0 <= value <= 1.0:
            self._note(key, f"is {value}, outside 0…1", "store a probability")
        return float(value)

    def texts(self, key: str, *, empty: bool = False, blank: bool = False) -> tuple[str, ...]:
        value = self._typed(key, list, "a list of texts")
        if not isinstance(value, list):
            return ()
        if not value and not empty:
            self._note(key, "is empty", "drop the row: there is nothing to judge")
        for position, item in enumerate(value):
            where = f"{key}[{position}]"
            if not isinstance(item, str):
                self._note(where, f"is {_kind(item)}, not text", "store every step as text")
            elif not blank and not item.strip():
                self._note(where, "is blank", "drop the step and shift the label")
        return tuple(item for item in value if isinstance(item, str))

    def label(self, key: str, *, num_steps: int) -> int:
        """-1, or the 0-based index of a step."""
        before = self.checks.num_problems
        value = self.integer(key)
        if self.checks.num_problems == before and not -1 <= value < max(num_steps, 1):
            self._note(
                key,
                f"is {value} but there are {num_steps} steps",
                "give the 0-based index of the first wrong step, or -1 when all are right",
            )
        return value

    def inside(self, key: str) -> RowReader:
        """A reader of the object at `key`; of an empty one where there is none."""
        return self._inner(key, self._typed(key, Mapping, "an object"))

    def optional_list(self, key: str) -> list[RowReader]:
        """A reader for each object of the list at `key`; none where it is null or missing."""
        value = None if self.values.get(key) is None else self._typed(key, list, "a list")
        items = value if isinstance(value, list) else []
        for position, item in enumerate(items):
            if not isinstance(item, Mapping):
                self._note(f"{key}[{position}]", f"is {_kind(item)}, not an object", "drop it")
        return [self._inner(f"{key}[{i}]", item) for i, item in enumerate(items)]

    def _inner(self, key: str, value: object) -> RowReader:
        """What is no object was noted; its keys are not reported one by one on top of that."""
        found = isinstance(value, Mapping)
        return RowReader(
            checks=self.checks if found else RowChecks(source=self.checks.source),
            index=self.index,
            values=value if isinstance(value, Mapping) else {},
            inner=f"{self.inner}{key}.",
        )

    def _typed(self, key: str, kind: type | tuple[type, ...], name: str) -> object:
        value = self.values.get(key)
        if value is None:
            what = "is null" if key in self.values else "is missing"
            self._note(key, what, f"give {name}, or drop the row")
        elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self._note(key, f"is {_kind(value)}, not {name}", f"store it as {name}")
            return None
        return value

    def _note(self, key: str, what: str, fix: str) -> None:
        self.problem(key, what, fix=fix)


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value!r:.40}"
