"""All ways to publish events and all ways to consume them, each behind one interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import socketio
from furniture_events import AsyncProducer, Producer

from sio_server.contract.events import EVENT_TYPES
from tests.support.raw import plain, raw_socketio
from tests.support.server import ROOT, TIMEOUT

Event = dict[str, Any]
Publish = Callable[[Event], Awaitable[dict[str, Any]]]
"""Publishes one event; returns id, offset, timestamp and duplicate of the acknowledgement."""


@asynccontextmanager
async def _http(url: str) -> AsyncIterator[Publish]:
    async with aiohttp.ClientSession() as http:

        async def publish(event: Event) -> dict[str, Any]:
            async with http.post(f"{url}/api/events", json=event) as response:
                answer: dict[str, Any] = await response.json()
                assert response.status == (200 if answer["duplicate"] else 201), answer
                return answer

        yield publish


@asynccontextmanager
async def _batch(url: str) -> AsyncIterator[Publish]:
    async with aiohttp.ClientSession() as http:

        async def publish(event: Event) -> dict[str, Any]:
            body = {"events": [event]}
            async with http.post(f"{url}/api/events/batch", json=body) as response:
                (answer,) = (await response.json())["results"]
                assert answer.pop("ok") is True, answer
                assert isinstance(answer, dict)
                return answer

        yield publish


@asynccontextmanager
async def _websocket(url: str) -> AsyncIterator[Publish]:
    async with plain(url) as client:

        async def publish(event: Event) -> dict[str, Any]:
            await client.send({**event, "ref": 1})
            answer = await client.receive_type("ack", "error")
            assert (answer.pop("type"), answer.pop("ref"), answer.pop("ok")) == ("ack", 1, True)
            return answer

        yield publish


def _socketio(
    transport: str, arguments: Callable[[Event], tuple[str, Any]]
) -> Callable[[str], Any]:
    @asynccontextmanager
    async def open_producer(url: str) -> AsyncIterator[Publish]:
        async with socketio.AsyncSimpleClient() as client:
            await client.connect(url, transports=[transport], auth={"rooms": []})

            async def publish(event: Event) -> dict[str, Any]:
                name, argument = arguments(event)
                answer: dict[str, Any] = await client.call(name, argument, timeout=TIMEOUT)
                assert answer.pop("ok") is True, answer
                return answer

            yield publish

    return open_producer


def _without_type(event: Event) -> tuple[str, Event]:
    return event["type"], {key: value for key, value in event.items() if key != "type"}


@asynccontextmanager
async def _python_producer(url: str) -> AsyncIterator[Publish]:
    with Producer(url) as producer:

        async def publish(event: Event) -> dict[str, Any]:
            return _receipt(await asyncio.to_thread(producer.publish, event))

        yield publish


@asynccontextmanager
async def _async_python_producer(url: str) -> AsyncIterator[Publish]:
    async with AsyncProducer(url) as producer:

        async def publish(event: Event) -> dict[str, Any]:
            return _receipt(await producer.publish(event))

        yield publish


def _receipt(published: Any) -> dict[str, Any]:
    timestamp = published.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": published.id,
        "offset": published.offset,
        "timestamp": timestamp,
        "duplicate": published.duplicate,
    }


PRODUCERS: dict[str, Callable[[str], Any]] = {
    "http": _http,
    "batch": _batch,
    "websocket": _websocket,
    "socketio event": _socketio("websocket", _without_type),
    "socketio whole event": _socketio("websocket", lambda event: (event["type"], event)),
    "socketio message": _socketio("websocket", lambda event: ("message", event)),
    "socketio text": _socketio("websocket", lambda event: ("message", json.dumps(event))),
    "socketio polling": _socketio("polling", _without_type),
    "Producer": _python_producer,
    "AsyncProducer": _async_python_producer,
}


class Consumer:
    """The events that a consumer has received, with their offsets if its wire form has them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.offsets: list[str | None] = []
        self._event_added = asyncio.Event()

    def add(self, event: Event, offset: str | None = None) -> None:
        """Add one event."""
        self.events.append(event)
        self.offsets.append(offset)
        self._event_added.set()

    async def wait_for(self, count: int) -> None:
        """Wait until there are ``count`` events."""
        async with asyncio.timeout(TIMEOUT):
            while len(self.events) < count:
                self._event_added.clear()
                await self._event_added.wait()


Open = Callable[..., Any]


