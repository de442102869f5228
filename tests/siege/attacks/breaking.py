"""Connections that end in the middle, and credentials that are guessed."""

from __future__ import annotations

from functools import cache

from tests.fuzz.wire import request
from tests.siege.attack import HALF_CLOSE, Pause, Script, Target, attack
from tests.siege.attacks.doors import (
    ENGINE,
    plain_websocket,
    polling,
    text,
    websocket,
)
from tests.siege.attacks.pipelining import BODY, CHUNKED, JSON
from tests.support.tokens import claims, raw_token

PAUSE_SECONDS = 0.02
"""The time in which the server begins to wait for the rest."""

_partial_publishes = (
    request("/api/events", "POST", JSON, BODY)[:-5],
    request("/api/events/batch", "POST", JSON, BODY)[:-5],
    request("/api/events", "POST", CHUNKED) + b"1000\r\n{",
    request(f"{ENGINE}polling", "POST", body=BODY)[:-5],
)
_partial_message = text("x" * 1000)[:-5]
_page = request("/api/events?limit=1000")


@cache
def forged_token() -> str:
    """Return a token of four kilobytes that the server's secret has not signed."""
    return raw_token({"alg": "HS256"}, claims(text="x" * 3_000), b"another secret" * 3)


@attack(8)
def half_closed_bodies(target: Target) -> Script:
    """Close the sending side while the server waits for the rest of a polling body."""
    path = yield from polling()
    yield request(path, "POST", body=b"6" * 100)[:-5]
    yield Pause(PAUSE_SECONDS)
    yield HALF_CLOSE
    yield Pause(PAUSE_SECONDS)


@attack(8, breaks_off=True)
def broken_bodies(target: Target) -> Script:
    """Break off while the server waits for the rest of a polling body."""
    path = yield from polling()
    yield request(path, "POST", body=b"6" * 100)[:-5]
    yield Pause(PAUSE_SECONDS)


@attack(8, breaks_off=True)
def broken_publishes(target: Target) -> Script:
    """Break off, or half-close, while the server waits for the rest of a publish."""
    yield target.random.choice(_partial_publishes)
    yield Pause(PAUSE_SECONDS)
    if target.random.random() < 0.5:
        yield HALF_CLOSE
        yield Pause(PAUSE_SECONDS)


@attack(8, breaks_off=True)
def broken_messages(target: Target) -> Script:
    """Break off, or half-close, in the middle of a WebSocket frame."""
    yield from websocket(target)
    yield _partial_message
    yield Pause(PAUSE_SECONDS)
    if target.random.random() < 0.5:
        yield HALF_CLOSE
        yield Pause(PAUSE_SECONDS)


@attack(8, breaks_off=True)
def broken_answers(target: Target) -> Script:
    """Ask for a large page, and break off before it is there."""
    yield _page
    yield Pause(PAUSE_SECONDS / 10)


@attack(4)
def forged_tokens(target: Target) -> Script:
    """Present long tokens that somebody else has signed, on three doors."""
    token = forged_token()
    bearer = f"Authorization: Bearer {token}\r\n"
    yield request("/api/events?limit=0", headers=bearer) * 50
    yield request("/api/events", "POST", JSON + bearer, BODY) * 50
    yield from plain_websocket(f"/ws?token={token}")
    yield Pause(PAUSE_SECONDS)


@attack(4)
def guessed_keys(target: Target) -> Script:
    """Try one key after another, on three doors."""
    keys = [f"{target.random.getrandbits(128):032x}" for _ in range(100)]
    bearer = [f"Authorization: Bearer {key}\r\n" for key in keys]
    yield b"".join(request("/api/events?limit=0", headers=header) for header in bearer)
    yield b"".join(request("/api/events", "POST", JSON + header, BODY) for header in bearer)
    yield from plain_websocket(f"/ws?token={keys[0]}")
    yield Pause(PAUSE_SECONDS)
