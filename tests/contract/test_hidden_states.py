"""What the rooms of a token hide, on each way out and on each log, for any history of pieces."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sio_server.contract.events import EVENT_TYPES
from tests.support.raw import TIMEOUT, RawSocketIO, plain
from tests.support.server import Server
from tests.support.tokens import SECRET, token
from tests.support.valkey import Valkey

KEY = "the-key-of-the-catalogue"
EVENT_LOGS = ("memory", "sqlite", "valkey")
END = "everyone"
"""The author of the last event of a history. Every consumer may see it."""

SIGHTS = (
    ["*"],
    ["material:roble"],
    ["author:ana", "material:roble"],
    ["furniture:*"],
    ["type:furniture_created"],
    ["type:furniture_deleted", "author:*"],
)
numbers = itertools.count()

Start = Callable[..., Server]
Event = dict[str, Any]


class Draft(NamedTuple):
    """An event of a history. Each has another name for its piece."""

    type: str
    piece: str
    material: str
    author: str


drafts = st.builds(
    Draft,
    st.sampled_from(EVENT_TYPES),
    st.sampled_from(("mesa", "silla")),
    st.sampled_from(("roble", "pino")),
    st.sampled_from(("ana", "eva")),
)


def make_events(history: list[Draft]) -> list[Event]:
    """Return the events of a history and its end, about pieces that no other history has."""
    own = next(numbers)
    events = []
    for draft in (*history, Draft("furniture_created", "end", "roble", END)):
        furniture = {
            "furniture_id": f"{draft.piece}-{own}",
            "nombre": f"name-{next(numbers)}",
            "descripcion": "",
            "altura": 75,
            "ancho": 120.5,
            "material": draft.material,
            "autor_username": draft.author,
            "id": ',"id":"',
        }
        events.append({"type": draft.type, "furniture": furniture, "id": f"id-{next(numbers)}"})
    return events


def may_see(sight: list[str], rooms: list[str]) -> bool:
    """Tell whether a consumer may be in one of the rooms."""
    names = {"*", *rooms, *(f"{room.partition(':')[0]}:*" for room in rooms)}
    return not names.isdisjoint(sight)


def views(events: list[Event], sight: list[str]) -> list[Event | None]:
    """Return each event as the contract says that a consumer sees it; None: it does not."""
    last: dict[str, Event] = {}
    seen: list[Event | None] = []
    for event in events:
        piece = event["furniture"]["furniture_id"]
        state = state_rooms(event["furniture"])
        former = last.pop(piece, None)
        if may_see(sight, ["catalog", f"furniture:{piece}", f"type:{event['type']}", *state]):
            seen.append(event)
        elif former is not None and may_see(sight, state_rooms(former)):
            seen.append({"type": "furniture_deleted", "furniture": former, "id": event["id"]})
        else:
            seen.append(None)
        if event["type"] != "furniture_deleted":
            last[piece] = event["furniture"]
    return seen


def state_rooms(furniture: dict[str, Any]) -> list[str]:
    """Return the rooms that a state of a piece is in."""
    return [f"material:{furniture['material']}", f"author:{furniture['autor_username']}"]


def rooms_of(sight: list[str], pieces: Iterable[str]) -> list[str]:
    """Return rooms by which a consumer hears of everything that it may see."""
    rooms = []
    for pattern in (*sight, f"author:{END}"):
        kind = pattern.removesuffix(":*")
        names = {"author": ("ana", "eva", END), "furniture": pieces}.get(kind, ())
        rooms += [f"{kind}:{name}" for name in names] if kind != pattern else [pattern]
    return ["catalog"] if "*" in sight else rooms


class Consumer:
    """A consumer of one way out, from an offset to the end of a history.

    Args:
        server: the server.
        sight: what its token lets it see.
        pieces: the pieces of the history.
        since: the offset.

    Attributes:
        texts: the messages that it has received.
        ready: it is ready for live events.
    """

    def __init__(self, server: Server, sight: list[str], pieces: Iterable[str], since: str) -> None:
        self.url = server.url
        self.token = token(rooms=[*sight, f"author:{END}"])
        self.rooms = rooms_of(sight, pieces)
        self.since = since
        self.texts: list[str] = []
        self.ready = asyncio.Event()
        self.events: list[Event] = []

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query of a URL."""
        return [("since", self.since), *(("room", room) for room in self.rooms)]

    @property
    def headers(self) -> dict[str, str]:
        """The header with its token."""
        return {"Authorization": f"Bearer {self.token}"}

    def add(self, text: str, message: dict[str, Any]) -> None:
        """Add a message."""
        self.texts.append(text)
        if message["type"] == "ready":
            self.ready.set()
        else:
            self.events.append({name: message[name] for name in ("type", "furniture", "id")})

    @property
    def is_done(self) -> bool:
        """Whether it is ready and has received the last event."""
        is_last = self.events and self.events[-1]["furniture"]["autor_username"] == END
        return self.ready.is_set() and bool(is_last)


