"""Consumers that record all that happens to them: socket.io-client in Node.js, plain WebSocket."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import aiohttp

from tests.chaos.history import (
    Changed,
    Changing,
    Connected,
    Connecting,
    Consumer,
    Delivered,
    Disconnected,
    Ready,
    Record,
)
from tests.support.server import ROOT, TIMEOUT

RETRY_SECONDS = 0.05
HEARTBEAT_SECONDS = 2.0
"""Interval of a plain WebSocket's pings, which find silent connections."""


def delivered(at: float, event: dict[str, Any], offset: str) -> Delivered:
    """Return the record of a delivered event."""
    return Delivered(at, offset, event["id"], event["type"], event["furniture"], event["timestamp"])


def ready(at: float, message: dict[str, Any]) -> Ready:
    """Return the record of a ``ready`` message."""
    return Ready(
        at,
        message["position"],
        tuple(message["rooms"]),
        message["recovered"],
        message["gap"],
        message["replayed"],
    )


def is_ready(consumer: Consumer) -> bool:
    """Return whether the consumer has caught up on its present connection."""
    for record in reversed(consumer.records):
        if isinstance(record, Ready):
            return True
        if isinstance(record, Disconnected | Connecting):
            return False
    return False


def _decode(line: dict[str, Any]) -> Record:
    at = line["at"]
    match line["on"]:
        case "connecting":
            return Connecting(at, tuple(line["rooms"]), line["since"], line["resumes"])
        case "connected":
            return Connected(at, line["sid"], line["recovered"])
        case "ready":
            return ready(at, line)
        case "delivered":
            return delivered(at, line["event"], line["offset"])
        case "changing":
            return Changing(at, line["kind"], tuple(line["rooms"]))
        case "changed":
            return Changed(at, None if line["rooms"] is None else tuple(line["rooms"]))
        case _:
            return Disconnected(at, line["reason"])


class NodeFleet:
    """Many socket.io-clients in one Node.js process.

    Attributes:
        consumers: the consumers by name.
        stuck: by reason, how often a client would not have reconnected by itself.
    """

    def __init__(self) -> None:
        self.consumers: dict[str, Consumer] = {}
        self.stuck: Counter[str] = Counter()
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]

    async def start(self) -> None:
        """Start Node.js."""
        self._process = await asyncio.create_subprocess_exec(
            "node",
            str(ROOT / "tests/node/chaos.mjs"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        self._reader = asyncio.create_task(self._read())

    def open(self, name: str, **options: object) -> None:
        """Start a client with the options of ``tests/node/chaos.mjs``."""
        self.consumers[name] = Consumer(name)
        self._do("open", name=name, **options)

    def change(self, name: str, kind: str, room: str) -> None:
        """Tell a client to subscribe or unsubscribe, if it is ready."""
        self._do("change", name=name, kind=kind, room=room)

    def leave(self, name: str) -> None:
        """Tell a client to end its session and to connect again."""
        self._do("leave", name=name)

    def _do(self, command: str, **arguments: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            line = json.loads(text)
            if line["on"] == "stuck":
                self.stuck[line["reason"]] += 1
            else:
                self.consumers[line["name"]].records.append(_decode(line))

    async def stop(self) -> None:
        """Stop all clients and Node.js."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), TIMEOUT)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader


class PlainConsumer:
    """A plain WebSocket that reconnects with the last offset that it knows."""

    def __init__(self, name: str, url: str, rooms: list[str], since: str) -> None:
        self.consumer = Consumer(name)
        self._url = url
        self._rooms = rooms
        self._since = since
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._changing = False
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop it."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def change(self, kind: str, room: str) -> None:
        """Subscribe or unsubscribe, if it is ready."""
        if self._socket is None or self._changing or not is_ready(self.consumer):
            return
        self._changing = True
        self._record(Changing(time.monotonic(), kind, (room,)))
        with suppress(OSError, aiohttp.ClientError):
            await self._socket.send_json({"type": kind, "rooms": [room], "ref": 1})

    def _record(self, record: Record) -> None:
        self.consumer.records.append(record)

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                with suppress(OSError, aiohttp.ClientError, TimeoutError):
                    await self._connect(http)
                self._socket = None
                await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self, http: aiohttp.ClientSession) -> None:
        query = [*(("room", room) for room in self._rooms), ("since", self._since)]
        # A query cannot express "no room": without a room it means the catalogue.
        connecting = Connecting(time.monotonic(), tuple(self._rooms) or None, self._since)
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            socket = await http.ws_connect(
                f"{self._url}/ws", params=query, heartbeat=HEARTBEAT_SECONDS
            )
        async with socket:
            self._record(connecting)
            self._record(Connected(time.monotonic()))
            self._socket, self._changing = socket, False
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._receive(time.monotonic(), json.loads(message.data))
            self._record(Disconnected(time.monotonic(), str(socket.close_code)))

    def _receive(self, at: float, message: dict[str, Any]) -> None:
        match message["type"]:
            case "ready":
                self._since = message["position"]
                self._record(ready(at, message))
            case "ack":
                self._changing = False
                self._rooms = message["rooms"]
                self._record(Changed(at, tuple(message["rooms"])))
            case "error":
                if "ref" in message:
                    self._changing = False
                    self._record(Changed(at, None))
            case _:
                self._since = message["offset"]
                self._record(delivered(at, message, message["offset"]))
