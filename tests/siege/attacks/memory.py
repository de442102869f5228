"""Connections that make the server hold much, and then do nothing."""

from __future__ import annotations

from tests.fuzz.wire import BINARY, frame, request
from tests.siege.attack import FOREVER, Pause, Script, Target, attack
from tests.siege.attacks.doors import (
    CONNECTED,
    ENGINE,
    FINAL,
    OPENED,
    SWITCHED,
    dumps,
    polling,
    socketio,
    text,
    upgrade,
    websocket,
)

MESSAGE_BYTES = 65_536
"""The longest message that the server takes."""

BODY_BYTES = 1_048_576
"""The longest polling body that the server takes."""

_headers = "a:b\r\n" * 3200
_names = "".join(f"&{number:x}=" for number in range(3000))
_placeholders = [{"_placeholder": True, "num": number} for number in range(10)]
_event = text("4510-" + dumps(["x", *_placeholders]))
_attachment = frame(FINAL | BINARY, bytes(MESSAGE_BYTES))
_partial_frame = frame(FINAL | BINARY, bytes(MESSAGE_BYTES))[:-1]
_body = b"6" + b"\x1e6" * ((BODY_BYTES - 1) // 2)


@attack(200)
def many_headers(target: Target) -> Script:
    """A handshake with 3,200 headers, on either door."""
    if target.random.random() < 0.5:
        yield upgrade(headers=_headers)
        yield SWITCHED
        yield FOREVER
    yield upgrade(f"{ENGINE}websocket", _headers)
    yield OPENED
    yield text("40")
    yield CONNECTED
    yield FOREVER


@attack(200)
def many_names(target: Target) -> Script:
    """A handshake with 3,000 names in its query."""
    yield upgrade(f"{ENGINE}websocket{_names}")
    yield OPENED
    yield text("40")
    yield CONNECTED
    yield FOREVER


@attack(50)
def missing_attachment(target: Target) -> Script:
    """An event with ten attachments, of which nine are sent."""
    yield from socketio()
    yield _event
    for _ in range(9):
        yield _attachment
    yield FOREVER


@attack()
def longest_rooms(target: Target) -> Script:
    """Subscribe to 98 rooms, each with a name as long as a message."""
    yield from socketio()
    for number in range(98):
        yield text("42" + dumps(["subscribe", f"author:{number}" + "x" * 62_000]))
    yield FOREVER


@attack(400)
def partial_frames(target: Target) -> Script:
    """A frame that lacks its last byte."""
    yield from websocket(target)
    yield _partial_frame
    yield FOREVER


@attack(100)
def partial_bodies(target: Target) -> Script:
    """A polling body that lacks its last byte."""
    path = yield from polling()
    yield request(path, "POST", body=_body)[:-1]
    yield FOREVER


@attack(800)
def partial_heads(target: Target) -> Script:
    """A head that gets another line each second, and no end."""
    yield b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    while True:
        yield Pause(1)
        yield b"a: b\r\n"
