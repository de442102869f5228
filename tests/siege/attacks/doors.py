"""The ways in, as bytes and as steps that the scripts share: frames, upgrades, handshakes."""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from tests.fuzz.wire import TEXT, UPGRADE, frame, request
from tests.siege.attack import Await, Step, Target

FINAL = 0x80
ENGINE = "/socket.io/?EIO=4&transport="

SWITCHED = Await(re.compile(rb"HTTP/1.1 101 .*?\r\n\r\n", re.DOTALL))
OPENED = Await(re.compile(rb'"sid":"([^"]+)"'))
CONNECTED = Await(re.compile(rb'40\{"sid":"[^"]+","pid":"([^"]+)"'))
READY = Await(re.compile(rb'"type":"ready"'))

LONG_ROOMS = [f"author:{number:03}" + "é" * 252 for number in range(100)]
"""As many rooms with names as long as a connection may have."""

SHORT_ROOMS = [f"author:{number:03}" + "a" * 100 for number in range(60)]
"""Rooms that together fit into the first line of a request."""

Steps = Generator[Step, re.Match[bytes], re.Match[bytes]]
"""Steps with a match as their result."""


def text(message: str | bytes) -> bytes:
    """Return a text frame."""
    return frame(FINAL | TEXT, message if isinstance(message, bytes) else message.encode())


def dumps(value: object) -> str:
    """Return compact JSON, with characters outside ASCII as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def upgrade(target: str = "/ws", headers: str = "") -> bytes:
    """Return the request that opens a WebSocket."""
    return request(target, headers=UPGRADE + headers)


def plain_websocket(target: str = "/ws") -> Steps:
    """Open a plain WebSocket."""
    yield upgrade(target)
    return (yield SWITCHED)


def socketio(auth: object | None = None) -> Steps:
    """Open a Socket.IO connection over WebSocket; the result's first group is its ``pid``."""
    yield upgrade(f"{ENGINE}websocket")
    yield OPENED
    yield text("40" if auth is None else "40" + dumps(auth))
    return (yield CONNECTED)


def websocket(target: Target) -> Steps:
    """Open a WebSocket, on one of the two doors."""
    return plain_websocket() if target.random.random() < 0.5 else socketio()


def polling(auth: object | None = None) -> Generator[Step, re.Match[bytes], str]:
    """Open a Socket.IO connection over polling; the result is the target of its requests."""
    yield request(f"{ENGINE}polling")
    opened = yield OPENED
    target = f"{ENGINE}polling&sid={opened[1].decode()}"
    yield request(target, "POST", body=("40" if auth is None else "40" + dumps(auth)).encode())
    yield Await(re.compile(rb"ok"))
    return target
