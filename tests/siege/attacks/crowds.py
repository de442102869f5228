"""Many connections, each of which asks for little at a time."""

from __future__ import annotations

import re

from tests.fuzz.wire import request
from tests.siege.attack import FOREVER, Await, Script, Target, attack
from tests.siege.attacks.doors import plain_websocket, text
from tests.siege.attacks.parsing import NUMBERS, post_again_and_again

_answer = Await(re.compile(rb"HTTP/1\.1 \d+"))
_error = Await(re.compile(rb"error"))
_end_of_log = request("/api/events?limit=0")
_engineio = request("/socket.io/?EIO=4")
_page = request("/")
_numbers = text(NUMBERS)
_few_numbers = text(NUMBERS[:4000] + "1]")
_event = f'42["furniture_created",{NUMBERS}]'.encode()


def _again_and_again(asked: bytes, answer: Await = _answer) -> Script:
    """Send something, wait for the answer, and send it again."""
    while True:
        yield asked
        yield answer


@attack(1000)
def crowd_of_reads(target: Target) -> Script:
    """Requests for the end of the log, one after another on each connection."""
    return _again_and_again(_end_of_log)


@attack(1000)
def crowd_of_pages(target: Target) -> Script:
    """Requests for the demo page, one after another on each connection."""
    return _again_and_again(_page)


@attack(1000)
def crowd_of_engineio(target: Target) -> Script:
    """Bad Engine.IO requests, one after another on each connection."""
    return _again_and_again(_engineio)


@attack(300)
def crowd_of_connections(target: Target) -> Script:
    """A new connection for each request."""
    yield _end_of_log
    yield _answer


@attack(300)
def crowd_of_messages(target: Target) -> Script:
    """Refused messages of almost the longest length, one after another on each WebSocket."""
    yield from plain_websocket()
    yield from _again_and_again(_numbers, _error)


@attack(1000)
def crowd_of_short_messages(target: Target) -> Script:
    """Refused messages of 4 KB, one after another on each WebSocket."""
    yield from plain_websocket()
    yield from _again_and_again(_few_numbers, _error)


@attack(300)
def crowd_of_bodies(target: Target) -> Script:
    """Polling bodies with one event that does not exist, until the server ends the session."""
    return post_again_and_again(_event)


@attack(6000)
def crowd_of_knocks(target: Target) -> Script:
    """Silent connections, more than an address may have: those over it come back at once."""
    yield FOREVER
