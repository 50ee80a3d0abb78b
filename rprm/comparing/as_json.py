"""What does a machine read of a comparison?  Every cell and every difference, with note numbers."""

from __future__ import annotations

from typing import Any

from rprm.comparing.view import Line, View


def as_dict(view: View) -> dict[str, Any]:
    return {
        "benchmark": view.name,
        "headline": view.headline,
        "baseline": view.baseline or None,
        "rows": [_row(line) for line in view.lines],
        "notes": {str(number): note for number, note in enumerate(view.notes, start=1)},
        "remarks": list(view.remarks),
    }


def _row(line: Line) -> dict[str, Any]:
    return {
        "system": line.label,
        "ours": line.ours,
        "group": line.group or None,
        "comparable": line.comparable,
        "source": line.source,
        "cells": {
            name: {**cell.value.as_json(), "notes": list(cell.marks)}
            for name, cell in line.cells.items()
        },
        "differences": {
            name: {**gain.difference.as_json(), "p_value": gain.p_value}
            for name, gain in line.gains.items()
        },
        "notes": list(line.marks),
    }
