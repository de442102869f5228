"""Many connections, each of which asks for little at a time."""

from __future__ import annotations

import re

from tests.fuzz.wire import request
from tests.siege.attack import Await, Script, Target, attack
from tests.siege.attacks.doors import plain_websocket, polling, text
from tests.siege.attacks.parsing import NUMBERS

_answer = Await(re.compile(rb"HTTP/1\.1 \d+"))
_end_of_log = request("/api/events?limit=0")
_engineio = request("/socket.io/?EIO=4")
_page = request("/")
_numbers = text(NUMBERS)
_few_numbers = text(NUMBERS[:4000] + "1]")
_event = f'42["furniture_created",{NUMBERS}]'.encode()


@attack(1000)
def crowd_of_reads(target: Target) -> Script:
    """Requests for the end of the log, one after another on each connection."""
    return _ask_again_and_again(_end_of_log)


@attack(1000)
def crowd_of_pages(target: Target) -> Script:
    """Requests for the demo page, one after another on each connection."""
    return _ask_again_and_again(_page)


@attack(1000)
def crowd_of_engineio(target: Target) -> Script:
    """Bad Engine.IO requests, one after another on each connection."""
    return _ask_again_and_again(_engineio)


@attack(300)
def crowd_of_connections(target: Target) -> Script:
    """A new connection for each request."""
    yield _end_of_log
    yield _answer


@attack(300)
def crowd_of_messages(target: Target) -> Script:
    """Refused messages of almost the longest length, one after another on each WebSocket."""
    yield from plain_websocket()
    while True:
        yield _numbers
        yield Await(re.compile(rb"error"))


@attack(1000)
def crowd_of_short_messages(target: Target) -> Script:
    """Refused messages of 4 KB, one after another on each WebSocket."""
    yield from plain_websocket()
    while True:
        yield _few_numbers
        yield Await(re.compile(rb"error"))


@attack(300)
def crowd_of_bodies(target: Target) -> Script:
    """Polling bodies with one event that does not exist, one after another in each session."""
    path = yield from polling()
    while True:
        yield request(path, "POST", body=_event)
        answer = yield _answer
        if b"200" not in answer[0]:
            return


def _ask_again_and_again(asked: bytes) -> Script:
    while True:
        yield asked
        yield _answer