def _socketio_consumer(transports: list[str] | None, *, recovery: bool = True) -> Open:
    @asynccontextmanager
    async def open_consumer(url: str, rooms: list[str] | None = None) -> AsyncIterator[Consumer]:
        consumer, client = Consumer(), socketio.AsyncClient(reconnection=False)
        ready = asyncio.Event()
        for event_type in EVENT_TYPES:
            client.on(event_type, consumer.add)
        client.on("ready", lambda message: ready.set())
        auth: dict[str, Any] = {} if recovery else {"recovery": False}
        if rooms is not None:
            auth["rooms"] = rooms
        await client.connect(url, auth=auth, transports=transports)
        async with asyncio.timeout(TIMEOUT):
            await ready.wait()
        try:
            yield consumer
        finally:
            await client.disconnect()

    return open_consumer


@asynccontextmanager
async def _sync_socketio_consumer(
    url: str, rooms: list[str] | None = None
) -> AsyncIterator[Consumer]:
    loop, consumer, ready = asyncio.get_running_loop(), Consumer(), asyncio.Event()
    client = socketio.Client(reconnection=False)
    for event_type in EVENT_TYPES:
        client.on(event_type, lambda *a: loop.call_soon_threadsafe(consumer.add, *a))
    client.on("ready", lambda message: loop.call_soon_threadsafe(ready.set))
    auth = {} if rooms is None else {"rooms": rooms}
    await asyncio.to_thread(client.connect, url, auth=auth, transports=["websocket"])
    async with asyncio.timeout(TIMEOUT):
        await ready.wait()
    try:
        yield consumer
    finally:
        await asyncio.to_thread(client.disconnect)


@asynccontextmanager
async def _raw_consumer(
    url: str, transport: str, rooms: list[str] | None
) -> AsyncIterator[Consumer]:
    consumer = Consumer()
    auth = {} if rooms is None else {"rooms": rooms}
    async with raw_socketio(url, transport, auth) as client:

        async def read() -> None:
            while True:
                packet = await client.receive('42["furniture_')
                _, event, offset = json.loads(packet[2:])
                consumer.add(event, offset)

        async with running(read()):
            yield consumer


@asynccontextmanager
async def _websocket_consumer(url: str, rooms: list[str] | None = None) -> AsyncIterator[Consumer]:
    consumer = Consumer()
    async with plain(f"{url}/ws", params=[("room", room) for room in rooms or ()]) as client:
        await client.send({"type": "ping"})
        await client.receive_type("pong")

        async def read() -> None:
            while True:
                event = await client.receive()
                consumer.add(event, event.pop("offset"))

        async with running(read()):
            yield consumer


@asynccontextmanager
async def _sse_consumer(url: str, rooms: list[str] | None = None) -> AsyncIterator[Consumer]:
    consumer, ready = Consumer(), asyncio.Event()
    params = [("room", room) for room in rooms or ()]
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.get(f"{url}/api/stream", params=params) as response,
    ):

        async def read() -> None:
            fields: dict[str, str] = {}
            async for line in response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif fields.pop("event", None) == "ready":
                    ready.set()
                elif "data" in fields:
                    consumer.add(json.loads(fields.pop("data")), fields.pop("id"))

        async with running(read()):
            async with asyncio.timeout(TIMEOUT):
                await ready.wait()
            yield consumer


def _node_consumer(transports: list[str] | None) -> Open:
    @asynccontextmanager
    async def open_consumer(url: str, rooms: list[str] | None = None) -> AsyncIterator[Consumer]:
        consumer, ready = Consumer(), asyncio.Event()
        options = {"transports": transports} if transports else {}
        auth = {} if rooms is None else {"rooms": rooms}
        process = await asyncio.create_subprocess_exec(
            "node",
            str(ROOT / "tests/node/consume.mjs"),
            json.dumps({"url": url, "options": {**options, "auth": auth}}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        output = process.stdout

        async def read() -> None:
            async for line in output:
                name, *arguments = json.loads(line)
                if name == "ready":
                    ready.set()
                else:
                    consumer.add(*arguments)

        async with running(read()):
            async with asyncio.timeout(TIMEOUT):
                await ready.wait()
            yield consumer
            process.stdin.close()
            await process.wait()

    return open_consumer


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """Run a coroutine during the block, and cancel it in the end."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


CONSUMERS: dict[str, Open] = {
    "python, websocket": _socketio_consumer(["websocket"]),
    "python, polling": _socketio_consumer(["polling"]),
    "python, upgrade": _socketio_consumer(None),
    "python, one argument": _socketio_consumer(["websocket"], recovery=False),
    "python, synchronous": _sync_socketio_consumer,
    "raw, websocket": lambda url, rooms=None: _raw_consumer(url, "websocket", rooms),
    "raw, polling": lambda url, rooms=None: _raw_consumer(url, "polling", rooms),
    "node, websocket": _node_consumer(["websocket"]),
    "node, polling": _node_consumer(["polling"]),
    "node, upgrade": _node_consumer(None),
    "plain websocket": _websocket_consumer,
    "sse": _sse_consumer,
}
