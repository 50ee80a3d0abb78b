"""How does a comparison become one HTML file?  Self-contained: no script, no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files

from rprm.comparing.plot import caption_of, dot_plot
from rprm.comparing.view import View, column_titles, heading
from rprm.errors import BadInput


def render(views: Sequence[View]) -> str:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise BadInput(
            "an HTML page needs the package jinja2.", fix="pip install 'rprm[train]'"
        ) from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("rprm.comparing").joinpath("page.html.j2").read_text(encoding="utf-8")
    titles = [view.title for view in views]
    return environment.from_string(source).render(
        title=f"Comparison: {titles[0] if len(titles) == 1 else f'{len(titles)} benchmarks'}",
        views=views,
        plots={view.name: dot_plot(view) for view in views},
        captions={view.name: caption_of(view) for view in views},
        column_titles=column_titles,
        heading=heading,
        nan=math.isnan,
        shown=shown,
    )


def shown(value: float, signed: bool) -> str:
    if math.isnan(value):
        return "—"
    return f"{value:+.1f}" if signed else f"{value:.1f}"
