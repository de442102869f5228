"""The HTTP API: publish one event or a batch, read the log."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from multidict import MultiMapping

from sio_server.contract import strictjson
from sio_server.contract.errors import (
    ContractError,
    InvalidJson,
    InvalidMessage,
    TooLarge,
    TooManyEvents,
    UnsupportedMediaType,
)
from sio_server.contract.events import Event, Offset, Receipt, parse_event
from sio_server.endpoints.gate import Gate, since_in
from sio_server.endpoints.responses import json_response
from sio_server.eventlog.contract import EventLog, Page
from sio_server.hub import Hub
from sio_server.metrics import Metrics
from sio_server.net.body import BodyTooLarge, BodyUnreadable, read_body
from sio_server.settings import Settings

MAX_BATCH_EVENTS = 1000
MAX_PAGE_EVENTS = 1000
DEFAULT_PAGE_EVENTS = 100


class HttpApi:
    """The endpoints below ``/api/events``.

    Args:
        hub: appends events.
        gate: identifies the client.
        event_log: answers reads.
        metrics: counts the refused events of a batch.
        settings: the limits of a request's body.
    """

    def __init__(
        self, hub: Hub, gate: Gate, event_log: EventLog, metrics: Metrics, settings: Settings
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._event_log = event_log
        self._metrics = metrics
        self._settings = settings

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoints."""
        app.router.add_post("/api/events", self.publish)
        app.router.add_get("/api/events", self.read, allow_head=False)
        app.router.add_post("/api/events/batch", self.publish_batch)

    async def publish(self, request: web.Request) -> web.Response:
        """Append one event."""
        settings = self._settings
        principal, _ = self._gate.visitor(request)
        principal.check_publish()
        body = await self._body(request, settings.max_message_bytes)
        message = strictjson.loads(body, settings.max_json_depth)
        event = parse_event(message, id=idempotency_key(request))
        receipt = await self._hub.publish(principal, event)
        return json_response(receipt.as_dict(), 200 if receipt.duplicate else 201)

    async def publish_batch(self, request: web.Request) -> web.Response:
        """Append up to 1,000 events. A bad event does not affect the others."""
        settings = self._settings
        principal, _ = self._gate.visitor(request)
        principal.check_publish()
        body = await self._body(request, settings.max_batch_bytes)
        try:
            texts = strictjson.split_members(body.decode(), "events", settings.max_json_depth)
        except UnicodeDecodeError:
            raise InvalidJson("not valid JSON") from None
        if texts is None:
            raise InvalidMessage('must be an object with a list "events"')
        if len(texts) > MAX_BATCH_EVENTS:
            raise TooManyEvents(f"a batch has at most {MAX_BATCH_EVENTS} events")
        parsed = [self._parse_member(text) for text in texts]
        events = [event for event in parsed if isinstance(event, Event)]
        results = iter(await self._hub.publish_many(principal, events) if events else ())
        all_results = [next(results) if isinstance(event, Event) else event for event in parsed]
        return json_response({"results": [self._shape(result) for result in all_results]})

    def _parse_member(self, text: str) -> Event | ContractError:
        settings = self._settings
        try:
            if len(text.encode()) > settings.max_message_bytes:
                raise TooLarge(f"an event has at most {settings.max_message_bytes} bytes")
            return parse_event(strictjson.loads(text, settings.max_json_depth))
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
        rooms, since, limit = self._gate.rooms(query), since_in(query), limit_in(query)
        if principal.kind != "key":
            self._gate.count(source)
        page, oldest = await self._read(rooms, since, limit)
        events = ",".join(record.json_with_offset for record in page.records)
        rest = strictjson.dumps(
            {"position": str(page.position), "oldest": str(oldest), "gap": page.gap}
        )
        text = f'{{"events":[{events}],{rest[1:]}'
        return web.Response(text=text, content_type="application/json")

    async def _read(
        self, rooms: frozenset[str], since: Offset | None, limit: int
    ) -> tuple[Page, Offset]:
        log = self._event_log
        page = await log.read(since, rooms, limit)
        while not page.at_end and not page.gap and len(page.records) < limit:
            more = await log.read(page.position, rooms, limit - len(page.records))
            if more.gap:  # the retention has passed it: the next request says so
                break
            page = Page(page.records + more.records, more.position, more.at_end)
        return page, (await log.bounds()).oldest

    async def _body(self, request: web.Request, max_bytes: int) -> bytes:
        if request.content_type != "application/json":
            raise UnsupportedMediaType("send Content-Type: application/json")
        try:
            return await read_body(request, max_bytes, self._settings.connect_timeout)
        except BodyUnreadable:
            raise InvalidJson("the body is not encoded as its headers say") from None
        except BodyTooLarge:
            raise TooLarge(f"the body has more than {max_bytes} bytes") from None


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
