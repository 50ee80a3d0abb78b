"""What did `rprm score … --json` say?  A recorded result, read back as a measured system."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rprm.benchmarks.statistics import Interval
from rprm.comparing.measured import Measured, interval_of
from rprm.errors import BadInput
from rprm.reporting.solvers import WAYS

POINT = ("recorded result: no rows to resample, so no interval",)

SETS = "subsets"
"""Of a Best-of-N result over several sets."""


def read_result(file: Path, *, name: str) -> list[Measured]:
    """One system; of a Best-of-N result, one for every way to solve the problems."""
    found = _object(file)
    if "overall" in found:
        return [_measured(name, file, "prmbench", _numbers(found, file, skip=("counts", "sweep")))]
    if "best_of_n" in found:
        return list(_ways(found, file, name))
    if "average" in found:
        return [_measured(name, file, "processbench", dict(_subsets(found, file)))]
    raise BadInput(
        f"{file} is no result of `rprm score … --json`: it has none of the keys average, overall "
        "and best_of_n.",
        fix="write one with `rprm score processbench OUTPUTS --json > FILE.json`",
    )


def _object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}.", fix="check its name") from error
    except ValueError as error:
        raise BadInput(
            f"{file} is not JSON.", fix="give one object, as `rprm score … --json` prints it"
        ) from error
    if not isinstance(found, dict):
        raise BadInput(f"{file} holds no JSON object.", fix="give one object, not a list")
    return found


def _subsets(found: Mapping[str, Any], file: Path) -> Iterator[tuple[str, Interval]]:
    for part, values in found.items():
        if part == "average":
            yield from (("average/f1", value) for value in _value(values, file, part))
        elif isinstance(values, Mapping):
            for metric in ("acc_error", "acc_correct", "f1"):
                for value in _value(values.get(metric), file, f"{part}.{metric}"):
                    yield f"{part}/{metric}", value


def _ways(found: Mapping[str, Any], file: Path, name: str) -> Iterator[Measured]:
    sets = found.get(SETS)
    for method in WAYS:
        cells: dict[str, Interval] = {}
        for one in _value(found.get(method), file, method):
            cells["average"] = one
        for part, values in sets.items() if isinstance(sets, Mapping) else ():
            for one in _value(values.get(method), file, f"{SETS}.{part}.{method}"):
                cells[part] = one
        if cells:
            label = name if method == "best_of_n" else WAYS[method].format(n="N", system=name)
            yield _measured(label, file, "solving", cells, method=method)


def _numbers(found: Mapping[str, Any], file: Path, *, skip: tuple[str, ...]) -> dict[str, Interval]:
    return {
        key: one
        for key, value in found.items()
        if key not in skip
        for one in _value(value, file, key)
    }


def _value(value: Any, file: Path, key: str) -> Iterator[Interval]:
    """Nothing where it is null."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float | Mapping):
        raise BadInput(f"{file}, {key}: {value!r:.40} is no number.", fix="write it again")
    yield interval_of(value)


def _measured(
    name: str, file: Path, benchmark: Any, cells: Mapping[str, Interval], *, method: str = ""
) -> Measured:
    return Measured(
        name=name,
        benchmark=benchmark,
        method=method,
        points=cells,
        origin=str(file),
        notes=POINT,
    )
