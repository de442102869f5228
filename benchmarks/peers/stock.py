"""python-socketio on aiohttp and uvloop with default options."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import os
import sys
from typing import Any

import socketio
import uvloop
from aiohttp import web


async def main() -> None:
    """Serve until the process is killed."""
    server = socketio.AsyncServer(
        async_mode="aiohttp", ping_interval=float(os.environ["PING_INTERVAL"])
    )
    numbers = itertools.count(1)

    @server.on("furniture_created")
    async def publish(sid: str, event: dict[str, Any]) -> dict[str, Any]:
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

    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), file=sys.stderr)
    await asyncio.Event().wait()


uvloop.run(main())
