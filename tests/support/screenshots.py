"""Takes the pictures of the live page that the README shows: ``make screenshots``."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import ViewportSize

from tests.support import browser
from tests.support.live_page import event, fill_shop, publish, visit
from tests.support.server import ROOT, Server

IMAGES = ROOT / "docs/images"
SIZES = {360: 780, 768: 1024, 1440: 900}
SCHEMES = ("light", "dark")

SETTLED_MS = 450
"""After this time, the motion of a change has ended, and its mark is still shown."""

CHANGES = [
    event("sofa", "updated", ancho=180),
    event("cama", "updated", material="pino"),
    event("taburete", nombre="Taburete alto", ancho=36, altura=68, material="pino"),
    event("comoda", "deleted"),
]


async def take(server: Server, scheme: str, width: int) -> None:
    """Take one picture of the shop, right after a few changes."""
    await fill_shop(server)
    options: dict[str, Any] = {"color_scheme": scheme, "locale": "es"}
    viewport = ViewportSize(width=width, height=SIZES[width])
    async with browser.page(viewport=viewport, **options) as page:
        await visit(page, server)
        for change in CHANGES:
            await publish(server, change)
            await page.wait_for_timeout(SETTLED_MS / len(CHANGES))
        await page.wait_for_timeout(SETTLED_MS)
        await page.screenshot(path=IMAGES / f"live-page-{width}-{scheme}.png")


def main() -> None:
    """Take a picture in each size and scheme, each with a new server."""
    IMAGES.mkdir(exist_ok=True)
    for scheme in SCHEMES:
        for width in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                server = Server(Path(folder))
                try:
                    asyncio.run(take(server, scheme, width))
                finally:
                    server.stop()


if __name__ == "__main__":
    main()
