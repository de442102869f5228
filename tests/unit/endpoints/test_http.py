"""The HTTP API: the idempotency key, the limit of a page, and where a page ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from multidict import MultiDict

from sio_server.app import make_app
from sio_server.contract.errors import InvalidMessage
from sio_server.contract.events import Event, Offset
from sio_server.delivery import history as history_pages
from sio_server.endpoints.http import MAX_PAGE_EVENTS, idempotency_key, limit_in
from sio_server.eventlog import reading
from sio_server.eventlog.contract import Page, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.settings import Settings


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, None), ("k-1", "k-1"), ('"k-1"', "k-1"), ('"', '"'), ('""', ""), ('"k', '"k')],
)
def test_an_idempotency_key_may_be_quoted(header: str | None, expected: str | None) -> None:
    """The header's draft quotes it (a structured string); many clients do not."""
    headers = {} if header is None else {"Idempotency-Key": header}
    assert idempotency_key(make_mocked_request("POST", "/", headers=headers)) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [(None, 100), ("0", 0), ("7", 7), ("007", 7), ("1000", MAX_PAGE_EVENTS)]
)
def test_a_limit_is_a_number(text: str | None, expected: int) -> None:
    """Both bounds are allowed; without a limit, a page has 100 events."""
    assert limit_in(MultiDict({} if text is None else {"limit": text}), 100) == expected


@pytest.mark.parametrize("text", ["", "1001", "-1", "1.5", "ten", "１", "²", "9" * 5000])
def test_any_other_limit_is_refused(text: str) -> None:
    """The message names the bounds."""
    with pytest.raises(InvalidMessage, match=f"0 to {MAX_PAGE_EVENTS}"):
        limit_in(MultiDict({"limit": text}), 100)


class TrimmedLog(MemoryLog):
    """A log whose retention passes a read on command.

    Attributes:
        trim_before_read: all events are trimmed before the read of this number; 0: never.
        reads: the number of reads until now.
    """

    def __init__(self) -> None:
        super().__init__(Retention())
        self.trim_before_read = 0
        self.reads = 0

    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Trim if it is time, then read."""
        self.reads += 1
        if self.reads == self.trim_before_read:
            self._retention = Retention(events=1)
            await self.bounds()
        return await super().read(after, rooms, limit)


class History:
    """A log, and a client that reads it over HTTP."""

    def __init__(self, log: TrimmedLog, client: TestClient[Any, Any]) -> None:
        self.log = log
        self._client = client

    async def append(self, *materials: str, nombre: str = "Mesa") -> None:
        """Append an event for each material."""
        furniture = {
            "furniture_id": "mesa",
            "nombre": nombre,
            "descripcion": "",
            "altura": 75,
            "ancho": 120,
            "autor_username": "Juan",
        }
        end = (await self.log.bounds()).position.seq
        await self.log.append(
            [
                Event("furniture_created", {**furniture, "material": material}, f"{end + number}")
                for number, material in enumerate(materials, 1)
            ]
        )

    async def read(self, **query: Any) -> dict[str, Any]:
        """Return the answer, with seqs instead of events and offsets."""
        answer: dict[str, Any] = await (await self._client.get("/api/events", params=query)).json()
        answer["events"] = [Offset.parse(event["offset"]).seq for event in answer["events"]]
        answer["position"] = Offset.parse(answer["position"]).seq
        end = (await self.log.bounds()).position.seq
        assert answer.pop("remaining") == end - answer["position"]
        del answer["oldest"]
        return answer

    async def offset(self, seq: int) -> str:
        """Return the offset of an event."""
        return str((await self.log.bounds()).position._replace(seq=seq))


@pytest.fixture
async def history() -> AsyncIterator[History]:
    """Return a log and its client."""
    log = TrimmedLog()
    app, _, _ = make_app(Settings(_env_file=None), log)
    await log.open()
    async with TestClient(TestServer(app)) as client:
        yield History(log, client)
    await log.close()


def page(*events: int, position: int, more: bool, gap: bool = False) -> dict[str, Any]:
    """Return an answer as ``History.read`` does."""
    return {"events": list(events), "position": position, "gap": gap, "more": more}


async def test_a_page_says_whether_there_are_more_events(history: History) -> None:
    """With more, its position is its last event; otherwise, it is the log's end."""
    await history.append("pino", "pino", "roble", "roble", "roble")
    assert await history.read(limit=4) == page(1, 2, 3, 4, position=4, more=True)
    assert await history.read(limit=5) == page(1, 2, 3, 4, 5, position=5, more=False)
    assert await history.read(limit=6) == page(1, 2, 3, 4, 5, position=5, more=False)
    assert await history.read(limit=0) == page(position=5, more=False)
    since = await history.offset(5)
    assert await history.read(since=since) == page(position=5, more=False)


