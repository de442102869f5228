"""Read the event log of a running server over HTTP."""

from __future__ import annotations

from typing import Any

import aiohttp

MAX_PAGE_EVENTS = "1000"


async def read_history(url: str, since: str | None = None) -> list[dict[str, Any]]:
    """Return the events after an offset, or all events, page after page."""
    query = {"limit": MAX_PAGE_EVENTS} | ({} if since is None else {"since": since})
    events: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"{url}/api/events", params=query) as response:
                page = await response.json()
            events += page["events"]
            if not page["more"]:
                return events
            query["since"] = page["position"]
