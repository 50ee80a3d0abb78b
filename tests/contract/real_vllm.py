"""How does a test get a real vLLM server?  Start it once, wait until it answers, stop it.

`RPRM_VLLM` names the Python that has vLLM; without it whoever asks is skipped.  One server at a
time on a machine: whoever starts one holds a lock (that of `flock /tmp/vllm.lock`).

On a CPU vLLM 0.32 dies ("CPU Generator does not use offset") as soon as a request with a seed has
its prompt computed in two steps: it winds the request's generator back, which only those of GPUs
can do.  That happens when more prompts arrive at once than --max-num-batched-tokens; without
chunked prefill a prompt is never split.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import pytest

CHAIN_BASE = Path(__file__).parents[2] / "rprm" / "data" / "chain_base"
LOCK = Path(tempfile.gettempdir()) / "vllm.lock"
START_S = 600.0
"""It takes a minute on two idle cores, and several where others work."""
STOP_S = 30.0
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def python_with_vllm() -> Path:
    """Skips the test where there is none."""
    found = os.environ.get("RPRM_VLLM")
    if not found:
        pytest.skip("RPRM_VLLM names no Python with vLLM")
    return Path(found)


class RealVllm:
    """`with RealVllm(python) as server:` serves `model` at `server.url`."""

    def __init__(
        self,
        python: Path,
        *,
        model: Path = CHAIN_BASE,
        name: str = "judge",
        key: str | None = None,
        args: Sequence[str] = (),
    ) -> None:
        self.key = key
        self.port = _free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="vllm-"))
        self._log = self._folder / "log.txt"
        self._tokenizer = self._folder / "tokenizer"
        self._model = model
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._command = [
            *(str(python), "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(model), "--tokenizer", str(self._tokenizer)),
            *("--served-model-name", name, "--host", "127.0.0.1", "--port", str(self.port)),
            *("--dtype", "float32", "--enforce-eager", "--generation-config", "vllm"),
            "--no-enable-chunked-prefill",  # see the docstring of this module
            *("--enable-prompt-tokens-details", "--disable-uvicorn-access-log", "--seed", "0"),
            *(("--api-key", key) if key else ()),
            *args,
        ]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self._lock = LOCK.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._tokenizer.mkdir()
        for file in TOKENIZER_FILES:  # without config.json, or AutoTokenizer takes it for Qwen's
            shutil.copy(self._model / file, self._tokenizer / file)
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=_environment(),
                    start_new_session=True,
                )
            self._wait()
            self._warm_up()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def leave(self) -> None:
        """Asks it to finish what it has and go (`--shutdown-timeout` says how long it may)."""
        os.kill(self.pid, signal.SIGTERM)

    def last_lines(self, count: int = 30) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-count:])

    def _wait(self) -> None:
        assert self._process is not None
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            if self._process.poll() is not None:
                break
            if _answers(self.url):
                return
            time.sleep(0.5)
        raise RuntimeError(f"vLLM did not start:\n{self.last_lines()}")

    def _warm_up(self) -> None:
        """The first request with logprobs compiles for half a minute."""
        body = {"prompt": [3], "max_tokens": 1, "logprobs": 0, "logprob_token_ids": [3]}
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(
            f"{self.url}/v1/completions", data=json.dumps(body).encode(), headers=headers
        )
        urllib.request.urlopen(request, timeout=START_S).read()

    def _end(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                os.kill(self._process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            _kill_group(self._process.pid)
            self._process.wait()
        if self._lock is not None:
            self._lock.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _kill_group(leader: int) -> None:
    """Whatever is left: the engine is a process of its own, and its worker another."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            status: Any = answer.status
            return bool(status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "120",
        "VLLM_NO_USAGE_STATS": "1",
    }


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