async def test_only_events_of_the_rooms_count_as_more(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server reads on for the next one, in steps that examine few events."""
    monkeypatch.setattr(reading, "MAX_EXAMINED_EVENTS", 2)
    await history.append("pino", "cedro", *["roble"] * 20, "pino", *["roble"] * 20)
    room = "material:pino"
    assert await history.read(room=room, limit=1) == page(1, position=1, more=True)
    # The piece leaves the room with event 24, which is therefore for the room as well.
    since = await history.offset(2)
    assert await history.read(room=room, since=since, limit=1) == page(23, position=23, more=True)
    assert await history.read(room=room, since=since, limit=2) == page(
        23, 24, position=43, more=False
    )
    assert history.log.reads > 30


async def test_a_page_ends_where_its_events_pass_a_bound_of_bytes(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of their JSON count, not characters; one event is there in any case."""
    await history.append(*["roble"] * 5, nombre="ñ")
    offset = await history.offset(1)
    (record,) = (await history.log.read(None, None, 1)).records
    size = len(record.json_with_offset.encode())
    assert offset in record.json_with_offset
    for bound, events in ((1, 1), (3 * size - 1, 3), (3 * size, 4), (5 * size, 5)):
        monkeypatch.setattr(history_pages, "PAGE_BYTES", bound)
        expected = list(range(1, events + 1))
        assert await history.read() == page(*expected, position=events, more=events < 5)


async def test_the_retention_may_pass_a_read(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With events, the page says that there are more, so that the next request is told of a gap."""
    monkeypatch.setattr(reading, "MAX_EXAMINED_EVENTS", 2)
    await history.append("pino", *["roble"] * 20)
    start = await history.offset(0)
    history.log.trim_before_read = 3
    answer = await history.read(room="material:pino", since=start)
    assert answer == page(1, 2, position=2, more=True)
    since = await history.offset(2)
    assert await history.read(room="material:pino", since=since) == page(
        position=21, more=False, gap=True
    )


@pytest.mark.parametrize("with_since", [True, False])
async def test_the_retention_may_pass_a_read_that_has_found_nothing(
    history: History, monkeypatch: pytest.MonkeyPatch, with_since: bool
) -> None:
    """With ``since``, the answer is a gap; without it, the read begins at the oldest again."""
    monkeypatch.setattr(reading, "MAX_EXAMINED_EVENTS", 2)
    await history.append(*["roble"] * 20, "pino")
    query = {"since": await history.offset(0)} if with_since else {}
    history.log.trim_before_read = 3
    answer = await history.read(room="material:pino", **query)
    if with_since:
        assert answer == page(position=21, more=False, gap=True)
    else:
        assert answer == page(21, position=21, more=False)


async def test_the_answer_is_json_in_utf_8(history: History) -> None:
    """The events are bytes, which are put together as they are."""
    await history.append("ébano")
    response = await history._client.get("/api/events")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    answer = json.loads(await response.read())
    assert answer["events"][0]["furniture"]["material"] == "ébano"
