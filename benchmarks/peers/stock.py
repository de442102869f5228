"""python-socketio on aiohttp and uvloop with default options. It also takes events over HTTP."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import os
import signal
import sys
from typing import Any

import socketio
import uvloop
from aiohttp import web


async def main() -> None:
    """Serve until SIGTERM."""
    server = socketio.AsyncServer(
        async_mode="aiohttp", ping_interval=float(os.environ["PING_INTERVAL"])
    )
    numbers = itertools.count(1)

    @server.on("furniture_created")
    async def publish(sid: str | None, event: dict[str, Any]) -> dict[str, Any]:
        offset = str(next(numbers))
        timestamp = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        event_with_offset = {
            "type": "furniture_created",
            **event,
            "id": offset,
            "timestamp": timestamp,
        }
        await server.emit("furniture_created", (event_with_offset, offset))
        return {
            "ok": True,
            "id": offset,
            "offset": offset,
            "timestamp": timestamp,
            "duplicate": False,
        }

    async def post(request: web.Request) -> web.Response:
        return web.json_response(await publish(None, await request.json()), status=201)

    app = web.Application()
    app.router.add_post("/api/events", post)
    server.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ.get("PORT", "0"))).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), file=sys.stderr)
    await stopped.wait()
    os._exit(0)  # nothing is to be saved, and a cleanup takes a second for each client


uvloop.run(main())
