"""A real Chromium, without a screen, which connects only to the page under test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
"""The first one is the same browser without windows, and needs half the processor time."""

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PAUSE_BREATHING = """addEventListener("animationstart", ({ target }) => {
  for (const each of target.getAnimations({ subtree: true }))
    if (each.animationName === "breathe") each.pause();
}, true)"""
"""Without this, the endless breathing of a live page's dot draws the page sixty times a second."""


@asynccontextmanager
async def chromium(*, keeps_pages: bool = False) -> AsyncIterator[Browser]:
    """Run a browser.

    Args:
        keeps_pages: keep pages for "back" in memory. Only a browser with windows can do it.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS[keeps_pages:])), None)
    if program is None:
        pytest.fail("Chromium is needed for the tests of the pages: install it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=FLAGS,
            ignore_default_args=["--disable-back-forward-cache"] if keeps_pages else None,
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def page(**options: Any) -> AsyncIterator[Page]:
    """Open an empty page in a new browser; see ``windows``."""
    async with chromium() as browser, windows(browser, 1, **options) as (opened,):
        yield opened


@asynccontextmanager
async def windows(browser: Browser, count: int, **options: Any) -> AsyncIterator[list[Page]]:
    """Open empty pages in a browser, each with its own cookies. An error fails the test.

    The dot of a live page does not breathe.

    Args:
        browser: a running one.
        count: the number of pages.
        options: Playwright's options of a context, such as ``locale`` and ``color_scheme``.
    """
    errors: list[str] = []
    contexts = [await browser.new_context(**options) for _ in range(count)]
    try:
        for each in contexts:
            each.on("weberror", lambda found: errors.append(str(found.error)))
            await each.add_init_script(PAUSE_BREATHING)
        yield [await each.new_page() for each in contexts]
    finally:
        for each in contexts:
            await each.close()
    assert errors == []
