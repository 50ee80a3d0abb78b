"""How does a report become one HTML file?  Self-contained: no script, no network."""

from __future__ import annotations

import math
import re
from importlib.resources import files
from typing import Any

from rprm.reporting import wording
from rprm.reporting.document import Document

_LIGHT = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*([^*]+)\*"), r"<em>\1</em>"),
)


def render(document: Document) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"light": light, "anchor": anchor, "percent": percent}
    environment.tests["number"] = lambda cell: not isinstance(cell, str) and cell is not None
    template = environment.from_string(
        files("rprm.reporting").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(document=document, wording=wording, nan=math.isnan)


def light(text: str) -> Any:
    """Markdown-light to HTML; everything else is escaped first."""
    from markupsafe import Markup, escape

    escaped = str(escape(text))
    for pattern, replacement in _LIGHT:
        escaped = pattern.sub(replacement, escaped)
    return Markup(escaped)  # noqa: S704  (escaped above)


def anchor(text: str) -> str:
    """A name that is safe as an id and in a style sheet."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"