async def over_socketio(consumer: Consumer, transport: str) -> None:
    """Consume over Socket.IO."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        client = RawSocketIO(http, consumer.url)
        await client.open(transport)
        auth = {"token": consumer.token, "rooms": consumer.rooms, "since": consumer.since}
        await client.send(f"40{json.dumps(auth)}")
        while not consumer.is_done:
            text = await client.receive("42")
            consumer.add(text, json.loads(text[2:])[1])
        await client.close()


async def over_websocket(consumer: Consumer) -> None:
    """Consume over a plain WebSocket."""
    url = f"{consumer.url}/ws"
    async with plain(url, params=consumer.query, headers=consumer.headers) as client:
        while not consumer.is_done:
            text = await client.receive_text()
            consumer.add(text, json.loads(text))


async def over_sse(consumer: Consumer) -> None:
    """Consume a stream."""
    async with (
        aiohttp.ClientSession(headers=consumer.headers) as http,
        http.get(f"{consumer.url}/api/stream", params=consumer.query) as response,
    ):
        async for line in response.content:
            if line.startswith(b"data: "):
                consumer.add(line.decode(), json.loads(line[6:]))
            if consumer.is_done:
                return


async def over_http(consumer: Consumer) -> None:
    """Read the history, in pages of two events."""
    consumer.ready.set()
    async with aiohttp.ClientSession(headers=consumer.headers) as http:
        while not consumer.is_done:
            query = [*consumer.query, ("limit", "2")]
            async with http.get(f"{consumer.url}/api/events", params=query) as response:
                text = await response.text()
            page = json.loads(text)
            consumer.since = page["position"]
            for event in page["events"]:
                consumer.add(text, event)


LIVE_WAYS: tuple[Callable[[Consumer], Awaitable[None]], ...] = (
    partial(over_socketio, transport="websocket"),
    partial(over_socketio, transport="polling"),
    over_websocket,
    over_sse,
)


async def publish(server: Server, events: list[Event]) -> list[str]:
    """Publish events in one batch; return their offsets."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.url}/api/events/batch", json={"events": events}) as response,
    ):
        return [result["offset"] for result in (await response.json())["results"]]


@pytest.fixture(params=EVENT_LOGS)
def server(request: pytest.FixtureRequest, start_server: Start, valkey: Valkey) -> Server:
    """Return a server with tokens, on each log."""
    urls = {"memory": "memory://", "sqlite": "sqlite:///events.db", "valkey": valkey.url}
    return start_server(
        producer_keys=KEY,
        jwt_secret=SECRET,
        event_log=urls[request.param],
        rate_limit="1000000",
        connect_rate="0",
    )


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(history=st.lists(drafts, min_size=1, max_size=8), replayed=st.integers(0, 8))
def test_a_consumer_sees_no_state_outside_its_rooms(
    server: Server, history: list[Draft], replayed: int
) -> None:
    """Live, replayed, in the history and over SSE; a piece that leaves its rooms is deleted."""
    asyncio.run(hold_consumers_to_the_contract(server, history, replayed))


async def hold_consumers_to_the_contract(
    server: Server, history: list[Draft], replayed: int
) -> None:
    """Publish a history, and compare what each consumer receives with ``views``."""
    events = make_events(history)
    pieces = sorted({event["furniture"]["furniture_id"] for event in events})
    (start,) = await publish(server, make_events([]))
    live = [
        (Consumer(server, sight, pieces, start), sight, way)
        for sight in SIGHTS
        for way in LIVE_WAYS
    ]
    tasks = [asyncio.ensure_future(way(consumer)) for consumer, _, way in live]
    async with asyncio.timeout(TIMEOUT):
        for consumer, _, _ in live:
            await consumer.ready.wait()
        offsets = [start, *await publish(server, events)]
        await asyncio.gather(*tasks)
        skipped = min(replayed, len(history))
        later = [
            (Consumer(server, sight, pieces, offsets[skipped]), sight, way)
            for sight in SIGHTS
            for way in (*LIVE_WAYS, over_http)
        ]
        await asyncio.gather(*(way(consumer) for consumer, _, way in later))
    for missed, consumers in ((0, live), (skipped, later)):
        for consumer, sight, _ in consumers:
            seen = views(events, [*sight, f"author:{END}"])[missed:]
            assert consumer.events == [event for event in seen if event is not None]
            shown = {event["furniture"]["nombre"] for event in seen if event is not None}
            hidden = {event["furniture"]["nombre"] for event in events} - shown
            assert not [name for name in hidden if f'"{name}"' in "".join(consumer.texts)]
