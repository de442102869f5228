"""Consumers that make the server read the whole log, again and again."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from tests.fuzz.wire import request
from tests.siege.attack import RECONNECT, Await, Script, Target, attack
from tests.siege.attacks.doors import LONG_ROOMS, READY, SHORT_ROOMS, plain_websocket, socketio


def _query(target: Target) -> str:
    return urlencode([("since", target.oldest), *(("room", room) for room in SHORT_ROOMS)])


@attack(16)
def recoveries(target: Target) -> Script:
    """Recover a session with 98 long rooms from the start of the log."""
    connected = yield from socketio({"rooms": LONG_ROOMS[:98], "since": target.oldest})
    auth = {"pid": connected[1].decode(), "offset": target.oldest}
    while True:
        yield READY
        yield RECONNECT
        yield from socketio(auth)


@attack(16)
def streams_from_the_start(target: Target) -> Script:
    """Ask for all events of sixty rooms over SSE."""
    yield request(f"/api/stream?{_query(target)}")
    yield READY


@attack(16)
def websockets_from_the_start(target: Target) -> Script:
    """Ask for all events of sixty rooms over a plain WebSocket."""
    yield from plain_websocket(f"/ws?{_query(target)}")
    yield READY


@attack(16)
def pages_of_nothing(target: Target) -> Script:
    """Read the log for sixty rooms, to which no event belongs."""
    yield request(f"/api/events?{_query(target)}&limit=1000")
    yield Await(re.compile(rb'"position"'))
