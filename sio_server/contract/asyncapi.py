"""The connections as a document of AsyncAPI 3.0: Socket.IO, plain WebSocket and SSE. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sio_server.contract.events import EVENT_TYPES
from sio_server.contract.schemas import (
    ERROR,
    EVENT,
    FURNITURE,
    OFFSET,
    TIMESTAMP,
    Schema,
    ref,
    schemas,
)

_ROOMS = [f"material:{FURNITURE['material']}"]
_REF = {"description": "Any value. It comes back with the answer.", "type": ["string", "number"]}
_RECEIPT = {"id": EVENT.id, "offset": str(OFFSET), "timestamp": TIMESTAMP, "duplicate": False}


def asyncapi(version: str) -> dict[str, Any]:
    """Return the document.

    Args:
        version: the version of the server.
    """
    socketio, websocket, stream = _socketio(), _websocket(), _stream()
    messages = {**socketio["server"], **socketio["client"], **websocket["server"]}
    messages |= {**websocket["client"], **stream["server"]}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Furniture events",
            "version": version,
            "description": "Changes of pieces of furniture, as they happen. The requests of the "
            "HTTP API are described by `openapi.json`.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "socketio": {
                "host": "localhost:8765",
                "pathname": "/socket.io/",
                "protocol": "socketio",
                "description": "Socket.IO 5 over Engine.IO 4, in the namespace `/`.",
            },
            "websocket": {
                "host": "localhost:8765",
                "pathname": "/ws",
                "protocol": "ws",
                "description": "One JSON object in each message.",
            },
            "stream": {
                "host": "localhost:8765",
                "pathname": "/api/stream",
                "protocol": "http",
                "description": "Server-Sent Events.",
            },
        },
        "channels": {
            "socketio": _channel("socketio", "Event names and their arguments.", socketio),
            "websocket": _channel("websocket", "JSON objects.", websocket),
            "stream": _channel("stream", "Events without a name, and `ready`.", stream),
        },
        "operations": {
            f"{side}{name.title()}": _operation(side, name, sent[side])
            for name, sent in (("socketio", socketio), ("websocket", websocket), ("stream", stream))
            for side in sent
        },
        "components": {"messages": messages, "schemas": _own_schemas()},
    }


def _own_schemas() -> dict[str, Schema]:
    return {
        **schemas(),
        "Ref": _REF,
        "RoomOrRooms": {"oneOf": [ref("Room"), ref("Rooms")]},
        "Token": {
            "type": "object",
            "properties": {"token": {"type": "string", "description": "A fresh token."}},
            "required": ["token"],
            "examples": [{"token": "eyJ…"}],
        },
        "PublishArgument": {
            "description": "The event; the event's name may stand for its `type`.",
            "type": "object",
            "properties": {
                "type": ref("EventType"),
                "furniture": ref("Furniture"),
                "id": {"oneOf": [ref("EventId"), {"type": "null"}]},
            },
            "required": ["furniture"],
            "examples": [{"furniture": FURNITURE}],
        },
    }


def _socketio() -> dict[str, dict[str, Schema]]:
    event = schemas()["Event"]["examples"][0]
    ready, pong = (schemas()[name]["examples"][0] for name in ("Ready", "Pong"))
    server = {
        **{
            name: _arguments(
                name,
                "The event, then its offset. With `recovery: false` the offset is missing.",
                [ref("Event"), ref("Offset")],
                [{**event, "type": name}, str(OFFSET)],
            )
            for name in EVENT_TYPES
        },
        "ready": _arguments("ready", "The consumer is live.", [ref("Ready")], [ready]),
        "pong": _arguments("pong", "The answer to `ping`.", [ref("Pong")], [pong]),
        "error": _arguments(
            "error",
            "The failure of an event that was emitted without an ack.",
            [{"allOf": [ref("Error")], "properties": {"event": {"type": "string"}}}],
            [{**ERROR, "event": EVENT_TYPES[0]}],
        ),
    }
    publish = "Publish an event. The ack has `ok` and the receipt, or the error."
    client = {
        **{
            name: _arguments(name, publish, [ref("PublishArgument")], [{"furniture": FURNITURE}])
            for name in EVENT_TYPES
        },
        "ping": _arguments("ping", "Ask for a pong.", [], []),
        "subscribe": _arguments("subscribe", "Enter rooms.", [ref("RoomOrRooms")], [_ROOMS]),
        "unsubscribe": _arguments("unsubscribe", "Leave rooms.", [ref("RoomOrRooms")], [_ROOMS]),
        "authenticate": _arguments(
            "authenticate", "Replace the token.", [ref("Token")], [{"token": "eyJ…"}]
        ),
        "message": _arguments(
            "message",
            "A message of the plain WebSocket, as an object or as its JSON text.",
            [{"type": ["object", "string"]}],
            [{"type": "ping"}],
        ),
    }
    return _named("socketio", server, client)


def _websocket() -> dict[str, dict[str, Schema]]:
    names = ("EventWithOffset", "Ready", "PublishedEvent")
    event, ready, published = (schemas()[name]["examples"][0] for name in names)
    with_ref = {"ref": ref("Ref")}
    server = {
        "event": _message("event", "An event, with its offset.", ref("EventWithOffset"), event),
        "ready": _message("ready", "If the query had `since`.", ref("Ready"), ready),
        "pong": _typed("pong", "The answer to `ping`.", {"timestamp": TIMESTAMP, "ref": 1}),
        "ack": _typed(
            "ack", "Success, if the message had a `ref`.", {"ref": 1, "ok": True} | _RECEIPT
        ),
        "error": _message(
            "error",
            "A failure. The connection stays open.",
            {
                "allOf": [ref("Error")],
                "properties": {"type": {"const": "error"}, **with_ref},
                "required": ["type"],
            },
            {"type": "error", **ERROR},
        ),
    }
    client = {
        "publish": _message("publish", "Publish an event.", ref("PublishedEvent"), published),
        "ping": _typed("ping", "Ask for a pong.", {}),
        "subscribe": _typed("subscribe", "Enter rooms.", {"rooms": _ROOMS}),
        "unsubscribe": _typed("unsubscribe", "Leave rooms.", {"rooms": _ROOMS}),
        "authenticate": _typed("authenticate", "Replace the token.", {"token": "eyJ…"}),
    }
    return _named("websocket", server, client)


def _stream() -> dict[str, dict[str, Schema]]:
    event, ready = (schemas()[name]["examples"][0] for name in ("Event", "Ready"))
    server = {
        "event": _message("event", "An event. Its `id` is the offset.", ref("Event"), event),
        "ready": _message("ready", "The consumer is live.", ref("Ready"), ready),
        "error": _message("error", "The end of the stream.", ref("Error"), ERROR),
    }
    return {"server": _named("stream", server, {})["server"]}


_MEMBERS = {
    "timestamp": ref("Timestamp"),
    "ref": ref("Ref"),
    "rooms": ref("RoomOrRooms"),
    "token": {"type": "string"},
    "ok": {"const": True},
    "id": ref("EventId"),
    "offset": ref("Offset"),
    "duplicate": {"type": "boolean"},
}
"""The members of the plain WebSocket's small messages."""


