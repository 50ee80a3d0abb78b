"""Which verdict does an analysis give?  Three readings, one for each use.

`parse`   scoring: the word right after the *first* marker, where the verdict token is read
`read`    pairs, rejected side: the text holds exactly one verdict string; which one?
`accept`  seed selection and the chosen side of pairs: exactly one verdict string, it agrees with
          the gold label, and nothing but full stops and blanks follows it

A verdict string is prefix + marker + word, such as "Verification: Is the step correct (Yes/No)?
Yes".  A failure is a value with a cause; no text makes these functions raise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from rprm.engines.base import VerdictFormat
from rprm.schema import Verdict


class Cause(StrEnum):
    NO_MARKER = "no_marker"  # the marker of the verdict line never appears
    NO_WORD = "no_word"  # neither verdict word follows the marker
    CUT_OFF = "cut_off"  # the token limit came before the verdict
    NO_VERDICT = "no_verdict"  # no complete verdict string
    AMBIGUOUS = "ambiguous"  # more than one verdict string
    DISAGREES = "disagrees"  # the verdict is not the gold label
    TRAILING_TEXT = "trailing_text"  # the text goes on after its verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class NotParsed:
    cause: Cause


def parse(text: str, fmt: VerdictFormat) -> Parsed | NotParsed:
    _, marker, rest = text.partition(fmt.marker)
    if not marker:
        return NotParsed(cause=Cause.NO_MARKER)
    if rest.startswith(fmt.yes):
        return Parsed(verdict=Verdict.YES)
    if rest.startswith(fmt.no):
        return Parsed(verdict=Verdict.NO)
    return NotParsed(cause=Cause.NO_WORD)


def read(text: str, fmt: VerdictFormat) -> Parsed | NotParsed:
    num_yes = text.count(verdict_string(fmt, Verdict.YES))
    num_no = text.count(verdict_string(fmt, Verdict.NO))
    if num_yes + num_no == 0:
        return NotParsed(cause=Cause.NO_VERDICT)
    if num_yes + num_no > 1:
        return NotParsed(cause=Cause.AMBIGUOUS)
    return Parsed(verdict=Verdict.YES if num_yes else Verdict.NO)


def accept(text: str, fmt: VerdictFormat, *, gold: Verdict) -> Parsed | NotParsed:
    """The cause is that of the first rule broken: one verdict, agreement, the end of the text."""
    found = read(text, fmt)
    if isinstance(found, NotParsed):
        return found
    if found.verdict is not gold:
        return NotParsed(cause=Cause.DISAGREES)
    if not text.rstrip(".").strip().endswith(verdict_string(fmt, gold)):
        return NotParsed(cause=Cause.TRAILING_TEXT)
    return found


def verdict_string(fmt: VerdictFormat, verdict: Verdict) -> str:
    return fmt.prefix + fmt.marker + (fmt.yes if verdict is Verdict.YES else fmt.no)


def verdict_of(gold: bool) -> Verdict:
    """The verdict that a right answer about this step ends with."""
    return Verdict.YES if gold else Verdict.NO


_LATEX_N = (
    "abla atural cong e earrow eg eq equiv ewcommand ewline exists geq gtr i leftarrow leq less "
    "mid obreak olimits onumber ormalsize orm ot otag otin parallel prec rightarrow sim subset "
    "subseteq succ supset supseteq u warrow"
)
_BREAK = re.compile(r"\n|\\n(?!(?:" + "|".join(_LATEX_N.split()) + r")(?![A-Za-z]))")
_ANY_BREAK = re.compile(r"\n|\\n")


def split_text(text: str, *, keep_latex: bool = True) -> str:
    r"""Break at newlines and at a literal backslash-n, and strip every line.

    Judges trained on prompts with a literal "\n" in them write it too.  The published cleaning also
    cuts LaTeX such as \neq and \nu in two; that is what `keep_latex=False` does.
    """
    lines = (_BREAK if keep_latex else _ANY_BREAK).split(text)
    return "\n".join(line.strip() for line in lines)
