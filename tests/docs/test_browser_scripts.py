"""The scripts of the pages that need a browser: ``EventSource``, and our own client as a module."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, ConsoleMessage

from tests.conftest import load_vectors
from tests.support.browser import windows
from tests.support.pages import ROOT, blocks, pages
from tests.support.server import TIMEOUT, Server

in_browser = pytest.mark.asyncio(loop_scope="module")

EVENT: dict[str, Any] = load_vectors("events.json")[0]["publish"]
FURNITURE = EVENT["furniture"] | {"material": "roble"}

RUN = """([text, url, since]) => {
    const Function = (async () => {}).constructor;
    const stream = new EventSource(`${url}/api/stream?room=nowhere`);
    return new Function("url", "since", "stream", `{${text}}`)(url, since, stream);
}"""
"""Run a script with the names of its page. The server refuses this ``stream``."""


def scripts() -> dict[str, list[str]]:
    """Return the scripts for a browser, by page."""
    found = {
        str(page.relative_to(ROOT)): [text for text in blocks("js", page) if "io(url" not in text]
        for page in pages()
    }
    return {page: texts for page, texts in found.items() if texts}


PRINTS = {
    "docs/clients.md": "",
    "docs/how-to/single-page-app.md": "live undefined",
    "docs/protocol/stream.md": FURNITURE["nombre"],
}
"""What the script of a page prints at last."""


def test_every_script_for_a_browser_is_run_here() -> None:
    """One on each of these pages."""
    assert {page: len(texts) for page, texts in scripts().items()} == dict.fromkeys(PRINTS, 1)


@in_browser
async def test_the_scripts_work_in_a_browser(server: Server, browser: Browser) -> None:
    """Each prints what its page is about. No error is left uncaught."""
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/api/events?limit=0") as answer:
            since = (await answer.json())["position"]
        await http.post("/api/events", json=EVENT | {"furniture": FURNITURE})
    for page, (text,) in scripts().items():
        printed: asyncio.Queue[str] = asyncio.Queue()
        errors: list[str] = []

        def note(message: ConsoleMessage, printed: asyncio.Queue[str] = printed) -> None:
            if message.type == "log":
                printed.put_nowait(message.text)

        async with windows(browser, 1) as (window,):
            window.on("console", note)
            window.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            await window.route("**/token", lambda route: route.fulfill(body=""))
            await window.route(
                "**/muebles.json",
                lambda route: route.fulfill(body=json.dumps({"items": [], "since": since})),
            )
            await window.goto(f"{server.url}/api/docs")
            script = text.replace("https://events.example", server.url)
            await window.evaluate(RUN, [script, server.url, since])
            async with asyncio.timeout(TIMEOUT):
                while PRINTS[page] and PRINTS[page] not in await printed.get():
                    pass
        assert errors == [], page
