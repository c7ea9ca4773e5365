"""A headless Chromium for tests of pages, spoken to over a pipe; where it is not installed these tests are skipped."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class Page:
    """A page of the browser.

    ``problems`` collects what a reader would find in the console: errors, uncaught exceptions, refused scripts, failed
    loads. ``requests`` collects the address of everything that was asked for.
    """

    def __init__(self, to_browser: int, from_browser: int, *, timeout: float) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        self._to, self._from, self._buffer, self._number = to_browser, from_browser, b"", 0
        self._deadline = time.monotonic() + timeout
        target = self._call("Target.createTarget", {"url": "about:blank"}, session=None)["targetId"]
        attached = self._call("Target.attachToTarget", {"targetId": target, "flatten": True}, session=None)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol to the page and return its result."""
        return self._call(method, parameters, session=self._session)

    def open(self, path: Path, *, width: int = 1280, height: int = 900) -> None:
        """Load a file and wait until its scripts have run."""
        self.resize(width, height)
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._note(self._receive())

    def resize(self, width: int, height: int = 900) -> None:
        """Make the window this large, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def prefer(self, scheme: str) -> None:
        """Have the reader prefer ``"light"`` or ``"dark"`` pages."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def press(self, key: str) -> None:
        """Press and release a key, by its DOM name: ``"Tab"``, ``"ArrowDown"``, ``" "``."""
        typed = {"text": key} if len(key) == 1 else {}
        number = {"Tab": 9, "Enter": 13, " ": 32, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}[key]
        shared = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown", **shared, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def evaluate(self, expression: str) -> Any:
        """Evaluate JavaScript in the page and return its value, a promise's awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Save a picture of the whole page, as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, parameters: dict[str, Any], *, session: str | None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(self._deadline - time.monotonic(), 0))
            data = os.read(self._from, 1 << 20) if ready else b""
            assert data, "the browser does not answer"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _note(self, event: dict[str, Any]) -> None:
        name, parameters = event.get("method"), event.get("params", {})
        if name == "Page.loadEventFired":
            self._loaded = True
        elif name == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif (
            name in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening")
            or (name == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"))
            or (name == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"))
        ):
            self.problems.append(json.dumps(parameters)[:2000])


@contextmanager
def browser(*, timeout: float = 90) -> Iterator[Page]:
    """Start a browser with a profile of its own, give one page of it, and end it.

    Args:
        timeout: Seconds for everything that is done inside the block.
    """
    assert CHROMIUM is not None
    commands, to_browser = map(_out_of_the_way, os.pipe())
    from_browser, answers = map(_out_of_the_way, os.pipe())

    def wire() -> None:  # the browser reads commands from descriptor 3 and answers on 4
        os.dup2(commands, 3)
        os.dup2(answers, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=wire,
            pass_fds=(3, 4),
        )
        os.close(commands)
        os.close(answers)
        try:
            yield Page(to_browser, from_browser, timeout=timeout)
        finally:
            os.close(to_browser)  # the browser ends when its commands do
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(from_browser)


def _out_of_the_way(descriptor: int) -> int:
    """Move a descriptor above those that the browser is given."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
