"""Messages that cost the server much work for each byte: JSON, and bodies of many packets."""

from __future__ import annotations

import re

from tests.fuzz.wire import request
from tests.siege.attack import Await, Script, Target, attack, repeat
from tests.siege.attacks.doors import plain_websocket, polling, socketio, text

MESSAGE_BYTES = 65_000
"""Almost the longest message that the server takes."""

BODY_BYTES = 1_048_000
"""Almost the longest polling body that the server takes."""


def _filled(item: str, separator: str = ",") -> str:
    """Return as many items as fit into a message, in a list."""
    count = MESSAGE_BYTES // len(item + separator)
    return "[" + separator.join([item] * count) + "]"


def _body(packet: bytes) -> bytes:
    """Return as many packets as fit into a polling body."""
    return b"\x1e".join([packet] * (BODY_BYTES // (len(packet) + 1)))


NUMBERS = _filled("1")
NESTS = _filled("[" * 60 + "]" * 60)
OBJECTS = _filled('{"":0}')
ESCAPES = _filled('"' + "\\u00e9" * 500 + '"')
KINDS = (NUMBERS, NESTS, OBJECTS, ESCAPES)

_numbers, _nests, _objects, _escapes = map(text, KINDS)
_mixed = b"".join(map(text, KINDS))
_event = text(f'42["furniture_created",{NUMBERS}]')
_noops = _body(b"6")
_events = _body(b'42["a"]')
_answer = Await(re.compile(rb"HTTP/1\.1 (\d+)"))


@attack()
def refused_numbers(target: Target) -> Script:
    """Messages that are long lists of numbers, over one plain WebSocket."""
    yield from plain_websocket()
    yield from repeat(_numbers)


@attack()
def refused_nests(target: Target) -> Script:
    """Messages of many deep nests, over one plain WebSocket."""
    yield from plain_websocket()
    yield from repeat(_nests)


@attack()
def refused_objects(target: Target) -> Script:
    """Messages of many small objects, over one plain WebSocket."""
    yield from plain_websocket()
    yield from repeat(_objects)


@attack()
def refused_escapes(target: Target) -> Script:
    """Messages of strings that are all escapes, over one plain WebSocket."""
    yield from plain_websocket()
    yield from repeat(_escapes)


@attack(10)
def refused_by_ten(target: Target) -> Script:
    """All of these messages, over ten plain WebSockets."""
    yield from plain_websocket()
    yield from repeat(_mixed)


@attack()
def refused_socketio(target: Target) -> Script:
    """Socket.IO events whose argument is a long list of numbers."""
    yield from socketio()
    yield from repeat(_event)


@attack()
def refused_and_back(target: Target) -> Script:
    """As many refused messages as the rate allows, then a new connection with a new rate."""
    yield from plain_websocket()
    yield _mixed * 20
    yield Await(re.compile(rb"rate_limited"))


@attack(5)
def polling_bodies_of_noops(target: Target) -> Script:
    """Polling bodies of half a million packets."""
    return post_again_and_again(_noops)


@attack(5)
def polling_bodies_of_events(target: Target) -> Script:
    """Polling bodies of a hundred thousand events that do not exist."""
    return post_again_and_again(_events)


def post_again_and_again(body: bytes) -> Script:
    """Post a body until the server ends the session, then begin another one."""
    path = yield from polling()
    while True:
        yield request(path, "POST", body=body)
        answer = yield _answer
        if answer[1] != b"200":
            return
