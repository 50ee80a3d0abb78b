"""What does a replica look like that starts in no time?  An HTTP server with unruly offspring.

    python tiny_server.py PORT FOLDER [TRAIT...]

Every process of it leaves a file in FOLDER that is named by its role and pid.  With `stubborn` it
ignores SIGTERM.  With `offspring` it starts a child that ignores SIGTERM, a daemon that forked
twice and began a session of its own, and a child that wiped its environment, as processes do that
rename themselves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROLES = ("server", "child", "daemon", "renamed")


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("CUDA_VISIBLE_DEVICES", "none").encode())


def main(port: str, folder: str, *traits: str) -> None:
    if "stubborn" in traits:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Answer)
    print("serving on", port, flush=True)
    if "offspring" in traits:
        for role in ROLES[1:]:
            environ = {} if role == "renamed" else os.environ
            command = [sys.executable, "-S", __file__, "--role", role, folder]
            subprocess.Popen(command, env=environ)
    leave_pid(folder, "server")
    server.serve_forever()


def leave_pid(folder: str, role: str) -> None:
    (Path(folder) / f"{role}-{os.getpid()}").touch()


def live_as(role: str, folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if role == "daemon":
        _leave_the_family()
    leave_pid(folder, role)
    while True:
        time.sleep(60)


def _leave_the_family() -> None:
    for leave in (os.setsid, lambda: None):
        if os.fork():
            os._exit(0)
        leave()


if __name__ == "__main__":
    if sys.argv[1] == "--role":
        live_as(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
