"""How is a judged solution shown to a person?

The problem, then each step with a bar of its score (green where it counts as right, red below the
threshold), the verdicts of its critiques and the first few of them; last, the judgement.  Steps
count from 1, as people count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO

from rich.console import Console
from rich.text import Text

from rprm.engines.base import Refused
from rprm.judge import JudgeParams
from rprm.prompting import Template
from rprm.schema import Critique, Unparsed, Verdict
from rprm.scoring import ALL_RIGHT
from rprm.solutions import Judge, JudgedSolution, JudgedStep
from rprm.verdicts import Cause

BAR_CELLS = 20
RIGHT, WRONG, UNKNOWN = "green", "red", "yellow"
_STYLES = {True: RIGHT, False: WRONG, None: UNKNOWN}
_WORDS = {True: "right", False: "wrong", None: "unknown"}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Sampled text may hold sequences that drive a terminal; newlines and tabs are kept."""


def console_on(file: IO[str], *, no_color: bool) -> Console:
    """Without colours there is no escape sequence at all, bold ones included."""
    if no_color:
        return Console(file=file, color_system=None, highlight=False)
    return Console(file=file, highlight=False)


def print_setting(console: Console, by: Judge, params: JudgeParams) -> None:
    """Who judges, and how: what the scores below depend on."""
    note = f" ({by.model.note})" if by.model.note else ""
    template = by.renderer.template
    line = (
        f"{by.model.name}{note}, template {template.name} {template.sha256[:8]}, "
        f"K {params.num_critiques}, threshold {params.threshold:g}, {params.aggregate.value} score"
    )
    _print(console, "", Text(plain(line), "dim"))


def print_templates(console: Console, templates: Sequence[Template]) -> None:
    for one in templates:
        kind = "chat" if one.chat else "raw text"
        heading = Text.assemble((one.name, "bold"), f"  {one.sha256[:16]}  ", (kind, "dim"))
        _print(console, "", heading)
        verdict = one.verdict
        for word in (verdict.yes, verdict.no):
            _print(console, "  ", Text(f"{verdict.prefix}{verdict.marker}{word}", "dim"))


def print_solution(console: Console, judged: JudgedSolution, *, critiques: int) -> None:
    """`critiques` of each step are shown, the others counted."""
    _print(console, "", Text(judged.given.solution.id, "dim"))
    _print(console, "", Text(plain(judged.given.solution.problem), "bold"))
    for index, step in enumerate(judged.steps):
        _print(console, "  ", _step_line(console, judged, index))
        _print(console, "    ", Text(plain(step.text)))
        _print_critiques(console, step, critiques)
    if line := savings([judged]):
        _print(console, "", Text(line, "dim"))
    _print(console, "", conclusion(judged))


def print_totals(console: Console, judged: Sequence[JudgedSolution]) -> None:
    """One line about all solutions; nothing for a single one, which has said it all."""
    if len(judged) < 2:
        return
    words = [f"{len(judged)} solutions"]
    labelled = [one for one in judged if one.agrees is not None]
    if labelled:
        agreeing = sum(one.agrees is True for one in labelled)
        words.append(f"{agreeing} of {len(labelled)} labels agree")
    if line := savings(judged):
        words.append(line)
    _print(console, "", Text("; ".join(words), "bold"))


def advice(judged: Sequence[JudgedSolution], by: Judge) -> str:
    """What to change where no step of any solution got a score; "" elsewhere."""
    steps = [step for one in judged for step in one.steps]
    if any(step.score is not None for step in steps):
        return ""
    causes = {one.cause for step in steps for one in step.critiques if isinstance(one, Unparsed)}
    causes |= {step.answer.cause for step in steps if isinstance(step.answer, Refused)}
    if "prompt_too_long" in causes:
        return "note: prompt and critique do not fit into what the model reads: lower --max-tokens."
    if causes == {Cause.CUT_OFF}:
        return "note: every critique was cut off: raise --max-tokens."
    return (
        f"note: no critique ended in a verdict. {by.model.name} may not be trained to judge with "
        f"template {by.renderer.template.name}: name a trained judge, or another --template."
    )


def savings(judged: Sequence[JudgedSolution]) -> str:
    """What early stopping did not have to draw; "" where it was off."""
    drawn, most = sum(one.num_drawn for one in judged), sum(one.num_at_most for one in judged)
    if not most or not judged[0].params.early_stop:
        return ""
    return f"{drawn} of at most {most} critiques decided it ({1 - drawn / most:.0%} saved)"


