"""What can a backend run in a contract test?  Tasks whose end is written in their node's name.

`exit:1`, `exit:1,0` (first attempt, second attempt), `signal:9`, `sleep:5` (deaf to SIGTERM's
default: it leaves with 75), `stubborn`, `fail-rank:1`; every attempt leaves a file in the folder
given as the store's url.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from jobs.backends.base import ShardTask


def entry(task: ShardTask) -> int:
    folder = Path(task.store_url)
    started = len(list(folder.glob(f"start-{task.shard}-r{task.rank}-*")))
    (folder / f"start-{task.shard}-r{task.rank}-{task.attempt}").touch()
    code = _act(task, started)
    (folder / f"end-{task.shard}-r{task.rank}-{task.attempt}").touch()
    return code


def _act(task: ShardTask, started: int) -> int:
    word, _, rest = task.node.partition(":")
    match word:
        case "exit":
            codes = [int(code) for code in rest.split(",")]
            return codes[min(started, len(codes) - 1)]
        case "signal":
            os.kill(os.getpid(), int(rest))
        case "sleep":
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                time.sleep(float(rest))
            except KeyboardInterrupt:
                return 75
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        case "fail-rank":
            if task.rank == int(rest):
                return 1
            time.sleep(60)
        case "pause":
            time.sleep(float(rest))
    return 0
