"""A smoke test of the live page in Firefox: what depends on the browser, and nothing twice."""

from __future__ import annotations

from pathlib import Path

from tests.support.firefox import firefox
from tests.support.live_page import event, publish
from tests.support.server import Server, free_ports


def link(state: str) -> str:
    """Return the condition that the page's connection has a state."""
    return f"document.documentElement.dataset.link === '{state}'"


def has_card(id: str) -> str:
    """Return the condition that the page shows a piece."""
    return f"document.querySelector('.piece-card[data-id=\"{id}\"]:not(.is-gone)')"


def has_lines(count: int) -> str:
    """Return the condition that the activity shows so many events."""
    return f"document.querySelectorAll('#events .event').length === {count}"


async def test_the_live_page_works_in_firefox(tmp_path: Path) -> None:
    """It is live, and has no hole after a restart, a cut network, and a step back in the history.

    Under remote control Firefox keeps no page in its back/forward cache: the page is loaded again.
    """
    (port,) = free_ports(1)
    settings = {"port": port, "event_log": "sqlite:///events.db"}
    server = Server(tmp_path, **settings)
    async with firefox() as page:
        await page.open(server.url)
        await page.wait_for(link("live"))
        await page.evaluate(
            "window.wrong = 0; addEventListener('unhandledrejection', () => { wrong += 1; })"
        )
        await publish(server, event("mesa"))
        await page.wait_for(has_card("mesa"))

        server.kill()
        await page.wait_for(link("offline"))
        server = Server(tmp_path, **settings)
        await publish(server, event("silla"))
        await page.wait_for(f"{link('live')} && {has_card('silla')}")

        await page.set_offline(True)
        await page.wait_for(link("offline"))
        await publish(server, event("cama"), event("silla", "deleted"))
        await page.set_offline(False)
        await page.wait_for(f"{link('live')} && {has_card('cama')} && !{has_card('silla')}")

        assert await page.evaluate("window.wrong") == 0
        await page.open(f"{server.url}/api/docs")
        await publish(server, event("sofa"))
        await page.back()
        await page.wait_for(f"{link('live')} && {has_card('sofa')} && {has_lines(5)}")
    assert server.stop() == 0
