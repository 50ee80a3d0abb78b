"""What is there to say about each fleet and its replicas?  Pure: what is told in, lines out.

No line is wider than asked, and there are no more of them; whatever a name holds, it is one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from jobs.fleet.told import Told, ToldFleet, ToldReplica
from jobs.runtime.lines import clock

STYLES = {
    "starting": "yellow",
    "ready": "green",
    "draining": "cyan",
}
ORDER = {"starting": 1, "draining": 2, "ready": 3}
"""Which replicas are worth a line where there is no room for all."""

HEADINGS = ("state", "for", "in flight", "tokens/s", "KV", "hits")
WIDTHS = (8, 8, 9, 9, 4, 4)
"""Of the columns beside the name."""
INDENT = "  "
NARROWEST_NAME = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class TextLine:
    text: str
    style: str = ""


def sentence(fleet: ToldFleet) -> str:
    """Such as "fleet judge: 2 ready, 1 starting, 143 in flight, 4,812 tokens/s"."""
    found = Counter(one.state for one in fleet.replicas)
    known = sorted(found, key=lambda state: (-ORDER.get(state, 9), state))
    parts = [f"{found[state]} {state}" for state in known] or ["no replica"]
    in_flight = sum((one.running or 0) + (one.waiting or 0) for one in fleet.replicas)
    tokens_per_s = sum(one.tokens_per_s or 0.0 for one in fleet.replicas)
    if in_flight:
        parts.append(f"{in_flight:,} in flight")
    if tokens_per_s:
        parts.append(f"{tokens_per_s:,.0f} tokens/s")
    return f"fleet {fleet.name}: {', '.join(parts)}"


def short_lines(told: Told, *, width: int, height: int) -> list[TextLine]:
    """One line per fleet, with its reason, for under a table of stages."""
    lines = [
        TextLine(
            text=cut(f"{sentence(one)} — {one.problem or one.reason}", width),
            style="red" if one.problem else "",
        )
        for one in told.fleets
    ]
    return _folded(lines, [f"{len(told.fleets)} fleets"], width=width, height=height)


def fleet_lines(
    told: Told, *, now_s: float, width: int, height: int | None = None
) -> list[TextLine]:
    """Every fleet with its reason and its replicas; without a height, all of them."""
    rooms = _rooms(told.fleets, height)
    lines = [
        line
        for fleet, room in zip(told.fleets, rooms, strict=True)
        for line in _of_fleet(fleet, now_s=now_s, width=width, room=room)
    ]
    return _folded(lines, [one.name for one in told.fleets], width=width, height=height)


def _of_fleet(fleet: ToldFleet, *, now_s: float, width: int, room: int | None) -> list[TextLine]:
    wants = f"wants {fleet.wanted} ({fleet.min_replicas} to {fleet.max_replicas})"
    lines = [
        TextLine(text=cut(sentence(fleet), width), style="bold"),
        TextLine(text=cut(f"{INDENT}{wants}: {fleet.reason}", width), style="dim"),
    ]
    if fleet.problem:
        lines.append(TextLine(text=cut(f"{INDENT}{fleet.problem}", width), style="red"))
    shown, left_out = _chosen(fleet.replicas, None if room is None else room - len(lines) - 1)
    names = max([NARROWEST_NAME, *(cell_len(plain(one.name)) for one in shown)])
    names = max(1, min(names, width - len(INDENT) - sum(WIDTHS) - 2 * len(WIDTHS)))
    if shown:
        lines.append(TextLine(text=_row("replica", HEADINGS, names, width), style="dim"))
    lines += [
        TextLine(
            text=_row(one.name, _cells(one, now_s), names, width), style=STYLES.get(one.state, "")
        )
        for one in shown
    ]
    if left_out:
        states = Counter(one.state for one in left_out)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        lines.append(TextLine(text=cut(f"{INDENT}… and {told}", width), style="dim"))
    return lines


def _cells(one: ToldReplica, now_s: float) -> tuple[str, ...]:
    in_flight = "" if one.running is None else f"{one.running}"
    if one.waiting:
        in_flight += f"+{one.waiting}"
    return (
        one.state,
        clock(max(0.0, now_s - one.since)),
        in_flight,
        "" if one.tokens_per_s is None else f"{one.tokens_per_s:,.0f}",
        _percent(one.kv_use),
        _percent(one.prefix_hit_rate),
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _row(name: str, cells: Sequence[str], names: int, width: int) -> str:
    """The state stands left, numbers right."""
    state, *numbers = [cut(cell, room) for cell, room in zip(cells, WIDTHS, strict=True)]
    columns = [set_cell_size(cut(name, names), names), set_cell_size(state, WIDTHS[0])]
    columns += [
        " " * (room - cell_len(cell)) + cell for cell, room in zip(numbers, WIDTHS[1:], strict=True)
    ]
    return cut(INDENT + "  ".join(columns).rstrip(), width)


def _chosen(
    replicas: Sequence[ToldReplica], room: int | None
) -> tuple[list[ToldReplica], list[ToldReplica]]:
    """Those shown, in their order, and the others; one line is kept for what is said of these."""
    if room is None or len(replicas) <= room:
        return list(replicas), []
    ranked = sorted(replicas, key=lambda one: ORDER.get(one.state, 0))
    kept = {id(one) for one in ranked[: max(room - 1, 0)]}
    return (
        [one for one in replicas if id(one) in kept],
        [one for one in replicas if id(one) not in kept],
    )


def _rooms(fleets: Sequence[ToldFleet], height: int | None) -> list[int | None]:
    """Lines for each fleet: what small ones leave is shared by the others."""
    if height is None:
        return [None] * len(fleets)
    rooms: dict[int, int | None] = {}
    left = height
    needs = [2 + bool(one.problem) + bool(one.replicas) + len(one.replicas) for one in fleets]
    for place, number in enumerate(sorted(range(len(fleets)), key=lambda one: needs[one])):
        rooms[number] = min(needs[number], left // (len(fleets) - place))
        left -= rooms[number] or 0
    return [rooms[number] for number in range(len(fleets))]


def _folded(
    lines: list[TextLine], names: Iterable[str], *, width: int, height: int | None
) -> list[TextLine]:
    if height is None or len(lines) <= height:
        return lines
    if height <= 0:
        return []
    rest = cut(f"… no room for more of {', '.join(names)}", width)
    return [*lines[: height - 1], TextLine(text=rest, style="dim")]


def plain(text: str) -> str:
    """On one line and without what would move a terminal's cursor or turn its text around."""
    return "".join(char if char.isprintable() else "·" for char in text)


def cut(text: str, width: int) -> str:
    """At most so many columns wide, with … where something is missing."""
    text = plain(text)
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""
