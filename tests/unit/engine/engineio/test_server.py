"""The Engine.IO server: its decision on each request, and the end of its sessions."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from sio_server.engine.engineio.door import OpenDoor
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.server import PUBLIC_OPTIONS, EngineIOServer
from sio_server.net.request import HttpRequest
from sio_server.net.response import HttpResponse
from tests.support.engine import RequestBody, make_request

POLLING = "EIO=4&transport=polling"


def refuse(request: HttpRequest) -> HttpResponse:
    """Refuse a request."""
    return HttpResponse(403, b"no")


async def respond(server: EngineIOServer, *arguments: Any, **options: Any) -> HttpResponse:
    """Return the response to a request that is answered without its connection."""
    response = server.respond(make_request(*arguments, **options))
    if not isinstance(response, HttpResponse):
        assert response is not None
        response = await response
        assert response is not None
    return response


async def open_session(server: EngineIOServer, **options: Any) -> str:
    """Open a polling session; return its sid."""
    response = await respond(server, query=POLLING, **options)
    assert response.status == 200, response.body
    sid: str = json.loads(response.body[1:])["sid"]
    return sid


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("GET", "EIO=4", 0),
        ("GET", "EIO=4&transport=carrier-pigeon", 0),
        ("GET", f"{POLLING}&sid=unknown", 1),
        ("POST", POLLING, 2),
        ("GET", f"{POLLING}&j=0", 3),
        ("GET", "EIO=4&transport=websocket", 3),
        ("GET", "EIO=3&transport=polling", 5),
        ("GET", "transport=polling", 5),
    ],
)
async def test_a_bad_request_gets_engine_ios_error(method: str, query: str, code: int) -> None:
    """No session is opened; the codes are those of the original server."""
    server = EngineIOServer()
    response = await respond(server, method, query)
    assert (response.status, json.loads(response.body)["code"]) == (400, code)
    assert server.sockets == {}


@pytest.mark.parametrize(
    "option", [{"ping_interval": "25"}, {"ping_timeout": None}, {"connect_timeout": (1, 2)}]
)
def test_intervals_and_timeouts_must_be_numbers(option: dict[str, Any]) -> None:
    """The error comes at the start, not at the first client."""
    with pytest.raises(TypeError, match="numbers of seconds"):
        EngineIOServer(**option)


def test_the_options_of_the_socket_io_server_are_not_public() -> None:
    """It sets ``async_handlers`` and ``logger`` itself."""
    assert "ping_interval" in PUBLIC_OPTIONS
    assert not PUBLIC_OPTIONS & {"async_handlers", "logger"}


class RecordingDoor(OpenDoor):
    """A door that adds a header, and records what it is told.

    Attributes:
        refuses_requests: it refuses every request.
        refuses_handshakes: it refuses every handshake.
        malformed_requests: the statuses of the engine's refusals.
        left: how many guests have left.
        counted: how many packets were counted.
        over: more packets are refused.
    """

    def __init__(self) -> None:
        self.refuses_requests = self.refuses_handshakes = False
        self.malformed_requests: list[int] = []
        self.left = self.counted = 0
        self.is_over_rate = False

    def check(self, request: HttpRequest) -> Any:
        """Refuse a request, or add a header."""
        return refuse(request) if self.refuses_requests else {"Vary": "Origin"}

    def admit(self, request: HttpRequest) -> Any:
        """Refuse a handshake, or be the guest."""
        return refuse(request) if self.refuses_handshakes else self

    def malformed(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Record the status."""
        self.malformed_requests.append(response.status)
        return HttpResponse(429, b"") if len(self.malformed_requests) > 1 else response

    def count(self) -> bool:
        """Count a packet; the third one is too much."""
        self.counted += 1
        if self.counted > 2:
            raise ProtocolError("too many")
        return True

    def leave(self) -> None:
        """Count."""
        self.left += 1


async def test_the_door_refuses_or_adds_headers() -> None:
    """It comes before everything else, also before a response that has to be awaited."""
    door = RecordingDoor()
    server = EngineIOServer(door=door)
    door.refuses_requests = True
    assert (await respond(server, "PUT", "nonsense")).status == 403
    door.refuses_requests = False
    response = await respond(server, query="nonsense")
    assert response.headers == {"Vary": "Origin"}
    sid = await open_session(server)
    waiting = asyncio.ensure_future(respond(server, query=f"{POLLING}&sid={sid}"))
    await asyncio.sleep(0)
    await server.send(sid, "x")
    assert (await waiting).headers == {"Vary": "Origin"}


