"""The smallest aiohttp server that takes an event: it decodes the JSON and answers 201."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from aiohttp import web


async def publish(request: web.Request) -> web.Response:
    """Answer as a server does that has stored the event."""
    event = await request.json()
    return web.json_response({"ok": True, "id": event["furniture"]["furniture_id"]}, status=201)


async def main() -> None:
    """Serve until the process is killed."""
    app = web.Application()
    app.router.add_post("/api/events", publish)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), file=sys.stderr)
    await asyncio.Event().wait()


uvloop.run(main())
