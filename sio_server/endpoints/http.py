"""The HTTP API: publish one event or a batch, read the log and the pieces."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web
from multidict import MultiDict, MultiMapping

from sio_server.access.principals import Principal
from sio_server.access.sources import Source
from sio_server.contract import strictjson
from sio_server.contract.errors import ContractError, InvalidJson, InvalidMessage
from sio_server.contract.events import Event, Receipt, parse_event
from sio_server.contract.members import decode_members
from sio_server.contract.schemas import DEFAULT_PAGE_EVENTS, MAX_BATCH_EVENTS, MAX_PAGE_EVENTS
from sio_server.delivery.history import read_back, read_forward, read_furniture
from sio_server.delivery.resume import gap_cause
from sio_server.endpoints.bodies import read_json_body, read_message
from sio_server.endpoints.gate import Gate, check_query, offset_in
from sio_server.endpoints.responses import list_response
from sio_server.eventlog.contract import EventLog
from sio_server.hub import Hub
from sio_server.metrics import Metrics
from sio_server.net.request import HttpRequest
from sio_server.net.response import JSON_UTF8, HttpResponse
from sio_server.net.turns import in_turns
from sio_server.settings import Settings

if TYPE_CHECKING:
    from sio_server.tracing import Responding, Tracing

PUBLISH_PATH = "/api/events"


class HttpApi:
    """The endpoints ``/api/events``, ``/api/events/batch`` and ``/api/furniture``.

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
        self._append_one: Responding[HttpResponse] = self._answer_one
        self._append_batch: Responding[web.Response] = self._answer_batch
        self._parse_event: Callable[[Any], Event] = parse_event
        if tracing is not None:
            self._append_one = tracing.request(self._append_one)
            self._append_batch = tracing.request(self._append_batch)
            self._parse_event = tracing.parse_event

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoints."""
        app.router.add_post(PUBLISH_PATH, self._publish_through_aiohttp)
        app.router.add_get("/api/events", self.read, allow_head=False)
        app.router.add_post("/api/events/batch", self.publish_batch)
        app.router.add_get("/api/furniture", self.read_furniture, allow_head=False)

    async def publish(self, request: HttpRequest) -> HttpResponse:
        """Append one event."""
        principal, source = self._gate.visitor(request)
        principal.check_publish()
        check_query(MultiDict(request.query))
        return await self._append_one(request, principal, source)

    async def _publish_through_aiohttp(self, request: web.Request) -> web.Response:
        return (await self.publish(HttpRequest.of(request))).to_aiohttp()

    async def _answer_one(
        self, request: HttpRequest, principal: Principal, source: Source
    ) -> HttpResponse:
        message = await read_message(request, self._settings, source.network)
        event = parse_event(message, id=idempotency_key(request))
        receipt = await self._hub.publish(principal, event)
        body = strictjson.dumps(receipt.as_dict()).encode()
        return HttpResponse(200 if receipt.duplicate else 201, body, JSON_UTF8)

    async def publish_batch(self, request: web.Request) -> web.Response:
        """Append up to 1,000 events. A bad event does not affect the others."""
        principal, source = self._gate.visitor(request)
        principal.check_publish()
        check_query(request.query)
        return await self._append_batch(HttpRequest.of(request), principal, source)

    async def _answer_batch(
        self, request: HttpRequest, principal: Principal, source: Source
    ) -> web.Response:
        settings = self._settings
        body = await read_json_body(
            request,
            settings.max_batch_bytes,
            settings.connect_timeout,
            source.network,
        )
        try:
            members = await in_turns(
                decode_members(
                    body.decode(),
                    "events",
                    settings.max_json_depth,
                    settings.max_message_bytes,
                    MAX_BATCH_EVENTS,
                ),
                source.network,
            )
        except UnicodeDecodeError:
            raise InvalidJson("not valid JSON") from None
        if members is None:
            raise InvalidMessage('must be an object with a list "events"')
        parsed = await in_turns(self._parse_members(members), source.network)
        events = [event for event in parsed if isinstance(event, Event)]
        results = iter(await self._hub.publish_many(principal, events) if events else ())
        all_results = [next(results) if isinstance(event, Event) else event for event in parsed]
        shapes = (strictjson.dumps(self._shape(result)).encode() for result in all_results)
        return list_response("results", shapes, {})

    def _parse_members(
        self, members: Sequence[Any]
    ) -> Generator[None, None, list[Event | ContractError]]:
        parsed = []
        for member in members:
            parsed.append(self._parse_member(member))
            yield
        return parsed

    def _parse_member(self, member: Any) -> Event | ContractError:
        if isinstance(member, ContractError):
            return member
        try:
            return self._parse_event(member)
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
        check_query(query, "room", "since", "until", "limit")
        rooms, limit = self._gate.rooms(query, principal), limit_in(query, DEFAULT_PAGE_EVENTS)
        since, until = offset_in(query, "since"), offset_in(query, "until")
        if since is not None and until is not None:
            raise InvalidMessage("the query has since and until; use one of them")
        if not principal.is_producer:
            self._gate.count(source)
        log, sees = self._event_log, principal.rooms
        page = await (
            read_forward(log, rooms, sees, since, limit)
            if until is None
            else read_back(log, rooms, sees, until, limit)
        )
        bounds = await log.bounds()
        if page.gap and since is not None:
            self._metrics.gaps.labels(gap_cause(since, bounds)).inc()
        end = bounds.oldest if until is not None and not page.gap else bounds.position
        rest = {
            "position": str(page.position),
            "oldest": str(bounds.oldest),
            "gap": page.gap,
            "more": page.more,
            "remaining": abs(end.seq - page.position.seq),
        }
        return list_response("events", page.events, rest)

    async def read_furniture(self, request: web.Request) -> web.Response:
        """Read the last states of the pieces."""
        query = request.query
        principal, source = self._gate.visitor(request)
        principal.check_consume()
        check_query(query, "room", "before", "limit")
        rooms, limit = self._gate.rooms(query, principal), limit_in(query, MAX_PAGE_EVENTS)
        before = offset_in(query, "before")
        if not principal.is_producer:
            self._gate.count(source)
        log = self._event_log
        since = (await log.bounds()).position  # before the pieces, so that no later event is missed
        page = await read_furniture(log, rooms, principal.rooms, before, limit)
        rest = {"since": str(since), "next": None if page.next is None else str(page.next)}
        return list_response("items", page.items, rest)


def idempotency_key(request: HttpRequest) -> str | None:
    """Return the ``Idempotency-Key`` header, without its quotes, or None."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and len(key) >= 2 and key[0] == key[-1] == '"':
        return key[1:-1]
    return key


def limit_in(query: MultiMapping[str], default: int) -> int:
    """Return the limit that a query names, or the default.

    Raises:
        InvalidMessage: the limit is not a number, or too large.
    """
    text = query.get("limit", str(default))
    is_number = text.isascii() and text.isdigit() and len(text) <= 6
    if not is_number or int(text) > MAX_PAGE_EVENTS:
        raise InvalidMessage(f"limit must be a number from 0 to {MAX_PAGE_EVENTS}")
    return int(text)
