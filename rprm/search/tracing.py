"""What did a search see, step by step?  A small text for people.

    step 2: 8 samples, 3 candidates
    > 0.934  555 - 120 = 435
      0.871 *555 - 120 = 435
      none   555 - 120 = 445

">" marks what was kept, "*" a candidate that ends its solution, "none" one without a score.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rprm.search.beams import Beam, Expansion

MAX_CHARACTERS = 100
"""Of a candidate; who needs all of a text judges it again."""


def round_lines(expansions: Sequence[Expansion], kept: Collection[Beam]) -> Iterable[str]:
    """The lines of one round; beams are told apart by their number where there are several."""
    for number, one in enumerate(expansions, start=1):
        beam = f", beam {number}" if len(expansions) > 1 else ""
        yield (
            f"step {len(one.beam.steps) + 1}{beam}: {one.num_samples} samples,"
            f" {len(one.children)} candidates"
        )
        if one.refused is not None:
            yield f"  refused: {one.refused.cause} {one.refused.detail}".rstrip()
        for child in one.children:
            yield _line(child, is_kept=child in kept)


def _line(child: Beam, *, is_kept: bool) -> str:
    score = child.scores_S[-1] if child.scores_S else None
    said = f"{score:.3f}" if score is not None else "none "
    text = " ".join(child.steps[-1].split()) if child.steps else ""
    short = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
    return f"{'>' if is_kept else ' '} {said} {'*' if child.finished else ' '}{short}"
