"""Where does a real S3 server come from, and how does one run for the length of a test session?

versitygw on a temporary folder: a real HTTP service with signatures and conditional writes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUCKET = "bucket"
ABSENT = "no S3 server: run `make s3-server`, or name a versitygw binary in RPRM_S3_SERVER"
START_S = 20.0

KEYS = {
    "AWS_ACCESS_KEY_ID": "contract",
    "AWS_SECRET_ACCESS_KEY": "only-for-tests",
    "AWS_REGION": "us-east-1",
}


def find_server() -> Path | None:
    """RPRM_S3_SERVER, then .cache/bin of this checkout, then PATH."""
    named = os.environ.get("RPRM_S3_SERVER")
    built = ROOT / ".cache" / "bin" / "versitygw"
    found = named or (str(built) if built.exists() else shutil.which("versitygw"))
    return Path(found) if found else None


@contextmanager
def serve(binary: Path, folder: Path) -> Iterator[str]:
    """Yields the endpoint of a server with one empty bucket."""
    data, metadata = folder / "data", folder / "metadata"
    (data / BUCKET).mkdir(parents=True)
    metadata.mkdir()
    port = _free_port()
    command = [binary, "--port", f"127.0.0.1:{port}", "posix", "--sidecar", metadata, data]
    keys = {"ROOT_ACCESS_KEY": "contract", "ROOT_SECRET_KEY": "only-for-tests"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | keys, stdout=log, stderr=log)
        try:
            _wait_for(port, server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=START_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the S3 server did not start: {log.read_text()[-2000:]}")
