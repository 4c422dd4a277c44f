"""A real Chromium, spoken to through its debugging pipe (`--remote-debugging-pipe`).

JSON messages with a zero byte after each, on file descriptors 3 and 4 of the browser. selenium and playwright
would need a driver that fits the browser that is there.
"""

import base64
import fcntl
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.patience import PATIENCE

CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""The browser of this machine; None where there is none."""
_PIPES: Final = (
    "import os,sys;os.dup2(int(sys.argv[1]),3);os.dup2(int(sys.argv[2]),4);os.execv(sys.argv[3],sys.argv[3:])"
)
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
_FIRST_FREE: Final = 10
"""File descriptors from here on are none of those that the browser has to find at 3 and 4."""


class Tab:
    """One page in the browser: what it shows, which requests it sent, and what it complained about."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Return the answer to a command."""
        return self._browser.call(method, params, self._session)

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        begun = len(self._browser.events)
        self.call("Page.navigate", url=url)
        self._browser.wait_for_event("Page.loadEventFired", begun)

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        milliseconds = int(PATIENCE * 1000)
        found = self.run(
            "new Promise((done) => { const begin = Date.now(); const look = () => {"
            f" if ({condition}) done(true); else if (Date.now() - begin > {milliseconds}) done(false);"
            " else setTimeout(look, 50); }; look(); })"
        )
        assert found, f"{condition} never became true in: {self.text}"

    @property
    def text(self) -> str:
        """What a person reads, on one line."""
        return " ".join(str(self.run("document.body.innerText")).split())

    @property
    def html(self) -> str:
        """The document, read without running anything in it."""
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        return str(self.call("DOM.getOuterHTML", nodeId=root)["outerHTML"])

    def resize(self, width: int, height: int = 900) -> None:
        """Be a screen of that size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Be the screen of somebody who prefers `dark` or `light`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        key_of = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **key_of)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key_of)

    def tab(self) -> None:
        """Go to the next thing that the keyboard reaches."""
        self.press("Tab", 9)

    def enter(self) -> None:
        """Do what has the focus, and wait until the page that it leads to is loaded."""
        begun = len(self._browser.events)
        self.press("Enter", 13, "\r")
        self._browser.wait_for_event("Page.loadEventFired", begun)

    def picture(self, file: Path) -> None:
        """Write what is seen as a PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))

    @property
    def complaints(self) -> list[str]:
        """Errors on the console, and scripts that failed."""
        found = []
        for event in self._events():
            params = event["params"]
            match event["method"]:
                case "Runtime.exceptionThrown":
                    found.append(str(params["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert", "warning"):
                    found.append(str(params["args"]))
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    found.append(str(params["entry"]))
        return found

    @property
    def requests(self) -> list[str]:
        """The addresses of all that was asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self._events()
            if event["method"] == "Network.requestWillBeSent"
        ]

    def _events(self) -> Iterator[dict[str, Any]]:
        self._browser.call("Browser.getVersion", {}, "")  # What was sent before it has arrived then.
        yield from (each for each in self._browser.events if each.get("sessionId") == self._session)


class Browser:
    """A browser in a process of its own."""

    def __init__(self, home: Path) -> None:
        assert CHROMIUM is not None
        self.events: list[dict[str, Any]] = []
        self._number = 0
        self._unread = b""
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        flags = [*_FLAGS, f"--user-data-dir={home}"]
        command = [sys.executable, "-c", _PIPES, str(theirs_in), str(theirs_out), CHROMIUM, *flags]
        with (home / "browser.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the browser of this machine
                command,
                pass_fds=(theirs_in, theirs_out),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(home)},
            )
        os.close(theirs_in)
        os.close(theirs_out)

    def close(self) -> None:
        """End the browser."""
        self.call("Browser.close", {}, "")
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, params: dict[str, object], session: str) -> dict[str, Any]:
        """Return the answer to a command, to a tab or with "" to the browser."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, msgspec.json.encode(message) + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait_for_event(self, method: str, begun: int) -> None:
        """Wait for an event whose name begins so, after the first `begun`."""
        deadline = time.monotonic() + PATIENCE
        while not any(each.get("method", "").startswith(method) for each in self.events[begun:]):
            self.events.append(self._next(deadline))

    def new_tab(self) -> Tab:
        """Return a new tab with nothing of what others left."""
        context = self.call("Target.createBrowserContext", {}, "")["browserContextId"]
        made = self.call("Target.createTarget", {"url": "about:blank", "browserContextId": context}, "")
        target = {"targetId": made["targetId"], "flatten": True}
        return Tab(self, self.call("Target.attachToTarget", target, "")["sessionId"])

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = msgspec.json.decode(message)
        return found


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe."""
    ends = []
    for each in os.pipe():
        ends.append(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE))
        os.close(each)
    return ends[0], ends[1]


@contextmanager
def opened_browser(home: Path) -> Iterator[Browser]:
    """Return a browser that is closed afterwards."""
    browser = Browser(home)
    try:
        yield browser
    finally:
        browser.close()
