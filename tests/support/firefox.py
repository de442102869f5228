"""A real Firefox, without a screen, over WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/).

Debian has Firefox, but no driver for it. A few commands of the protocol are enough here.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.server import TIMEOUT

PREFERENCES = """
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.newtab.preload", false);
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.region.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("dom.ipc.processCount", 1);
user_pref("dom.ipc.processPrelaunch.enabled", false);
user_pref("dom.push.connection.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("fission.autostart", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,#remote-settings-dummy/v1");
user_pref("toolkit.telemetry.enabled", false);
"""
"""The browser connects only to the page under test, and starts few processes."""


class FirefoxPage:
    """The one page of a running Firefox.

    Args:
        socket: the connection of the protocol.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.context = ""

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result.

        Raises:
            AssertionError: Firefox has refused the command.
        """
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(TIMEOUT):
            while (answer := await self._socket.receive_json()).get("id") != number:
                pass
        assert answer["type"] == "success", answer
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to a page."""
        await self.command(
            "browsingContext.navigate", context=self.context, url=url, wait="complete"
        )

    async def back(self) -> None:
        """Go back to the page before."""
        await self.command("browsingContext.traverseHistory", context=self.context, delta=-1)

    async def set_offline(self, offline: bool) -> None:
        """Cut the network of the page, or mend it."""
        conditions = {"type": "offline"} if offline else None
        await self.command(
            "emulation.setNetworkConditions", networkConditions=conditions, contexts=[self.context]
        )

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript: text, a number, a boolean, or None."""
        answer = await self.command(
            "script.evaluate",
            expression=expression,
            target={"context": self.context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    async def wait_for(self, condition: str) -> None:
        """Wait until an expression of JavaScript is true."""
        async with asyncio.timeout(TIMEOUT):
            while not await self.evaluate(f"Boolean({condition})"):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def firefox() -> AsyncIterator[FirefoxPage]:
    """Run Firefox with an empty page. Skip the test if there is no Firefox."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("Firefox is missing: make firefox")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        (Path(profile) / "user.js").write_text(PREFERENCES)
        process = await asyncio.create_subprocess_exec(
            *(program, "--headless", "--no-remote", "--profile", profile),
            *("--remote-debugging-port", "0", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            url = await asyncio.wait_for(_address(process), TIMEOUT)
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(f"{url}/session", max_msg_size=0) as socket,
            ):
                page = FirefoxPage(socket)
                await page.command("session.new", capabilities={})
                tree = await page.command("browsingContext.getTree")
                page.context = tree["contexts"][0]["context"]
                yield page
        finally:
            process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Return the address that Firefox writes when it listens."""
    assert process.stderr is not None
    async for line in process.stderr:
        if found := re.search(rb"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1].decode()
    raise AssertionError("Firefox has ended")
