"""What does one grading process do?  It reads pairs and answers each with one byte.

    python -P -m rprm.benchmarks.grading_worker GRADER CPU_SECONDS MEMORY_BYTES

Reads    lines of JSON, each a list of [gold, prediction]
Writes   READY once, then one byte of `Verdict` per pair, in order
Ends     when its input does; killed by the kernel when a pair has used up CPU_SECONDS, wherever
         the code then is; with a traceback and no answer when a pair breaks the grader

Its output is the pipe alone: what a library prints goes to the error stream.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

from rprm.benchmarks.grading_verdicts import READY, Verdict

Compare = Callable[[str, str], Verdict]


def load(grader: str) -> Compare:
    if grader == "qwen":
        from rprm.benchmarks.qwen_grader import compare
    else:
        from rprm.benchmarks.math_verify_grader import compare
    return compare


def main(grader: str, cpu_seconds: float, memory_bytes: int) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)
    logging.disable()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends this one
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with suppress(ValueError, OSError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    compare = load(grader)
    with suppress(BrokenPipeError):
        os.write(answers, READY)
        for line in sys.stdin.buffer:
            for gold, prediction in json.loads(line):
                os.write(answers, _timed(compare, gold, prediction, cpu_seconds))


def _timed(compare: Compare, gold: str, prediction: str, cpu_seconds: float) -> bytes:
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    verdict = compare(gold, prediction)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return verdict.value


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
