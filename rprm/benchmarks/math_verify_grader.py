r"""Does math-verify take a prediction for the reference?  With two guards around it.

LaTeX is put into a \boxed{} first, without which math-verify reads but numbers; only the LaTeX
reader is used, because its fallback would take any number out of a text that cannot be read.
The reference comes first: the order of the arguments matters ("0<x<12.5" accepts "(0,12.5)").

Guard    numbers that differ by far more than a rounding are not equal: math-verify compares to 6
         decimals or drops what is tiny, so that 1/2^99 = 1/2^98 and 1/2004! = 1/2006! for it
Unread   a reference that cannot be read leaves the pair undecided, unless the texts agree; a
         prediction that cannot be read is wrong
"""

from __future__ import annotations

import re
from typing import Any

from math_verify import (  # type: ignore[import-untyped]  # neither has type hints
    LatexExtractionConfig,
    parse,
    verify,
)
from sympy import Basic, Expr, MatrixBase  # type: ignore[import-untyped]

from rprm.benchmarks.grading_verdicts import Verdict

SMALL = 1e-3
"""Below it, 6 decimals are fewer than 3 significant digits."""
FAR = 0.01
"""Relative difference that no rounding to 3 significant digits explains."""

_LATEX = (LatexExtractionConfig(),)
_MONEY = re.compile(r"\\\$")
_UPRIGHT = re.compile(r"\\mathrm\{\s*([ei])\s*\}")
_POWER_OF_TEN = re.compile(r"(?<![\w.\\])(\d+\.?\d*|\.\d+)[eE]([+-]?\d+)(?!\w)")
_ONE_FORMULA = re.compile(r"\$([^$]*)\$")


def compare(gold: str, prediction: str) -> Verdict:
    golds, predictions = read(gold), read(prediction)
    # Both limits of time are those of the process: math-verify's own need the main thread.
    if verify(golds, predictions, timeout_seconds=None) and not rounded_away(golds, predictions):
        return Verdict.RIGHT
    readable = any(isinstance(one, Basic | MatrixBase) for one in golds)
    return Verdict.WRONG if readable else Verdict.UNPARSED


def read(answer: str) -> list[Any]:
    """What math-verify makes of an answer: an expression, and the text it was made of."""
    found: list[Any] = parse(formula(answer), extraction_config=_LATEX, parsing_timeout=None)
    return found


def formula(answer: str) -> str:
    """In a box, unless formulas stand in a text that is not itself one; 4.5e33 is no Euler's e."""
    answer = _UPRIGHT.sub(r"\1", _MONEY.sub("", answer)).strip()
    answer = _POWER_OF_TEN.sub(r"\1 \\times 10^{\2}", answer)
    whole = _ONE_FORMULA.fullmatch(answer)
    if whole:
        answer = whole[1]
    return answer if "$" in answer else f"\\boxed{{{answer}}}"


def rounded_away(golds: list[Any], predictions: list[Any]) -> bool:
    """Are both small numbers that only an absolute rounding makes equal?

    A factor of 100 is left to math-verify, which accepts a percentage for a fraction.
    """
    gold, prediction = (_number(found[0]) if found else None for found in (golds, predictions))
    if gold is None or prediction is None or max(abs(gold), abs(prediction)) >= SMALL:
        return False
    return not any(_close(gold, prediction * factor) for factor in (1, 100, 0.01))


def _number(expression: object) -> Any:
    """To 30 digits, however small; None for what is no real number."""
    if not isinstance(expression, Expr) or not expression.is_number:
        return None
    value = expression.doit().evalf(30)
    return value if value.is_Float or value.is_Integer else None


def _close(a: Any, b: Any) -> bool:
    return bool(abs(a - b) <= FAR * max(abs(a), abs(b)))