def conclusion(judged: JudgedSolution) -> Text:
    """The first error in words, and whether the label says so too."""
    found, label = judged.first_error, judged.given.label
    style = {ALL_RIGHT: RIGHT, None: UNKNOWN}.get(found, WRONG)
    line = Text(_found_words(judged), f"bold {style}")
    if judged.agrees is not None:
        said = "no error" if label == ALL_RIGHT else f"step {(label or 0) + 1}"
        agrees = "; the label agrees" if judged.agrees else f"; the label says: {said}"
        line.append(agrees, RIGHT if judged.agrees else WRONG)
    return line


def bar(score: float | None, *, ascii_only: bool) -> str:
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    cells = round((score or 0.0) * BAR_CELLS)
    return full * cells + empty * (BAR_CELLS - cells)


def plain(text: str) -> str:
    """Without characters that a terminal would obey."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def _found_words(judged: JudgedSolution) -> str:
    found = judged.first_error
    if found is None:
        at = next(s for s, step in enumerate(judged.steps) if step.score is None)
        return f"first error: unknown, since step {at + 1} has no score"
    if found == ALL_RIGHT:
        return f"no error in {len(judged.steps)} steps"
    return f"first error: step {found + 1}"


def _step_line(console: Console, judged: JudgedSolution, index: int) -> Text:
    step = judged.steps[index]
    line = Text(f"step {index + 1}  ", "bold")
    if step.answer is None:
        return line.append("not judged: an earlier step is wrong", "dim")
    if isinstance(step.answer, Refused):
        return line.append(plain(f"refused: {step.answer.cause}: {step.answer.detail}"), UNKNOWN)
    right = judged.is_right(step)
    score = "  ? " if step.score is None else f"{step.score:.2f}"
    cells = bar(step.score, ascii_only=console.options.ascii_only)
    line.append(f"{cells} {score} {_WORDS[right]:<7} ", _STYLES[right])
    line.append(f" {_counts(judged, step)}", "dim")
    pointer = "<-" if console.options.ascii_only else "←"
    if index == judged.first_error:
        line.append(f"  {pointer} first error", f"bold {WRONG}")
    if index == judged.given.label:
        line.append(f"  {pointer} first error by the label", "bold")
    return line


def _counts(judged: JudgedSolution, step: JudgedStep) -> str:
    critiques_K = step.critiques
    verdicts = Counter(one.verdict for one in critiques_K if isinstance(one, Critique))
    words = [f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict]
    causes = Counter(one.cause for one in critiques_K if isinstance(one, Unparsed))
    words += [f"{number} without a verdict ({cause})" for cause, number in sorted(causes.items())]
    most = judged.params.num_critiques
    if len(critiques_K) < most:
        words.append(f"certain after {len(critiques_K)} of {most}")
    return ", ".join(words)


def _print_critiques(console: Console, step: JudgedStep, shown: int) -> None:
    mark = ">" if console.options.ascii_only else "▸"
    for one in step.critiques[:shown]:
        _print(console, "    ", _critique_line(one, mark))
        _print(console, "      ", Text(plain(one.text.strip()), "dim"))
    rest = len(step.critiques) - shown
    if shown and rest > 0:
        _print(console, "    ", Text(f"and {rest} more critique{'s' * (rest > 1)}", "dim"))


def _critique_line(one: Critique | Unparsed, mark: str) -> Text:
    if isinstance(one, Unparsed):
        return Text(f"{mark} no verdict: {one.cause}, {one.num_tokens} tokens", UNKNOWN)
    sure = "" if one.p_yes is None else f"  P(Yes) {one.p_yes:.2f}"
    style = RIGHT if one.verdict is Verdict.YES else WRONG
    return Text(f"{mark} {one.verdict.value}{sure}, {one.num_tokens} tokens", style)


def _print(console: Console, indent: str, text: Text) -> None:
    """Folded to a terminal's width below its indent; a file or pipe gets the lines as they are."""
    for line in _folded(console, text, console.width - len(indent)):
        console.print(Text(indent) + line, soft_wrap=True)


def _folded(console: Console, text: Text, width: int) -> Iterator[Text]:
    if console.is_terminal and width > 0:
        yield from text.wrap(console, width)
    else:
        yield from text.split("\n")
