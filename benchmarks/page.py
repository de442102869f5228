"""Measure how smooth the live page stays: ``python -m benchmarks.page``.

A real Chromium shows 300 pieces, and 50 events a second arrive. A task of the page's main thread
that takes longer than 50 ms would hold up a visitor's click. The table says the longest tasks: by
the clock, as the visitor feels them, and by the processor, without the machine's other work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import Page, expect

from tests.support.browser import chromium
from tests.support.live_page import PIECES, event, live_page, publish
from tests.support.server import Server

LONG_MS = 50
"""Longer tasks are long tasks, also for browsers (https://www.w3.org/TR/longtasks-1/)."""


CATEGORY = "disabled-by-default-devtools.timeline"
"""The tasks of a trace, as Chromium's developer tools show them."""


class Smoothness(NamedTuple):
    """The tasks of one run, in milliseconds, the longest first."""

    clock: list[float]
    processor: list[float]
    shown: float
    """The median from publish to screen, as the page says it."""


def change(number: int, pieces: int, chance: random.Random) -> dict[str, Any]:
    """Return the event of this number: eight of ten change a piece, one is new, one is deleted."""
    kinds = list(PIECES)
    kind = chance.choices(("updated", "created", "deleted"), (8, 1, 1))[0]
    at = 1000 + number if kind == "created" else chance.randrange(pieces)
    furniture = event(kinds[at % len(kinds)])["furniture"]
    furniture |= {"furniture_id": f"p{at}", "ancho": furniture["ancho"] + chance.randrange(9)}
    return {"type": f"furniture_{kind}", "furniture": furniture}


async def stream(server: Server, pieces: int, rate: int, seconds: float) -> None:
    """Publish events on a fixed schedule."""
    chance, began = random.Random(1), time.monotonic()
    for number in range(int(rate * seconds)):
        await publish(server, change(number, pieces, chance))
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))


async def tasks(page: Page, work: Awaitable[None]) -> tuple[list[float], list[float]]:
    """Return the tasks of the page's main thread while ``work`` runs."""
    browser = page.context.browser
    assert browser is not None
    await browser.start_tracing(page=page, categories=[CATEGORY])
    await work
    trace = json.loads(await browser.stop_tracing())["traceEvents"]
    threads = {
        (it["pid"], it["tid"])
        for it in trace
        if it.get("name") == "thread_name" and it["args"]["name"] == "CrRendererMain"
    }
    found = [
        it for it in trace if it.get("name") == "RunTask" and (it["pid"], it["tid"]) in threads
    ]
    clock, processor = (
        sorted((it.get(name, 0) / 1000 for it in found), reverse=True) for name in ("dur", "tdur")
    )
    return clock, processor


async def measure(pieces: int, rate: int, seconds: float) -> Smoothness:
    """Run once, with a server and a browser of its own."""
    kinds = list(PIECES)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        shop = [event(kinds[n % len(kinds)])["furniture"] for n in range(pieces)]
        created = (
            {"type": "furniture_created", "furniture": {**piece, "furniture_id": f"p{n}"}}
            for n, piece in enumerate(shop)
        )
        await publish(server, *created)
        viewport = {"width": 1440, "height": 900}
        async with chromium() as browser, live_page(browser, server, viewport=viewport) as page:
            await expect(page.locator(".piece-card")).to_have_count(min(60, pieces))
            clock, processor = await tasks(page, stream(server, pieces, rate, seconds))
            total = pieces + int(rate * seconds)
            foot = page.locator("#feed-foot")
            await expect(foot.locator(".mono")).to_have_text(re.compile(rf"-{total}$"))
            shown = re.search(r"([\d.]+) ms", await foot.inner_text())
        server.stop()
    return Smoothness(clock, processor, float(shown[1]) if shown else 0)


def main() -> None:
    """Print a row for each round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--pieces", type=int, default=300)
    parser.add_argument("--rate", type=int, default=50, help="events a second")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(
        "| round | tasks over 50 ms | over 50 CPU ms | longest ms | longest CPU ms | to screen ms |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for number in range(1, chosen.rounds + 1):
        found = asyncio.run(measure(chosen.pieces, chosen.rate, chosen.seconds))
        longs, busy = (sum(each > LONG_MS for each in kind) for kind in found[:2])
        longest = f"{found.clock[0]:.0f} | {found.processor[0]:.0f} | {found.shown:.0f}"
        print(f"| {number} | {longs} of {len(found.clock)} | {busy} | {longest} |", flush=True)


if __name__ == "__main__":
    main()
