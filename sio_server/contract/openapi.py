"""The HTTP API as a document of OpenAPI 3.1. Pure."""

from __future__ import annotations

from typing import Any

from sio_server.contract.events import EVENT_TYPES
from sio_server.contract.schemas import (
    DEFAULT_PAGE_EVENTS,
    EVENT,
    FURNITURE,
    MAX_BATCH_EVENTS,
    MAX_PAGE_EVENTS,
    OFFSET,
    READY,
    TIMESTAMP,
    Schema,
    error_codes,
    ref,
    schemas,
)
from sio_server.contract.strictjson import dumps

_READS = (400, 401, 403, 429, 503)
_WRITES = (*_READS, 413, 415)
_STREAM = (
    f"retry: 2000\n\nid: {OFFSET}\ndata: {EVENT.body(TIMESTAMP)}\n\n"
    f"event: ready\nid: {OFFSET}\ndata: {dumps(READY)}\n\n"
)


def openapi(version: str) -> dict[str, Any]:
    """Return the document.

    Args:
        version: the version of the server.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Furniture events",
            "version": version,
            "description": "Publish changes of pieces of furniture, and read them. "
            "Connections are described by `asyncapi.json`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "..", "description": "This server, also below a path."}],
        "security": [{}, {"bearer": []}],
        "tags": [
            {"name": "publish", "description": "For producers."},
            {"name": "consume", "description": "For consumers."},
            {"name": "operate", "description": "For operators."},
        ],
        "paths": {
            "/api/events": {"post": _publish(), "get": _read()},
            "/api/events/batch": {"post": _publish_batch()},
            "/api/furniture": {"get": _read_furniture()},
            "/api/stream": {"get": _stream()},
            "/api/revocations": {"post": _revoke()},
            "/api/me": {
                "get": _operation(
                    "consume",
                    "readVisitor",
                    "What this visitor may do, and the server's time.",
                    {"200": _json("Visitor", "The rights.")},
                    (400, 401, 429, 503),
                )
            },
            "/api/stats": {
                "get": _operation(
                    "operate",
                    "readStats",
                    "Figures, for a producer's key and for the server's own machine.",
                    {"200": _json("Stats", "The figures.")},
                    _READS,
                )
            },
            "/api/openapi.json": {"get": _document("openApiDocument", "This document.")},
            "/api/asyncapi.json": {"get": _document("asyncApiDocument", "All connections.")},
            "/healthz": {"get": _state("healthz", "Whether only a restart helps.")},
            "/readyz": {"get": _state("readyz", "Whether the server can publish and deliver.")},
            "/metrics": {"get": _metrics()},
        },
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The key of a producer, or a token (JWT).",
                },
                "token": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "A token, because EventSource sends no headers.",
                },
            },
        },
    }


def _publish() -> Schema:
    return _operation(
        "publish",
        "publishEvent",
        "Publish one event.",
        {
            "201": _json("Receipt", "The event was appended."),
            "200": _json("Receipt", "The log had this event already."),
        },
        (*_WRITES, 409, 422),
        parameters=[
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The event's `id`, plain or in quotes.",
                "schema": {"type": "string", "maxLength": 130},
            }
        ],
        body="PublishedEvent",
    )


def _publish_batch() -> Schema:
    return _operation(
        "publish",
        "publishEvents",
        f"Publish up to {MAX_BATCH_EVENTS} events.",
        {"200": _json("BatchResults", "The result of each event.")},
        _WRITES,
        body="Batch",
    )


def _read() -> Schema:
    until = "Instead of `since`: the page has the last events up to this offset, this one included."
    return _operation(
        "consume",
        "readEvents",
        "Read the log.",
        {"200": _json("HistoryPage", "A page of the log.")},
        _READS,
        parameters=[
            _since("Without it, from the oldest event that is kept."),
            _offset("until", until),
            _rooms(),
            _limit(
                "The most events of the page. With 0, only the end of the log is told.",
                DEFAULT_PAGE_EVENTS,
            ),
        ],
    )


def _read_furniture() -> Schema:
    before = "The `next` of the page before. Without it, from the latest changed piece."
    return _operation(
        "consume",
        "readFurniture",
        "Read the pieces as they are now.",
        {"200": _json("FurniturePage", "Some pieces.")},
        _READS,
        parameters=[
            _offset("before", before),
            _rooms(),
            _limit("The most pieces of the page.", MAX_PAGE_EVENTS),
        ],
    )


def _stream() -> Schema:
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The last offset that the client has. It wins over `since`.",
        "schema": ref("Offset"),
    }
    operation = _operation(
        "consume",
        "streamEvents",
        "Follow the log as Server-Sent Events.",
        {
            "200": {
                "description": "First `retry`, then the events after `since`, `ready`, and live "
                "events. The `data` of an event is an `Event`, and its `id` is the offset. With "
                "`Accept: text/event-stream`, a temporary refusal is an event `error`.",
                "content": {
                    "text/event-stream": {"schema": {"type": "string"}, "example": _STREAM}
                },
            }
        },
        _READS,
        parameters=[_since("Without it, only live events."), _rooms(), last],
    )
    return {**operation, "security": [{}, {"bearer": []}, {"token": []}]}


def _revoke() -> Schema:
    operation = _operation(
        "publish",
        "revokeTokens",
        "End what a user's tokens have opened.",
        {"201": _json("Revoked", "The tokens are refused from now on.")},
        _WRITES,
        body="Revocation",
    )
    return {**operation, "security": [{"bearer": []}]}


def _document(identifier: str, summary: str) -> Schema:
    answer = {"description": "The document.", "content": {"application/json": {"schema": {}}}}
    return _operation("operate", identifier, summary, {"200": answer}, ())


def _state(identifier: str, summary: str) -> Schema:
    return _operation(
        "operate",
        identifier,
        summary,
        {"200": _json("Status", "Yes."), "503": _json("Status", "No.")},
        (),
    )


def _metrics() -> Schema:
    answer = {
        "description": "The text format of Prometheus.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    return _operation("operate", "metrics", "Counters.", {"200": answer}, ())


def _operation(
    tag: str,
    identifier: str,
    summary: str,
    answers: dict[str, Schema],
    failures: tuple[int, ...],
    *,
    parameters: list[Schema] | None = None,
    body: str | None = None,
) -> Schema:
    made: Schema = {"tags": [tag], "operationId": identifier, "summary": summary}
    if parameters:
        made["parameters"] = parameters
    if body is not None:
        made["requestBody"] = {"required": True, **_content(body, "application/json")}
    made["responses"] = {**answers, **{str(it): _failure(it) for it in sorted(failures)}}
    return made


def _json(name: str, description: str) -> Schema:
    return {"description": description, **_content(name, "application/json")}


def _content(name: str, media_type: str) -> Schema:
    (example,) = schemas()[name]["examples"]
    return {"content": {media_type: {"schema": ref(name), "example": example}}}


def _failure(status: int) -> Schema:
    codes = [f"`{code}`" for code, its in error_codes().items() if its == status]
    return {
        "description": ", ".join(codes),
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }


def _since(otherwise: str) -> Schema:
    return _offset("since", f"The offset after which the events begin. {otherwise}")


def _offset(name: str, description: str) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": ref("Offset")}


def _limit(description: str, default: int) -> Schema:
    schema = {"type": "integer", "minimum": 0, "maximum": MAX_PAGE_EVENTS, "default": default}
    return {"name": "limit", "in": "query", "description": description, "schema": schema}


def _rooms() -> Schema:
    return {
        "name": "room",
        "in": "query",
        "description": "A room; repeat it for more. Without it, `catalog`.",
        "schema": ref("Rooms"),
        "style": "form",
        "explode": True,
        "example": [f"material:{FURNITURE['material']}", f"type:{EVENT_TYPES[0]}"],
    }
