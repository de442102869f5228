"""What a client may ask for, whichever transport it asks on. Pure.

A command that arrives in a message names itself by ``type``; one that is a Socket.IO event, by the
event's name. Both come down to the same few commands.
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
    """Put a fresh token in place of the connection's own."""

    token: str


Command = Publish | Ping | Subscribe | Unsubscribe | Authenticate


def parse_message(message: Any) -> Command:
    """Return what a decoded plain message asks for.

    Raises:
        ContractError: it asks for nothing that there is, or wrongly.
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
    raise unknown_type(kind)


def parse_event_arguments(name: Any, arguments: Sequence[Any], max_depth: int) -> Command:
    """Return what a Socket.IO event asks for.

    Args:
        name: the event's name.
        arguments: its arguments as they were decoded, not yet checked.
        max_depth: how deep an argument may be nested.

    Raises:
        ContractError: it asks for nothing that there is, or wrongly.
    """
    for argument in (name, *arguments):
        strictjson.check(argument, max_depth)
    if name == "ping":
        return Ping()
    if not isinstance(name, str) or name not in _TAKES_ONE:
        raise unknown_type(str(name))
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


_TAKES_ONE = frozenset((*EVENT_TYPES, "message", "subscribe", "unsubscribe", "authenticate"))


def _token(message: Any) -> str:
    token = message.get("token") if isinstance(message, dict) else None
    if not isinstance(token, str):
        raise InvalidMessage.of_faults([Fault("token", "must be a string and is required")])
    return token


def parse_ref(message: Any) -> str | int | float | None:
    """Return the reference that a plain message carries for its answer, or None.

    Raises:
        InvalidMessage: it is neither a string nor a number.
    """
    ref = message.get("ref") if isinstance(message, dict) else None
    if ref is None or (isinstance(ref, str | int | float) and not isinstance(ref, bool)):
        return ref
    raise InvalidMessage.of_faults([Fault("ref", "must be a string or a number")])
