"""axe-core, which finds faults of accessibility, in a page of a real browser."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.support.server import ROOT

AXE = (ROOT / "tests/node/node_modules/axe-core/axe.min.js").read_text("utf-8")


async def violations(page: Page) -> list[str]:
    """Return what axe finds on a page at rest."""
    await page.evaluate(
        "document.getAnimations().forEach((it) => { try { it.finish(); } catch {} })"
    )
    await page.evaluate(AXE)
    found: dict[str, Any] = await page.evaluate(
        "axe.run(document, { resultTypes: ['violations'] })"
    )
    return [
        f"{it['id']}: {node['target']} {node.get('failureSummary', '')}"
        for it in found["violations"]
        for node in it["nodes"]
    ]
