"""Would the grader of the Qwen2.5-Math harness accept a prediction?  Laxer than equality.

Published tables, the R-PRM paper's among them, were graded by it, so it is kept to compare with
them.  Both texts are first written as in `answers.normalised`.  It accepts, in this order:

text       the same, in whatever case and with whatever brackets around and inside
numbers    x within a relative 1e-4 of the reference, of a hundredth of it, or of a hundred times it
           (percentages); two numbers that differ more are wrong, without a further look
lists      (a, b], [a, b) and the like: element by element, whatever the brackets
matrices   element by element
equations  the same difference of both sides, up to its sign; "x = 5" for 5
formulas   whose difference simplifies to 0, or whose values agree within a relative 1e-4

It differs from the published one where that evaluates text as Python, which here would be to run
what a model wrote: formulas are read as LaTeX alone.  It never says "unparsed": what cannot be read
is wrong.
"""

from __future__ import annotations

import math
import re
from typing import Any

from sympy import Expr, simplify  # type: ignore[import-untyped]  # it has no type hints

from rprm.benchmarks.answers import normalised
from rprm.benchmarks.grading_verdicts import Verdict
from rprm.benchmarks.math_verify_grader import read

CLOSE = 1e-4
_PERCENT = (1.0, 0.01, 100.0)
_BRACKETS = re.compile(r"[()\[\]{}]")
_MATRIX = re.compile(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", re.DOTALL)
_THOUSANDS = "{,}"
"""The published one does not understand 10{,}000, as its recorded verdicts show."""
_NAME = 2
"""Characters of a left side that is but the name of the answer."""
_CANNOT = (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError)
"""What a computer algebra system raises when it gives up; anything else ends the process."""


def compare(gold: str, prediction: str) -> Verdict:
    return Verdict.RIGHT if equal(normalised(gold), normalised(prediction)) else Verdict.WRONG


def equal(gold: str, prediction: str) -> bool:
    """Of two texts that are already normalised."""
    if _bare(gold) == _bare(prediction):
        return True
    numbers = number(gold), number(prediction)
    if numbers[0] is not None and numbers[1] is not None:
        reference, value = numbers[0], numbers[1]
        return any(math.isclose(value, reference * by, rel_tol=CLOSE) for by in _PERCENT)
    for parts_of in (_elements, _cells):
        golds, predictions = parts_of(gold), parts_of(prediction)
        if len(golds) == len(predictions) > 1:
            return all(map(equal, golds, predictions))
    return _equations(gold, prediction)


def number(text: str) -> float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _bare(text: str) -> str:
    return _BRACKETS.sub("", text).casefold()


def _elements(text: str) -> list[str]:
    """What commas separate between one pair of brackets, leaving those inside alone."""
    if not (text[:1] in ("(", "[") and text[-1:] in (")", "]")):
        return []
    depth, parts = 0, [""]
    for sign in text[1:-1]:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _cells(text: str) -> list[str]:
    """Of a matrix, row by row; where the rows end tells shapes apart."""
    matrix = _MATRIX.fullmatch(text)
    if matrix is None:
        return []
    rows = [row.split("&") for row in matrix[1].strip("\\").split(r"\\")]
    return [cell for row in rows for cell in [f"row{len(row)}", *row]]


def _equations(gold: str, prediction: str) -> bool:
    ours, theirs = prediction.split("="), gold.split("=")
    if len(ours) == len(theirs) == 2:
        of_gold, of_prediction = (f"{left}-({right})" for left, right in (theirs, ours))
        return _same(of_gold, of_prediction) or _same(f"-({of_gold})", of_prediction)
    if len(ours) == 2 and len(theirs) == 1 and len(ours[0]) <= _NAME:
        return equal(gold, ours[1])
    if len(theirs) == 2 and len(ours) == 1 and len(theirs[0]) <= _NAME:
        return equal(theirs[1], prediction)
    return _same(gold, prediction)


def _same(gold: str, prediction: str) -> bool:
    one, other = _expression(gold), _expression(prediction)
    if one is None or other is None:
        return False
    try:
        return one == other or bool(simplify(one - other) == 0) or _near(one, other)
    except _CANNOT:
        return False


def _near(one: Any, other: Any) -> bool:
    """Both numbers, and close."""
    if not (one.is_number and other.is_number):
        return False
    return math.isclose(float(one.evalf()), float(other.evalf()), rel_tol=CLOSE)


def _expression(text: str) -> Any:
    if _THOUSANDS in text:
        return None
    found = read(text)
    return found[0].doit() if found and isinstance(found[0], Expr) else None
