"""One check of every kind of consumer at an address with TLS."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import aiohttp
from furniture_events import Producer

from tests.support.certificates import Files, trusting
from tests.support.server import TIMEOUT


async def check_every_transport(base: str, files: Files, event: dict[str, Any]) -> None:
    """Publish an event and a large batch; every kind of consumer gets the event.

    All requests have this address as their origin, as those of a page of the same site.

    Args:
        base: the address, ``https://…``.
        files: the certificate that signs it.
        event: a good event without an id.
    """
    connector = aiohttp.TCPConnector(ssl=trusting(files))
    async with aiohttp.ClientSession(base, connector=connector, headers={"Origin": base}) as http:
        async with (
            http.ws_connect("/ws") as plain,
            http.ws_connect("/socket.io/?EIO=4&transport=websocket") as socketio,
            http.get("/api/stream") as stream,
        ):
            await socketio.send_str("40")
            async with asyncio.timeout(TIMEOUT):
                while not (await socketio.receive_str()).startswith('42["ready"'):
                    pass
            async with http.get("/socket.io/?EIO=4&transport=polling") as polling:
                assert (await polling.text()).startswith("0{")
            with Producer(base, ssl_context=trusting(files)) as producer:
                published = await asyncio.to_thread(producer.publish, event)
            assert (await plain.receive_json(timeout=TIMEOUT))["id"] == published.id
            assert published.id in await socketio.receive_str(timeout=TIMEOUT)
            async with asyncio.timeout(TIMEOUT):
                while published.id not in (await stream.content.readline()).decode():
                    pass
        large = {**event["furniture"], "descripcion": "ñ" * 10_000}
        events = [{**event, "furniture": large} for _ in range(40)]
        body = io.BytesIO(json.dumps({"events": events}, ensure_ascii=False).encode())
        http_json = {"Content-Type": "application/json"}
        async with http.post("/api/events/batch", data=body, headers=http_json) as response:
            assert response.status == 200
        async with http.get("/api/events?limit=100") as response:
            page = await response.json()
        assert page["more"] is True
