"""The HTTP API: publish one event or a batch, read the log."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web
from multidict import MultiMapping

from sio_server.access.principals import Principal
from sio_server.access.sources import Source
from sio_server.contract import strictjson
from sio_server.contract.errors import (
    ContractError,
    InvalidJson,
    InvalidMessage,
    TooLarge,
    TooManyEvents,
)
from sio_server.contract.events import Event, Offset, Receipt, parse_event
from sio_server.contract.rooms import RoomFilter
from sio_server.contract.schemas import DEFAULT_PAGE_EVENTS, MAX_BATCH_EVENTS, MAX_PAGE_EVENTS
from sio_server.delivery.resume import gap_cause
from sio_server.endpoints.bodies import read_json_body, read_message
from sio_server.endpoints.gate import Gate, check_query, since_in
from sio_server.endpoints.responses import json_response, list_response
from sio_server.eventlog.contract import EventLog
from sio_server.hub import Hub
from sio_server.metrics import Metrics
from sio_server.net.turns import in_turns
from sio_server.settings import Settings

if TYPE_CHECKING:
    from sio_server.tracing import Responding, Tracing

PAGE_BYTES = 262_144
"""A page ends with the event by which its events have more bytes than this."""


class HistoryPage(NamedTuple):
    """The answer to a read of the log.

    Attributes:
        events: each event with its offset, as JSON.
        position: where the next page starts: the last event's offset if there are more events for
            it, otherwise the log's end.
        gap: as in the log's ``Page``.
        more: whether the log has further events of the same rooms.
    """

    events: list[bytes]
    position: Offset
    gap: bool = False
    more: bool = False


class HttpApi:
    """The endpoints below ``/api/events``.

    Args:
        hub: appends events.
        gate: identifies the client.
        event_log: answers reads.
        metrics: counts the refused events of a batch.
        settings: the limits of a request's body.
        tracing: makes spans of the publishing requests; None: no spans.
    """

    def __init__(
        self,
        hub: Hub,
        gate: Gate,
        event_log: EventLog,
        metrics: Metrics,
        settings: Settings,
        tracing: Tracing | None = None,
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._event_log = event_log
        self._metrics = metrics
        self._settings = settings
        self._append_one: Responding = self._answer_one
        self._append_batch: Responding = self._answer_batch
        self._parse_event: Callable[[Any], Event] = parse_event
        if tracing is not None:
            self._append_one = tracing.request(self._append_one)
            self._append_batch = tracing.request(self._append_batch)
            self._parse_event = tracing.parse_event

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoints."""
        app.router.add_post("/api/events", self.publish)
        app.router.add_get("/api/events", self.read, allow_head=False)
        app.router.add_post("/api/events/batch", self.publish_batch)

    async def publish(self, request: web.Request) -> web.Response:
        """Append one event."""
        principal, source = self._gate.visitor(request)
        principal.check_publish()
        check_query(request.query)
        return await self._append_one(request, principal, source)

    async def _answer_one(
        self, request: web.Request, principal: Principal, source: Source
    ) -> web.Response:
        message = await read_message(request, self._settings, source.network)
        event = parse_event(message, id=idempotency_key(request))
        receipt = await self._hub.publish(principal, event)
        return json_response(receipt.as_dict(), 200 if receipt.duplicate else 201)

    async def publish_batch(self, request: web.Request) -> web.Response:
        """Append up to 1,000 events. A bad event does not affect the others."""
        principal, source = self._gate.visitor(request)
        principal.check_publish()
        check_query(request.query)
        return await self._append_batch(request, principal, source)

    async def _answer_batch(
        self, request: web.Request, principal: Principal, source: Source
    ) -> web.Response:
        settings = self._settings
        body = await read_json_body(
            request, settings.max_batch_bytes, settings.connect_timeout, source.network
        )
        try:
            texts = await in_turns(
                strictjson.split_members(body.decode(), "events", settings.max_json_depth),
                source.network,
            )
        except UnicodeDecodeError:
            raise InvalidJson("not valid JSON") from None
        if texts is None:
            raise InvalidMessage('must be an object with a list "events"')
        if len(texts) > MAX_BATCH_EVENTS:
            raise TooManyEvents(f"a batch has at most {MAX_BATCH_EVENTS} events")
        parsed = await in_turns(self._parse_members(texts), source.network)
        events = [event for event in parsed if isinstance(event, Event)]
        results = iter(await self._hub.publish_many(principal, events) if events else ())
        all_results = [next(results) if isinstance(event, Event) else event for event in parsed]
        shapes = (strictjson.dumps(self._shape(result)).encode() for result in all_results)
        return list_response("results", shapes, {})

    def _parse_members(
        self, texts: Sequence[str]
    ) -> Generator[None, None, list[Event | ContractError]]:
        parsed = []
        for text in texts:
            parsed.append(self._parse_member(text))
            yield
        return parsed

    def _parse_member(self, text: str) -> Event | ContractError:
        settings = self._settings
        try:
            if len(text.encode()) > settings.max_message_bytes:
                raise TooLarge(f"an event has at most {settings.max_message_bytes} bytes")
            return self._parse_event(strictjson.loads(text, settings.max_json_depth))
        except ContractError as error:
            return error

    def _shape(self, result: Receipt | ContractError) -> dict[str, Any]:
        if isinstance(result, ContractError):
            self._metrics.refused.labels(result.code).inc()
            return {"ok": False, "error": result.as_dict()}
        return {"ok": True, **result.as_dict()}

    async def read(self, request: web.Request) -> web.Response:
        """Read the log."""
        query = request.query
        principal, source = self._gate.visitor(request)
        principal.check_consume()
        check_query(query, "room", "since", "limit")
        rooms, since, limit = self._gate.rooms(query, principal), since_in(query), limit_in(query)
        if not principal.is_producer:
            self._gate.count(source)
        page = await self._read(rooms, principal.rooms, since, limit)
        bounds = await self._event_log.bounds()
        if page.gap and since is not None:
            self._metrics.gaps.labels(gap_cause(since, bounds)).inc()
        rest = {
            "position": str(page.position),
            "oldest": str(bounds.oldest),
            "gap": page.gap,
            "more": page.more,
        }
        return list_response("events", page.events, rest)

    async def _read(
        self, rooms: frozenset[str], sees: RoomFilter, since: Offset | None, limit: int
    ) -> HistoryPage:
        """Read one page, and one event beyond it, to know whether there are more.

        Events of these rooms may be rare, so this may read the log up to its end. Each read of the
        log examines a bounded number of events, and other tasks run between two reads.
        """
        read = self._event_log.read
        events: list[bytes] = []
        size = 0
        page = await read(since, rooms, limit)
        position = page.position
        while True:
            for record in page.records:
                seen = sees.view(record)
                if seen is None:
                    continue
                if len(events) == limit or size > PAGE_BYTES:
                    return HistoryPage(events, position, more=True)
                events.append(seen.json_with_offset.encode())
                size += len(events[-1])
                position = record.offset
            if page.at_end:
                return HistoryPage(events, page.position, page.gap)
            is_full = len(events) == limit or size > PAGE_BYTES
            page = await read(page.position, rooms, 1 if is_full else limit - len(events))
            if page.gap:  # the retention has passed this read
                if events:  # the next request says so
                    return HistoryPage(events, position, more=True)
                page = await read(since, rooms, limit)


def idempotency_key(request: web.Request) -> str | None:
    """Return the ``Idempotency-Key`` header, without its quotes, or None."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and len(key) >= 2 and key[0] == key[-1] == '"':
        return key[1:-1]
    return key


def limit_in(query: MultiMapping[str]) -> int:
    """Return the limit that a query names.

    Raises:
        InvalidMessage: the limit is not a number, or too large.
    """
    text = query.get("limit", str(DEFAULT_PAGE_EVENTS))
    is_number = text.isascii() and text.isdigit() and len(text) <= 6
    if not is_number or int(text) > MAX_PAGE_EVENTS:
        raise InvalidMessage(f"limit must be a number from 0 to {MAX_PAGE_EVENTS}")
    return int(text)
