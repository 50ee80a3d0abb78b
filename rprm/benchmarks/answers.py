r"""Which answer does a worked solution end in, and how is it written down?

Where     the first rule that applies, in the order of the Qwen2.5-Math evaluation harness
          1  "final answer is $…$. I hope"     what stands between the dollars
          2  the last \boxed{…}                up to its matching brace; without one, all the rest
          3  "#### …"                          GSM8K's own mark; the rest of the last such line
          4  "the answer is …", "final answer is …", "答案是…"    what follows the last of them
          5  the last number of the text, without the commas of thousands
Written   without units, dollars, degrees, percent signs, \left, \text, spaces, "x =", trailing
          zeros and the like; fractions and roots with their braces (`normalised`)

The writing matters for voting: answers are counted by their exact text, as the official scripts
count them, so "\dfrac12" and "\frac{1}{2}" must come out the same.  It is no test of equality;
`rprm.benchmarks.grading` is.
"""

from __future__ import annotations

import re

_MINERVA = ("final answer is $", "$. I hope")
_BOX = "boxed"
_MARK = "####"
_PHRASES = ("he answer is", "final answer is", "答案是")
_NUMBER = re.compile(r"-?\d*\.?\d+")


def extract_answer(text: str) -> str | None:
    """None where the text ends in no answer."""
    return normalised(_found(text)) or None


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{…}, as written; None where there is no box."""
    _, box, rest = text.rpartition(_BOX)
    if not box:
        return None
    return _braced(rest) if rest.startswith("{") else rest.split("$")[0].strip()


def _found(text: str) -> str:
    before, after = _MINERVA
    if before in text and after in text:
        return text.split(before, 1)[1].split(after, 1)[0]
    box = boxed(text)
    if box is not None:
        return box
    if _MARK in text:
        return text.rpartition(_MARK)[2].strip().split("\n")[0]
    for phrase in _PHRASES:
        if phrase in text:
            return text.rpartition(phrase)[2].strip().split("\n\n")[0]
    numbers = _NUMBER.findall(text.replace(",", ""))
    return str(numbers[-1]) if numbers else ""


def _braced(text: str) -> str:
    """What stands in the braces that `text` begins with; all of it where they never close."""
    depth = 0
    for end, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[1:end]
    return text[1:]


# --- writing --------------------------------------------------------------------------------

_UNITS = (
    r"degrees?|cents?|dollars?|percent|units?|inch(?:es)?|feet|foot|ft|yards?|miles?|mph|km|cm|mm"
    r"|met(?:er|re)s?|kg|mg|grams?|pounds?|ounces?|lbs?|hours?|hrs?|minutes?|mins?|seconds?|days?"
    r"|weeks?|months?|years?|points?|square|cubic"
)

_REWRITTEN = (
    (r"\n\s*", ""),
    (r"(?<!\\)\\[!,; ]|\\quad|\\\$|\$|~", ""),  # spaces and money
    (r"\\\(|\\\)|\\\[|\\\]", ""),
    (r"\\left(?![a-z])|\\right(?![a-z])", ""),
    (r"\\([dt]frac)", r"\\frac"),
    (r"\\neq(?![a-z])", r"\\ne"),
    (r"\\leq(?:slant)?(?![a-z])", r"\\le"),
    (r"\\geq(?:slant)?(?![a-z])", r"\\ge"),
    (r"\\begin\{array\}\{.*?\}", r"\\begin{pmatrix}"),
    (r"\\end\{array\}", r"\\end{pmatrix}"),
    (r"bmatrix", "pmatrix"),
    (r"(?<=[\w})\]])\s*\\(?:text|mbox)\{[^{}]*\}(?:\^\{?\d+\}?)?$", ""),  # a unit at the end
    (r"\\(?:text|mbox|mathrm|mathbf|textbf|mathit)\{([^{}]*)\}", r"\1"),
    (r"\^\{?\\circ\}?|°", ""),
    (r"\\?%", ""),
    (rf"(?<=\d)\s*(?:{_UNITS})\b(?:\^\d)?\.?", ""),
    (r"\\\{", "{"),
    (r"\\\}", "}"),
    (r"(?:^|(?<=[\s{,(=]))\.(?=\d)", "0."),
    (r"(?<![\d.])(\d+)\.0+(?!\d)", r"\1"),
    (r"(?:\+|\\)?(?:infinity|infty)(?![a-z])", r"\\infty"),
    (r"['\"`]", ""),
    (r"\\sqrt\s*([^\s{\[\\])", r"\\sqrt{\1}"),
    (r"(?<!\\)\bsqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\\frac\s*([^\s{\\])\s*([^\s{\\])", r"\\frac{\1}{\2}"),
    (r"\\frac\s*([^\s{\\])\s*\{", r"\\frac{\1}{"),
    (r"(\\frac\{[^{}]*\})\s*([^\s{\\])", r"\1{\2}"),
    (r"^(-?\d+)/(-?\d+)$", r"\\frac{\1}{\2}"),
    (r"^\s*[A-Za-z]\s*(?:=|\\in(?![a-z]))\s*(?=[^=]*$)", ""),
    (r"\s+", ""),
)
_RULES = tuple((re.compile(pattern), new) for pattern, new in _REWRITTEN)
_CHOICE = re.compile(r"^[(\[{](\w+)[)\]}]$")


_PASSES = 4
"""A rule may make room for another; nothing that people write needs more."""


def normalised(answer: str) -> str:
    """One spelling for the many of one answer."""
    before = None
    for _ in range(_PASSES):
        if answer == before:
            break
        before = answer
        for pattern, new in _RULES:
            answer = pattern.sub(new, answer)
        answer = _CHOICE.sub(r"\1", answer.strip().lstrip(":").rstrip("./"))
    return answer
