"""The commands that a client may send, the same on every transport. Pure.

A message of the plain WebSocket names its command in ``type``. A Socket.IO event names it in the
event's name. Both become one of the same five commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sio_server.contract import strictjson
from sio_server.contract.errors import Fault, InvalidMessage
from sio_server.contract.events import EVENT_TYPES, Event, message_type, parse_event, unknown_type
from sio_server.contract.rooms import parse_rooms


@dataclass(frozen=True, slots=True)
class Publish:
    """Append an event."""

    event: Event


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with a pong."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Enter rooms."""

    rooms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Leave rooms."""

    rooms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Replace the connection's token by a fresh one."""

    token: str


Command = Publish | Ping | Subscribe | Unsubscribe | Authenticate


def parse_message(message: Any) -> Command:
    """Return the command of a decoded message of the plain WebSocket.

    Raises:
        ContractError: there is no such command, or its arguments are bad.
    """
    kind = message_type(message)
    if kind in EVENT_TYPES:
        return Publish(parse_event(message))
    if kind == "ping":
        return Ping()
    if kind in ("subscribe", "unsubscribe"):
        if "rooms" not in message:
            raise InvalidMessage.of_faults([Fault("rooms", "is required")])
        rooms = parse_rooms(message["rooms"])
        return Subscribe(rooms) if kind == "subscribe" else Unsubscribe(rooms)
    if kind == "authenticate":
        return Authenticate(_token(message))
    raise unknown_type(kind, MESSAGE_TYPES)


def parse_event_arguments(name: Any, arguments: Sequence[Any], max_depth: int) -> Command:
    """Return the command of a Socket.IO event.

    Args:
        name: the event's name.
        arguments: its decoded arguments, not yet checked.
        max_depth: the levels of nesting that an argument may have.

    Raises:
        ContractError: there is no such command, or its arguments are bad.
    """
    for argument in (name, *arguments):
        strictjson.check(argument, max_depth)
    if name == "ping":
        return Ping()
    if not isinstance(name, str) or name not in EVENT_NAMES:
        raise unknown_type(str(name), EVENT_NAMES)
    if len(arguments) != 1:
        raise InvalidMessage(f"{name} takes one argument")
    (argument,) = arguments
    if name == "message":
        if isinstance(argument, str):
            argument = strictjson.loads(argument, max_depth)
        return parse_message(argument)
    if name in ("subscribe", "unsubscribe"):
        rooms = parse_rooms(argument)
        return Subscribe(rooms) if name == "subscribe" else Unsubscribe(rooms)
    if name == "authenticate":
        return Authenticate(_token(argument))
    if not isinstance(argument, dict):
        raise InvalidMessage("must be a JSON object")
    if argument.setdefault("type", name) != name:
        raise InvalidMessage.of_faults([Fault("type", f"must be {name} like the event, or absent")])
    return Publish(parse_event(argument))


MESSAGE_TYPES = (*EVENT_TYPES, "ping", "subscribe", "unsubscribe", "authenticate")
EVENT_NAMES = (*MESSAGE_TYPES, "message")


def _token(message: Any) -> str:
    token = message.get("token") if isinstance(message, dict) else None
    if not isinstance(token, str):
        raise InvalidMessage.of_faults([Fault("token", "must be a string and is required")])
    return token


def parse_ref(message: Any) -> str | int | float | None:
    """Return the reference that a message carries for its answer, or None.

    Raises:
        InvalidMessage: the reference is neither a string nor a number.
    """
    ref = message.get("ref") if isinstance(message, dict) else None
    if ref is None or (isinstance(ref, str | int | float) and not isinstance(ref, bool)):
        return ref
    raise InvalidMessage.of_faults([Fault("ref", "must be a string or a number")])
