"""Which stages can a test run without a model?  Numbers in, numbers out, failures on request."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Numbers:
    """0, 1, 2, …; one row each."""

    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"

    class Params(Strict):
        rows: int
        sleep_s: float = 0.0

    def __init__(self, params: Params) -> None:
        self.params = params

    def num_rows(self) -> int:
        return self.params.rows

    def run(self, io: Any, rows: pa.Table) -> Iterator[pa.Table]:
        io.note(rows=rows.num_rows)
        for index in range(rows.num_rows):
            time.sleep(self.params.sleep_s)
            io.progress(index, rows.num_rows, "rows")
            yield rows.slice(index, 1)
        if not rows.num_rows:
            yield rows


class Trouble:
    """Passes rows on; misbehaves as long as a file named after its shard can be created."""

    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"

    class Params(Strict):
        folder: str
        """Remembers what happened, so that a fault can strike once and not again."""
        exit_codes: dict[int, list[int]] = {}
        """First row of a shard to how its attempts end: exit codes, negative for signals."""
        bad_rows: list[int] = []
        scale: int = 1

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: Any, rows: pa.Table) -> Iterator[pa.Table]:
        numbers = rows.column("row").to_pylist()
        self._misbehave(numbers)
        for number in numbers:
            if number in self.params.bad_rows:
                io.error(str(number), "bad", f"row {number} is bad")
        io.log({"toy/rows": float(len(numbers))})
        kept = pc.invert(pc.is_in(rows["row"], pa.array(self.params.bad_rows, pa.int64())))
        yield rows.filter(kept).set_column(
            0, "row", pc.multiply(rows.filter(kept)["row"], self.params.scale)
        )

    def _misbehave(self, numbers: list[int]) -> None:
        first = numbers[0] if numbers else -1
        for index, code in enumerate(self.params.exit_codes.get(first, [])):
            try:
                Path(self.params.folder, f"{first}-{index}").touch(exist_ok=False)
            except FileExistsError:
                continue
            if code < 0:
                os.kill(os.getpid(), -code)
                time.sleep(60)
            raise ToyError(code)


class ToyError(Exception):
    def __init__(self, exit_code: int) -> None:
        super().__init__(f"as asked: {exit_code}")
        self.exit_code = exit_code


class Sum:
    """Adds up the rows of what it reads or gathers."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"

    class Params(Strict):
        offset: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: Any) -> None:
        totals = [
            sum(view.table(["row"]).column("row").to_pylist()) for view in io.artifacts("numbers")
        ]
        io.note(total=sum(totals) + self.params.offset)
        io.write(pa.table({"row": [sum(totals) + self.params.offset]}))
        page = io.scratch / "total.md"
        page.write_text(f"total {sum(totals)}\n")
        io.publish(page, "total.md", track=True)


class Patient:
    """Runs until it is asked to leave, then leaves at a safe point."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"

    class Params(Strict):
        seconds: float = 60.0

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: Any) -> None:
        print("at work", flush=True)
        end_s = time.monotonic() + self.params.seconds
        while time.monotonic() < end_s:
            if io.draining:
                raise ToyError(75)
            time.sleep(0.01)


class Stubborn(Patient):
    """Does not hear that it is asked to leave."""

    def run(self, io: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("at work", flush=True)
        time.sleep(self.params.seconds)


class Gang:
    """Every process writes its rank; rank 0 commits what it sees."""

    kind: ClassVar[str] = "gang"
    version: ClassVar[str] = "1"

    class Params(Strict):
        folder: str
        failing_rank: int = -1

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: Any) -> None:
        assert int(os.environ["RANK"]) == io.rank
        if io.rank == self.params.failing_rank:
            raise ToyError(1)
        Path(self.params.folder, f"rank-{io.rank}-of-{io.world_size}").touch()
        if io.rank == 0:
            end_s = time.monotonic() + 30
            while len(list(Path(self.params.folder).glob("rank-*"))) < io.world_size:
                assert time.monotonic() < end_s
                time.sleep(0.01)
            io.write(pa.table({"row": list(range(io.world_size))}))
        elif self.params.failing_rank >= 0:
            time.sleep(60)


class Slow:
    """Scales rows, one at a time and slowly, so that a kill finds it at work."""

    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"

    class Params(Strict):
        sleep_s: float
        scale: int = 1

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: Any, rows: pa.Table) -> Iterator[pa.Table]:
        io.note(rows=rows.num_rows)
        for number in rows.column("row").to_pylist():
            time.sleep(self.params.sleep_s)
            yield pa.table({"row": [number * self.params.scale]})