async def test_a_guest_is_refused_or_leaves_at_the_sessions_end() -> None:
    """A refused handshake opens no session, and the guest of a failed one has left."""
    door = RecordingDoor()
    server = EngineIOServer(door=door)
    door.refuses_handshakes = True
    assert (await respond(server, query=POLLING)).status == 403
    assert server.sockets == {}
    door.refuses_handshakes = False
    await respond(server, query="EIO=4&transport=websocket")
    assert door.left == 1
    sid = await open_session(server)
    assert door.left == 1
    await server.disconnect(sid)
    assert door.left == 2


async def test_the_door_learns_of_malformed_requests_only() -> None:
    """It may answer them in another way. Its own refusals are not malformed requests."""
    door = RecordingDoor()
    server = EngineIOServer(door=door)
    assert (await respond(server, query="nonsense")).status == 400
    assert (await respond(server, query=f"{POLLING}&sid=unknown")).status == 429
    assert door.malformed_requests == [400, 400]
    door.refuses_handshakes = True
    await respond(server, query=POLLING)
    door.refuses_handshakes = False
    await open_session(server)
    assert door.malformed_requests == [400, 400]


async def test_packets_that_are_no_messages_are_counted() -> None:
    """A guest that raises an error closes its session."""
    door = RecordingDoor()
    server = EngineIOServer(door=door)
    session = server.sockets[await open_session(server)]
    session.packet_received("6", "")
    session.packet_received("3", "")  # it answers no ping
    assert (door.counted, session.closed) == (2, False)
    session.packet_received("6", "")
    assert session.closed


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("result", [False, "not you"])
async def test_the_connect_handler_can_refuse_a_session(result: Any, asynchronous: bool) -> None:
    """The client gets 401, with the handler's result if it has one."""
    server = EngineIOServer()

    async def later(sid: str, environ: dict[str, Any]) -> Any:
        return result

    server.on("connect", later if asynchronous else lambda sid, environ: result)
    response = await respond(server, query=POLLING)
    assert (response.status, json.loads(response.body)) == (401, result or "Unauthorized")
    assert server.sockets == {}


async def test_one_late_poll_after_a_close_packet_gets_a_noop() -> None:
    """The client had sent it before the server got the CLOSE packet; a second one gets 400."""
    server = EngineIOServer()
    sid = await open_session(server)
    query = f"{POLLING}&sid={sid}"
    assert (await respond(server, "POST", query, RequestBody(b"1"))).body == b"ok"
    assert (await respond(server, query=query)).body == b"6"
    assert (await respond(server, query=query)).status == 400


async def test_protocol_errors_of_an_address_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another address gets its own line."""
    server = EngineIOServer()
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        sid = await open_session(server, peer=peer)
        await respond(server, "POST", f"{POLLING}&sid={sid}", RequestBody(b"x"))
    assert [record.getMessage().split(" reason=")[0] for record in caplog.records] == [
        "protocol_error address=192.0.2.1",
        "protocol_error address=192.0.2.2",
    ]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_failing_handler_is_logged_and_keeps_the_session(
    asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Only a protocol error closes the session."""
    server = EngineIOServer()

    def fail(sid: str, data: Any) -> None:
        raise ValueError("a handler's own")

    async def fail_later(sid: str, data: Any) -> None:
        raise ValueError("a handler's own")

    server.on("message", fail_later if asynchronous else fail)
    sid = await open_session(server)
    await respond(server, "POST", f"{POLLING}&sid={sid}", RequestBody(b"4x"))
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "handler_failed event=message")
    assert sid in server.sockets


async def test_a_session_is_removed_even_if_its_disconnect_handler_fails() -> None:
    """A client can't keep a session alive by a bug in the application."""
    server = EngineIOServer()

    def fail(sid: str, reason: str) -> None:
        raise ValueError("a handler's own")

    server.on("disconnect", fail)
    sid = await open_session(server)
    await server.sockets[sid].close()
    assert server.sockets == {}
