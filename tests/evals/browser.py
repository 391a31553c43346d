"""A real Chromium without a screen, spoken to in its own protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.waiting import HANGS, until

__all__ = ["Page", "chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")


class Page:
    """One page. `requests` has the addresses of all that it loaded, `complaints` what Chromium said of it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await self._until(lambda one: one.get("id") == number)

    async def open(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        self.requests.clear()
        self.complaints.clear()
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)
        await self._until(lambda one: one.get("method") == "Page.loadEventFired")

    async def show(self, *, width: int, dark: bool = False, media: str = "screen") -> None:
        """A window of this width, light or dark, screen or print."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", media=media, features=features)

    async def run(self, script: str) -> Any:
        """The value of an expression."""
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result["result"], result
        return result["result"]["result"].get("value")

    async def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["result"]["data"])

    async def pdf(self) -> bytes:
        """What is printed."""
        return base64.b64decode((await self.call("Page.printToPDF"))["result"]["data"])

    async def _until(self, wanted: Any) -> dict[str, Any]:
        async with asyncio.timeout(HANGS):
            while True:
                one = await self._socket.receive_json()
                if one.get("method") == "Network.requestWillBeSent":
                    self.requests.append(one["params"]["request"]["url"])
                elif one.get("method") == "Log.entryAdded":
                    self.complaints.append(one["params"]["entry"]["text"])
                if wanted(one):
                    return one


@contextlib.asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """A page in a Chromium whose profile is in `folder`."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here: `make test` installs Debian's, or apt-get install chromium")
    words = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0"]
    if os.geteuid() == 0:
        words.append("--no-sandbox")  # as root it does not start with one
    process = await asyncio.create_subprocess_exec(
        program, *words, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await until(lambda: _port(folder / "DevToolsActivePort", process), "Chromium does not start")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                [target] = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _port(file: Path, process: asyncio.subprocess.Process) -> str | None:
    assert process.returncode is None, "Chromium has ended"
    lines = file.read_text().splitlines() if file.exists() else []
    return lines[0] if len(lines) > 1 else None
