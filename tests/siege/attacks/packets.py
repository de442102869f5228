"""Frames and packets without any content."""

from __future__ import annotations

from tests.fuzz.wire import PING, PONG, TEXT, frame
from tests.siege.attack import Script, Target, attack, repeat
from tests.siege.attacks.doors import FINAL, socketio, text, websocket

CONNECTIONS = 4
CONTINUATION = 0
COUNT = 10_000
"""Frames that a script sends at a time."""

MESSAGE_FRAGMENTS = 60_000
"""Fragments of one byte that make a message of almost the longest length."""

_pings = frame(FINAL | PING, b"") * COUNT
_pongs = frame(FINAL | PONG, b"") * COUNT
_fragments = frame(CONTINUATION, b"") * COUNT
_slices = frame(CONTINUATION, b"x") * MESSAGE_FRAGMENTS
_noops = text("6") * COUNT
_engineio_pongs = text("3") * COUNT


@attack(CONNECTIONS)
def empty_pings(target: Target) -> Script:
    """WebSocket pings."""
    yield from websocket(target)
    yield from repeat(_pings)


@attack(CONNECTIONS)
def empty_pongs(target: Target) -> Script:
    """WebSocket pongs."""
    yield from websocket(target)
    yield from repeat(_pongs)


@attack(CONNECTIONS)
def empty_fragments(target: Target) -> Script:
    """A message of empty fragments, without an end."""
    yield from websocket(target)
    yield frame(TEXT, b"")
    yield from repeat(_fragments)


@attack(CONNECTIONS)
def fragments_of_one_byte(target: Target) -> Script:
    """Messages whose fragments have one byte each."""
    yield from websocket(target)
    while True:
        yield frame(TEXT, b"x")
        yield _slices
        yield frame(FINAL | CONTINUATION, b"x")


@attack(CONNECTIONS)
def engineio_noops(target: Target) -> Script:
    """Engine.IO NOOP packets."""
    yield from socketio()
    yield from repeat(_noops)


@attack(CONNECTIONS)
def engineio_pongs(target: Target) -> Script:
    """Engine.IO PONG packets that no ping asked for."""
    yield from socketio()
    yield from repeat(_engineio_pongs)
