"""How do the verbs of `rprm` meet the terminal: where is input read, where does progress show?"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rprm import showing
from rprm.errors import BadInput
from rprm.reading import Format, Given, decode, read_solutions

STDIN = Path("-")


def given_solutions(file: Path, fmt: Format, problem: str | None) -> list[Given]:
    if file == STDIN:
        if sys.stdin.isatty():
            sys.stderr.write("reading from the terminal: end with Ctrl-D; --help has examples\n")
        data, source = sys.stdin.buffer.read(), "stdin"
    else:
        data, source = _read(file), str(file)
    return read_solutions(decode(data, source=source), source=source, fmt=fmt, problem=problem)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        siblings = [one.name for one in file.parent.iterdir()] if file.parent.is_dir() else []
        near = difflib.get_close_matches(file.name, siblings, n=1)
        hint = f"did you mean {file.parent / near[0]}?" if near else "give a file, or - for stdin"
        raise BadInput(f"cannot read {file}: {error.strerror}.", fix=hint) from error


def num_cpus() -> int:
    """OMP_NUM_THREADS where it is set, as for every library that computes."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_console() -> Console:
    return showing.console_on(sys.stdout, no_color=bool(os.environ.get("NO_COLOR")))


@contextmanager
def progress(console: Console, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """On the terminal that is there: the output's own, or that of stderr beside a pipe."""
    on_terminal = sys.stdout.isatty()  # a console may be told to colour what goes into a pipe
    if not sys.stderr.isatty() or (quiet and on_terminal):
        yield lambda drawn: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("judging"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of at most {task.total:.0f} critiques"),
        TimeElapsedColumn(),
    )
    terminal = console if on_terminal else Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, refresh_per_second=4) as shown:
        task = shown.add_task("", total=total)
        yield lambda drawn: shown.advance(task, drawn)