def _typed(kind: str, summary: str, example: dict[str, Any]) -> Schema:
    """Describe a message that has these members beside its type."""
    names = [*example, *({"ref"} - set(example))]
    schema = {
        "type": "object",
        "properties": {"type": {"const": kind}, **{name: _MEMBERS[name] for name in names}},
        "required": ["type", *(name for name in example if name in ("rooms", "token", "ok"))],
    }
    return _message(kind, summary, schema, {"type": kind, **example})


def _arguments(name: str, summary: str, schemas_: list[Schema], example: list[Any]) -> Schema:
    """Describe the arguments of a Socket.IO event."""
    payload: Schema = {"type": "array", "minItems": len(schemas_), "maxItems": len(schemas_)}
    if schemas_:
        payload["items"] = schemas_
    return _message(name, summary, payload, example)


def _message(name: str, summary: str, payload: Schema, example: Any) -> Schema:
    return {
        "name": name,
        "summary": summary,
        "payload": payload,
        "examples": [{"payload": example}],
    }


def _named(
    channel: str, server: dict[str, Schema], client: dict[str, Schema]
) -> dict[str, dict[str, Schema]]:
    """Return the messages with names that are unique in the document."""
    return {
        side: {f"{channel}-{side}-{name}": message for name, message in messages.items()}
        for side, messages in (("server", server), ("client", client))
    }


def _channel(name: str, description: str, sent: dict[str, dict[str, Schema]]) -> Schema:
    names = [it for messages in sent.values() for it in messages]
    return {
        "address": None,
        "description": description,
        "servers": [{"$ref": f"#/servers/{name}"}],
        "messages": {it: {"$ref": f"#/components/messages/{it}"} for it in names},
    }


def _operation(side: str, channel: str, names: Iterable[str]) -> Schema:
    return {
        "action": "send" if side == "server" else "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{it}"} for it in names],
    }
