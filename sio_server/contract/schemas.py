"""JSON Schemas of everything that clients and the server say, with an example of each. Pure.

``openapi.py`` describes the HTTP API with them, and ``asyncapi.py`` the connections. If the server
checks something by a table or a model, the schema follows from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from sio_server.contract.errors import ContractError, Fault, InvalidFurniture
from sio_server.contract.events import (
    EVENT_TYPES,
    FURNITURE_FIELDS,
    MAX_ID_CHARACTERS,
    MAX_OFFSET_CHARACTERS,
    Event,
    Furniture,
    Offset,
    Receipt,
    TextRule,
)
from sio_server.contract.revocations import Revocation
from sio_server.contract.rooms import CATALOG, FIELDS_OF_ROOMS

Schema: TypeAlias = dict[str, Any]

MAX_BATCH_EVENTS: Final = 1000
MAX_PAGE_EVENTS: Final = 1000
DEFAULT_PAGE_EVENTS: Final = 100

TIMESTAMP = "2024-01-15T14:30:00.000Z"
OFFSET = Offset("0190c2f4a1b2", 42)
FURNITURE = {
    "furniture_id": "673a2f1b8e4d2a1c3b5e6f7a",
    "nombre": "Mesa de Roble",
    "descripcion": "Mesa elegante de comedor",
    "altura": 75,
    "ancho": 120,
    "material": "roble",
    "autor_username": "Juan",
}
EVENT = Event(EVENT_TYPES[0], FURNITURE, "0190c2f4-a1b2-7c3d-8e4f-5a6b7c8d9e0f")
READY = {
    "type": "ready",
    "position": str(OFFSET),
    "rooms": [CATALOG],
    "recovered": False,
    "gap": False,
    "replayed": 3,
}
ERROR = InvalidFurniture.of_faults(
    [Fault("furniture.altura", FURNITURE_FIELDS["altura"].message)]
).as_dict()


def ref(name: str) -> Schema:
    """Return a reference to a schema of ``schemas``."""
    return {"$ref": f"#/components/schemas/{name}"}


def error_codes() -> dict[str, int]:
    """Return each code of an error, with its usual HTTP status."""
    statuses: dict[str, int] = {}
    for error in _errors(ContractError):  # a parent comes before its children
        statuses.setdefault(error.code, error.status)
    return dict(sorted(statuses.items(), key=lambda pair: pair[1]))


def _errors(error: type[ContractError]) -> Iterator[type[ContractError]]:
    yield error
    for each in error.__subclasses__():
        yield from _errors(each)


def schemas() -> dict[str, Schema]:
    """Return all schemas by name."""
    delivered = json.loads(EVENT.body(TIMESTAMP))
    receipt = Receipt(EVENT.id, OFFSET, TIMESTAMP).as_dict()
    error = _object(
        "A failure, the same on every transport.",
        {
            "code": {"enum": list(error_codes())},
            "message": _text("One sentence for the person who reads it."),
            "details": {"type": "array", "items": ref("ErrorDetail")},
        },
        ERROR,
        optional=("details",),
    )
    return {
        "Furniture": _furniture(),
        "EventType": {"type": "string", "enum": list(EVENT_TYPES)},
        "EventId": {
            "description": "An idempotency key that the producer chose.",
            "type": "string",
            "pattern": f"^[ -~]{{1,{MAX_ID_CHARACTERS}}}$",
            "examples": [EVENT.id],
        },
        "Offset": {
            "description": "A position in the log. It is opaque.",
            "type": "string",
            "pattern": f"^[A-Za-z0-9._-]{{1,{MAX_OFFSET_CHARACTERS}}}$",
            "examples": [str(OFFSET)],
        },
        "Timestamp": {
            "description": "UTC, in milliseconds.",
            "type": "string",
            "format": "date-time",
            "examples": [TIMESTAMP],
        },
        "Room": _room(),
        "Rooms": {"type": "array", "items": ref("Room")},
        "PublishedEvent": _object(
            "What a producer sends. Other members are ignored.",
            {"type": ref("EventType"), "furniture": ref("Furniture"), "id": _nullable("EventId")},
            {"type": EVENT.type, "furniture": FURNITURE, "id": EVENT.id},
            optional=("id",),
        ),
        "Event": _object("What consumers receive.", _event_members(), delivered),
        "EventWithOffset": _object(
            "An event of the history and of the plain WebSocket.",
            {**_event_members(), "offset": ref("Offset")},
            {**delivered, "offset": str(OFFSET)},
        ),
        "Receipt": _object("The event is in the log permanently.", _receipt_members(), receipt),
        "Ready": _object(
            "The consumer has caught up, and is live.",
            {
                "type": {"const": "ready"},
                "position": ref("Offset"),
                "rooms": ref("Rooms"),
                "recovered": _boolean("The consumer continues an earlier session."),
                "gap": _boolean("Events may have been missed: load the list again."),
                "replayed": {"type": "integer", "minimum": 0},
            },
            READY,
        ),
        "Pong": _object(
            "The answer to a ping.",
            {"type": {"const": "pong"}, "timestamp": ref("Timestamp")},
            {"type": "pong", "timestamp": TIMESTAMP},
        ),
        "ErrorDetail": _object(
            "One bad field.",
            {"field": _text("Its dotted path."), "message": _text("What it must be.")},
            ERROR["details"][0],
        ),
        "Error": error,
        "Problem": _object(
            "A failure as an HTTP response (RFC 9457).",
            {
                "type": {"const": "about:blank"},
                "title": _text("The name of the status."),
                "status": {"type": "integer"},
                **error["properties"],
            },
            {"type": "about:blank", "title": "Unprocessable Content", "status": 422, **ERROR},
            optional=("details",),
        ),
        "Batch": _object(
            "Events to publish. A bad one does not affect the others.",
            {
                "events": {
                    "type": "array",
                    "items": ref("PublishedEvent"),
                    "maxItems": MAX_BATCH_EVENTS,
                }
            },
            {"events": [{"type": EVENT.type, "furniture": FURNITURE}]},
        ),
        "BatchResults": _object(
            "A result for each event, in order.",
            {"results": {"type": "array", "items": {"oneOf": [ref("Success"), ref("Failure")]}}},
            {"results": [{"ok": True, **receipt}, {"ok": False, "error": ERROR}]},
        ),
        "Success": _object(
            "The event is in the log.",
            {"ok": {"const": True}, **_receipt_members()},
            {"ok": True, **receipt},
        ),
        "Failure": _object(
            "Nothing was appended.",
            {"ok": {"const": False}, "error": ref("Error")},
            {"ok": False, "error": ERROR},
        ),
        "HistoryPage": _object(
            "A part of the log.",
            {
                "events": {"type": "array", "items": ref("EventWithOffset")},
                "position": {**ref("Offset"), "description": "The next `since`, or `until`."},
                "oldest": {
                    **ref("Offset"),
                    "description": "The smallest `since` without a gap.",
                },
                "gap": _boolean("Events before this page may have been missed."),
                "more": _boolean("The log has further events for the next page."),
                "remaining": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "How many events of all rooms are left for the next pages.",
                },
            },
            {
                "events": [{**delivered, "offset": str(OFFSET)}],
                "position": str(OFFSET),
                "oldest": str(Offset(OFFSET.epoch, 0)),
                "gap": False,
                "more": False,
                "remaining": 0,
            },
        ),
        "FurniturePage": _object(
            "Pieces as they are now, the latest changed one first.",
            {
                "items": {"type": "array", "items": ref("Furniture")},
                "since": {
                    **ref("Offset"),
                    "description": "A position that the items are not older than: follow it.",
                },
                "next": {
                    **_nullable("Offset"),
                    "description": "The next `before`; null after the last piece.",
                },
            },
            {"items": [FURNITURE], "since": str(OFFSET), "next": None},
        ),
        "Revocation": _object(
            "The end of a user's tokens.",
            {
                "sub": {"type": "string", "minLength": 1},
                "iss": {"type": ["string", "null"]},
                "before": _nullable("Timestamp"),
            },
            {"sub": "ana"},
            optional=("iss", "before"),
            additionalProperties=False,
        ),
        "Revoked": _object(
            "Tokens of this user that were issued until this time are refused.",
            {"sub": _text("The user."), "before": ref("Timestamp")},
            Revocation("ana", None, 1_705_329_000_000).as_dict(),
        ),
        "Visitor": _object(
            "What a visitor may do.",
            {
                "identity": {
                    "type": ["string", "null"],
                    "description": "The name of its key, or the `sub` of its token.",
                },
                "publish": {"type": "boolean"},
                "subscribe": {"type": "boolean"},
                "rooms": {**ref("Rooms"), "description": "Its rooms if it asks for none."},
                "stats": _boolean("It may read `/api/stats`."),
                "timestamp": ref("Timestamp"),
            },
            {
                "identity": None,
                "publish": False,
                "subscribe": True,
                "rooms": [CATALOG],
                "stats": False,
                "timestamp": TIMESTAMP,
            },
        ),
        "Stats": _stats(),
        "Status": _object(
            "The state of the server.",
            {"status": {"enum": ["ok", "draining", "log_unavailable", "not_delivering"]}},
            {"status": "ok"},
        ),
    }


def _object(
    description: str,
    members: Mapping[str, Schema],
    example: Mapping[str, Any],
    optional: tuple[str, ...] = (),
    **more: Any,
) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": dict(members),
        "required": [name for name in members if name not in optional],
        **more,
        "examples": [dict(example)],
    }


def _event_members() -> dict[str, Schema]:
    return {
        "type": ref("EventType"),
        "furniture": ref("Furniture"),
        "id": ref("EventId"),
        "timestamp": ref("Timestamp"),
    }


def _receipt_members() -> dict[str, Schema]:
    return {
        "id": ref("EventId"),
        "offset": ref("Offset"),
        "timestamp": ref("Timestamp"),
        "duplicate": _boolean("The log had this event already."),
    }


def _furniture() -> Schema:
    made = Furniture.model_json_schema()
    for field in made["properties"].values():
        field.pop("title", None)
    del made["title"]
    return {**made, "examples": [FURNITURE]}


def _stats() -> Schema:
    count = {"type": "integer", "minimum": 0}
    room = f"material:{FURNITURE['material']}"
    log = {"kind": "sqlite", "position": str(OFFSET), "events": 42, "oldest_timestamp": TIMESTAMP}
    return _object(
        "The figures of this server. More may be added.",
        {
            "timestamp": ref("Timestamp"),
            "uptime_seconds": count,
            "log": {"type": "object", "description": "Its kind, its ends and its retention."},
            "consumers": {
                "type": "object",
                "description": "By transport; `parked` are those of slow consumers.",
                "additionalProperties": count,
            },
            "rooms": {"type": "object", "description": "How many there are, and the largest."},
            "deliveries": {
                "type": "object",
                "description": "Counts for the last spans of `seconds`, the latest one last.",
            },
            "publish_ms": {
                "type": "object",
                "description": "How long the log took to store events, if it has stored any.",
            },
        },
        {
            "timestamp": TIMESTAMP,
            "uptime_seconds": 3600,
            "log": log,
            "consumers": {"socketio": 12, "parked": 0},
            "rooms": {"count": 1, "largest": [{"room": room, "consumers": 12}]},
            "deliveries": {"seconds": 5, "samples": 60, "counts": [24, 36]},
            "publish_ms": {"count": 42, "p50": 1.2, "p99": 4.5},
        },
        optional=("publish_ms",),
    )


def _room() -> Schema:
    kinds = [
        f"{kind}:[\\s\\S]{{{rule.min_length},{rule.max_length}}}"
        for kind, field in FIELDS_OF_ROOMS.items()
        if isinstance(rule := FURNITURE_FIELDS[field], TextRule)
    ]
    types = f"type:({'|'.join(EVENT_TYPES)})"
    return {
        "description": "The name of a room.",
        "type": "string",
        "pattern": f"^({'|'.join([CATALOG, *kinds, types])})$",
        "examples": [f"material:{FURNITURE['material']}"],
    }


def _nullable(name: str) -> Schema:
    return {"oneOf": [ref(name), {"type": "null"}]}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _boolean(description: str) -> Schema:
    return {"type": "boolean", "description": description}
