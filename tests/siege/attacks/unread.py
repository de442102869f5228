"""Answers that the client asks for and never reads."""

from __future__ import annotations

from tests.fuzz.wire import PING, frame, request
from tests.siege.attack import FOREVER, Script, Target, attack, repeat
from tests.siege.attacks.doors import FINAL, LONG_ROOMS, dumps, plain_websocket, polling, text

_page = request("/api/events?limit=1000")
_file = request("/socket.io/socket.io.js") * 20
_ping = text(dumps({"type": "ping", "ref": "r" * 60_000}))
_subscribe = text(dumps({"type": "subscribe", "rooms": LONG_ROOMS[:99], "ref": 1}))
_subscribe_again = text(dumps({"type": "subscribe", "rooms": LONG_ROOMS[:1], "ref": 2}))
_pings = frame(FINAL | PING, b"p" * 125) * 500


@attack(90, reads=False)
def unread_pages(target: Target) -> Script:
    """Read the log's first thousand events, and never take the answer."""
    yield _page
    yield FOREVER


@attack(90, reads=False)
def unread_polls(target: Target) -> Script:
    """Ask for all events over polling, and never take the answers of the polls."""
    path = yield from polling({"since": target.oldest})
    yield request(path) * 20
    yield FOREVER


@attack(90, reads=False)
def unread_streams(target: Target) -> Script:
    """Ask for all events over SSE, and never read them."""
    yield request(f"/api/stream?since={target.oldest}")
    yield FOREVER


@attack(90, reads=False)
def unread_websockets(target: Target) -> Script:
    """Ask for all events over a plain WebSocket, and never read them."""
    yield from plain_websocket(f"/ws?since={target.oldest}")
    yield FOREVER


@attack(10, reads=False)
def unread_acks(target: Target) -> Script:
    """Send pings whose answers repeat 60 KB of the client's, and never read the answers."""
    yield from plain_websocket()
    yield from repeat(_ping)


@attack(10, reads=False)
def unread_rooms(target: Target) -> Script:
    """Subscribe again and again, so that each ack names a hundred long rooms."""
    yield from plain_websocket()
    yield _subscribe
    yield from repeat(_subscribe_again)


@attack(10, reads=False)
def unread_pongs(target: Target) -> Script:
    """Send WebSocket pings, and never read the pongs."""
    yield from plain_websocket()
    yield from repeat(_pings)


@attack(90, reads=False)
def unread_files(target: Target) -> Script:
    """Ask for the browser client many times, and never read it."""
    yield _file
    yield FOREVER
