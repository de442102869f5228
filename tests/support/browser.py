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
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("Chromium is needed for the tests of the pages: install it")
    browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
    errors: list[str] = []
    try:
        opened = await browser.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
    finally:
        await browser.close()
    assert errors == []
