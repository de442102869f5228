"""A real Chromium, without a screen and without a word to anybody but the page under test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, Playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def page(playwright: Playwright) -> AsyncIterator[Page]:
    """Open an empty page in a browser of its own; an error in it fails the test."""
    async with windows(playwright, 1) as (opened,):
        yield opened


@asynccontextmanager
async def windows(playwright: Playwright, count: int) -> AsyncIterator[list[Page]]:
    """Open empty pages in a browser, each with cookies of its own; an error fails the test."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("Chromium is needed for the tests of the pages: install it")
    browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
    errors: list[str] = []
    try:
        opened = [await (await browser.new_context()).new_page() for _ in range(count)]
        for each in opened:
            each.context.on("weberror", lambda found: errors.append(str(found.error)))
        yield opened
    finally:
        await browser.close()
    assert errors == []
