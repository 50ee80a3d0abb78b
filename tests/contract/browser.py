"""How does a test look at a page?  A real Chromium without a window, driven by its own protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LOCAL = Path(__file__).parents[2] / ".cache" / "bin"
AT_MOST_S = 30.0
MISSING = (
    "no browser: install Chromium (tests/contract/install_browser.sh), or name one in RPRM_BROWSER"
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root in a container; the pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--remote-debugging-port=0",
    "--window-size=1280,900",
)


def executable() -> str | None:
    named = os.environ.get("RPRM_BROWSER")
    found = (shutil.which(name, path=f"{LOCAL}:{os.environ.get('PATH', '')}") for name in NAMES)
    return named or next((path for path in found if path), None)


class Page:
    """One tab; every call waits for its answer."""

    def __init__(self, runner: asyncio.Runner, port: int) -> None:
        self._runner = runner
        self._port = port
        self._number = 0
        self.complaints: list[str] = []
        """What the browser wrote to its console, and what went wrong."""

    def __enter__(self) -> Self:
        self._runner.run(self._connect())
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._session.close())

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._runner.run(asyncio.wait_for(self._call(method, params), AT_MOST_S))

    def open(self, url: str) -> None:
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page; raises what it raised."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        deadline_s = time.monotonic() + AT_MOST_S
        while not self.js(f"Boolean({condition})"):
            assert time.monotonic() < deadline_s, f"never true: {condition}"
            time.sleep(0.01)

    def press(self, key: str) -> None:
        """As on a keyboard, to whatever has the focus."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scheme(self, name: str) -> None:
        """ "light" or "dark", as the system would say."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    async def _connect(self) -> None:
        self._session = aiohttp.ClientSession()
        base = f"http://127.0.0.1:{self._port}/json"
        async with self._session.get(f"{base}/list") as answer:
            tabs = await answer.json(content_type=None)
        url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        self._socket = await self._session.ws_connect(url, max_msg_size=0)

    async def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = json.loads(await self._socket.receive_str())
            if message.get("id") == number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))
        elif event.get("method") == "Log.entryAdded":
            self.complaints.append(str(params["entry"]))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser of its own, with an empty profile; killed at the end."""
    program = executable()
    assert program is not None, MISSING
    started = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with asyncio.Runner() as runner, Page(runner, _port(profile, started)) as page:
            yield page
            page.call("Browser.close")
    finally:
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _port(profile: Path, started: subprocess.Popen[bytes]) -> int:
    file = profile / "DevToolsActivePort"
    deadline_s = time.monotonic() + AT_MOST_S
    while time.monotonic() < deadline_s:
        assert started.poll() is None, "the browser ended before it listened"
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) > 1:
            return int(lines[0])
        time.sleep(0.02)
    raise AssertionError("the browser never listened")
