"""Requests in one connection, sent without waiting for their answers."""

from __future__ import annotations

from tests.fuzz.wire import request
from tests.siege.attack import Script, Target, attack, repeat

BATCH_REQUESTS = 2000
"""Requests in the bytes that a script sends at a time."""

JSON = "Content-Type: application/json\r\n"
CHUNKED = JSON + "Transfer-Encoding: chunked\r\n"
BODY = b'{"type":"ping"}'

_engineio = request("/socket.io/?EIO=4") * BATCH_REQUESTS
_healthz = request("/healthz") * BATCH_REQUESTS
_end_of_log = request("/api/events?limit=0") * BATCH_REQUESTS
_missing = request("/nothing/here") * BATCH_REQUESTS
_bodies = request("/api/events", "POST", JSON, BODY) * BATCH_REQUESTS
_chunked = (
    request("/api/events", "POST", CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
) * BATCH_REQUESTS
_malformed = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Header: 1\r\n\r\n" * BATCH_REQUESTS


@attack()
def pipelined_engineio(target: Target) -> Script:
    """Bad Engine.IO requests, whose answers are read."""
    return repeat(_engineio)


@attack(reads=False)
def pipelined_engineio_unread(target: Target) -> Script:
    """Bad Engine.IO requests, whose answers are not read."""
    return repeat(_engineio)


@attack()
def pipelined_healthz(target: Target) -> Script:
    """Good requests on aiohttp's door."""
    return repeat(_healthz)


@attack(reads=False)
def pipelined_healthz_unread(target: Target) -> Script:
    """Good requests on aiohttp's door, whose answers are not read."""
    return repeat(_healthz)


@attack()
def pipelined_reads(target: Target) -> Script:
    """Requests for the end of the log."""
    return repeat(_end_of_log)


@attack()
def pipelined_404(target: Target) -> Script:
    """Requests for a path that does not exist."""
    return repeat(_missing)


@attack()
def pipelined_malformed(target: Target) -> Script:
    """Requests that are not HTTP, each of which ends its connection."""
    return repeat(_malformed)


@attack()
def pipelined_bodies(target: Target) -> Script:
    """Publishes without the right to publish, with a body."""
    return repeat(_bodies)


@attack()
def pipelined_chunked(target: Target) -> Script:
    """Publishes without the right to publish, with a body in chunks."""
    return repeat(_chunked)
