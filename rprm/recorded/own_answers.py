r"""Which answer does a recorded response give?

Bare      a response that is nothing but an answer, as `\frac{1}{2}` or `4:30`: the whole of it
Worked    any other response: what it ends in (`rprm.benchmarks.answers`)
"""

from __future__ import annotations

import re

from rprm.benchmarks.answers import extract_answer, normalised

MAX_BARE = 200
"""Characters of a bare answer; what is longer is worked out."""
_MAX_WORDS = 3
"""Of a name, a direction, a colour: no number, so nothing else could be the answer."""

_MARKED = re.compile(r"boxed|####|answer is|答案是|\n")
_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{2,}")
_FUNCTION = re.compile(
    r"(?:arc)?(?:sin|cos|tan|cot|sec|csc)h?|log|ln|exp|sqrt|pi|mod|gcd|lcm|infty"
)
_QUOTED = re.compile(r"\\(?:text|mbox|mathrm|mathbf|textbf|mathit|operatorname)\s*\{[^{}]*\}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[a-z]+\*?\}(?:\{[^{}]*\})?")


def own_answer(response: str) -> str | None:
    """None where the response gives no answer."""
    return _bare(response) or extract_answer(response)


def _bare(response: str) -> str | None:
    text = response.strip()
    if len(text) > MAX_BARE or _MARKED.search(text):
        return None
    outside = _ENVIRONMENT.sub(" ", _QUOTED.sub(" ", text))
    words = [one for one in _WORD.findall(outside) if not _FUNCTION.fullmatch(one)]
    if words and (len(words) > _MAX_WORDS or any(map(str.isdigit, text))):
        return None
    return normalised(text) or None
