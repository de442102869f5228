"""The Engine.IO server: its decision on each request, and the end of its sessions."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from sio_server.engine.engineio.server import PUBLIC_OPTIONS, EngineIOServer
from sio_server.net.request import HttpRequest, HttpResponse
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


async def test_the_guard_refuses_or_adds_headers() -> None:
    """It comes before everything else, also before a response that has to be awaited."""
    assert (await respond(EngineIOServer(guard=refuse), "PUT", "nonsense")).status == 403
    server = EngineIOServer(guard=lambda request: {"Vary": "Origin"})
    response = await respond(server, query="nonsense")
    assert response.headers == {"Vary": "Origin"}
    sid = await open_session(server)
    waiting = asyncio.ensure_future(respond(server, query=f"{POLLING}&sid={sid}"))
    await asyncio.sleep(0)
    await server.send(sid, "x")
    assert (await waiting).headers == {"Vary": "Origin"}


async def test_admit_refuses_a_handshake_or_is_released_at_the_sessions_end() -> None:
    """A refused handshake opens no session, and a failed one is released."""
    server = EngineIOServer(admit=refuse)
    assert (await respond(server, query=POLLING)).status == 403
    assert server.sockets == {}
    released: list[None] = []
    server = EngineIOServer(admit=lambda request: lambda: released.append(None))
    await respond(server, query="EIO=4&transport=websocket")
    assert len(released) == 1
    sid = await open_session(server)
    assert len(released) == 1
    await server.disconnect(sid)
    assert len(released) == 2


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
