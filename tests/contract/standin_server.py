"""How does a campaign get replicas where there is no vLLM?  The stand-in, started as vLLM would be.

`python_with_standin` writes a program that is called as a Python with vLLM is called and serves the
stand-in: with the same arguments, in a process of its own with a child, as vLLM's engine is one.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.contract.standin_core import Pace
from tests.contract.vllm_standin import VllmStandin

REPOSITORY = Path(__file__).parents[2]

SCRIPT = """#!/bin/sh
shift 2  # -m vllm.entrypoints.openai.api_server
PYTHONPATH={root} exec {python} -m tests.contract.standin_server "$@"
"""

BROKEN = """#!/bin/sh
echo "starting"
echo "ValueError: the model's head does not fit" >&2
exit 3
"""


def python_with_standin(folder: Path, *, script: str = SCRIPT) -> Path:
    """A program to name in RPRM_VLLM."""
    path = folder / "python-with-standin"
    path.write_text(script.format(root=REPOSITORY, python=sys.executable))
    path.chmod(0o755)
    return path


def main() -> None:
    """Serves until SIGTERM.  `STANDIN_STEP_S` is how long a step takes."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--max-num-seqs", type=int, default=64)
    known, _ = parser.parse_known_args()
    left = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: left.set())
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    pace = Pace(
        max_num_seqs=known.max_num_seqs, step_s=float(os.environ.get("STANDIN_STEP_S", "0"))
    )
    server = VllmStandin(model=known.served_model_name, port=known.port, pace=pace)
    with server:
        print(f"serving {known.served_model_name} at {server.url}", flush=True)
        left.wait()
    child.kill()
    child.wait()


if __name__ == "__main__":
    main()
