"""The options of the constructor, and several servers in one process."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest
import socketio

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Clients, clients_of, raw, until
from tests.support.engine import serving
from tests.support.raw import Closed


@pytest.mark.parametrize(
    "option",
    [
        {"nonsense": 1},
        {"client_manager": socketio.AsyncManager()},
        {"logger": True},
        {"engineio_logger": True},
        {"serializer": "msgpack"},
        {"json": json},
        {"async_mode": "asgi"},
        {"max_http_buffer_size": 1000},
        {"allow_upgrades": False},
        {"http_compression": True},
        {"compression_threshold": 1000},
        {"cookie": "io"},
        {"cors_allowed_origins": "*"},
        {"cors_credentials": True},
        {"monitor_clients": True},
    ],
    ids=lambda option: next(iter(option)),
)
def test_an_option_without_an_effect_is_refused(option: dict[str, Any]) -> None:
    """The stock server ignores unknown options; here, also stock options without effect fail."""
    with pytest.raises(TypeError):
        Server(**option)


@pytest.mark.parametrize("transports", ["nonsense", ["nonsense"], []])
def test_unknown_or_empty_transports_are_refused(transports: Any) -> None:
    """The constructor raises the error, not the first client's request."""
    with pytest.raises(ValueError, match="No valid transports"):
        Server(transports=transports)


@pytest.mark.parametrize("transports", [("websocket",), ["polling"]])
async def test_only_the_transports_of_the_option_are_served(transports: Any) -> None:
    """The other transport is refused, and not offered as an upgrade."""
    async with clients_of(Server(transports=transports)) as connect:
        (served,) = transports
        (other,) = {"websocket", "polling"} - {served}
        assert (await connect(transport=served)).connected
        with pytest.raises(socketio.exceptions.ConnectionError):
            await connect(transport=other)
        async with raw(connect.url, served) as client:
            assert client.handshake["upgrades"] == []


async def test_the_handshake_has_the_options_of_the_server(transport: str) -> None:
    """Times are in milliseconds and sizes in bytes; WebSocket is an upgrade of polling."""
    server = Server(ping_interval=3, ping_timeout=1.5, max_payload_bytes=5000)
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        handshake = client.handshake
        assert len(handshake.pop("sid")) == 20
        assert handshake == {
            "upgrades": ["websocket"] if transport == "polling" else [],
            "pingInterval": 3000,
            "pingTimeout": 1500,
            "maxPayload": 5000,
        }


async def test_a_message_over_the_bound_ends_the_session(transport: str) -> None:
    """A message of exactly the bound is handled."""
    server, reasons = Server(max_message_bytes=100), []
    server.on("x", lambda sid, data: len(data))
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        await client.join()
        frame = '421["x","{}"]'
        await client.send(frame.format("x" * (102 - len(frame))))
        assert await client.receive("43") == f"431[{102 - len(frame)}]"
        await client.try_to_send(frame.format("x" * (103 - len(frame))))
        await until(lambda: not server.eio.sockets, "the end of the session")
    assert len(reasons) == 1


async def test_a_payload_over_the_bound_ends_the_session() -> None:
    """Only the polling transport has payloads."""
    server, reasons = Server(max_payload_bytes=100), []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with clients_of(server) as connect, raw(connect.url, "polling") as client:
        await client.join()
        with pytest.raises(Closed, match="413"):
            await client.send("42" + json.dumps(["x", "y" * 100]))
        assert reasons == ["transport error"]


async def test_jsonp_and_old_protocols_are_refused() -> None:
    """The stock server serves JSONP for browsers without CORS, but no Engine.IO 3."""
    async with serving(Server()) as url, aiohttp.ClientSession() as http:
        for query, code in (("EIO=4&j=0", 3), ("EIO=3", 5), ("", 5)):
            address = f"{url}/socket.io/?transport=polling&{query}"
            async with http.get(address) as response:
                assert (response.status, (await response.json())["code"]) == (400, code)


@pytest.mark.parametrize(
    "packet",
    ['42["x"]', '42/other,["x"]', "40", '42["connect"]', '42{"x":1}', "4", "49", '43["x"]'],
)
async def test_a_packet_that_the_protocol_forbids_ends_the_session(
    packet: str, transport: str
) -> None:
    """The stock server ignores some of these packets and raises an error for others."""
    server, reasons = Server(), []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with clients_of(server) as connect, raw(connect.url, transport) as client:
        if packet != '42["x"]':
            await client.join()
        await client.try_to_send(packet)
        await until(lambda: not server.eio.sockets, "the end of the session")
        assert reasons == (["transport error"] if packet != '42["x"]' else [])


async def test_servers_in_one_process_share_nothing() -> None:
    """Options, handlers, clients and the packet class belong to one server."""
    few, many = Server(max_attachments=1), Server(max_attachments=3)
    assert few.packet_class is not many.packet_class
    assert socketio.packet.Packet not in (few.packet_class, many.packet_class)
    few.on("x", lambda sid, *data: "few")
    many.on("x", lambda sid, *data: ("many", len(data)))
    many.on("y", lambda sid: None, namespace="/many")
    data = (b"1", b"2", b"3")
    async with clients_of(few) as of_few, clients_of(many) as of_many:
        one, other = await of_few(), await of_many("/", "/many")
        assert await one.call("x", b"1", timeout=TIMEOUT) == "few"
        assert await other.call("x", data, timeout=TIMEOUT) == ("many", 3)
        assert [name for name, _ in await of_few.refused("/many")] == ["/many"]
        await few.emit("z", to=other.get_sid())
        await few.emit("z", 1)
        assert await one.before_end(few) == [("z", 1)]
        assert await other.before_end(many) == []
        assert set(few.manager.rooms["/"][None]) == {one.get_sid()}
        assert set(many.manager.rooms["/"][None]) == {other.get_sid()}
        await one.emit("x", data)
        await until(lambda: not few.eio.sockets, "the end of the session")
        assert await other.call("x", data, timeout=TIMEOUT) == ("many", 3)


async def test_a_stock_server_in_the_same_process_does_not_change() -> None:
    """It still accepts lenient packets, and both servers serve their clients."""
    stock = socketio.AsyncServer(async_mode="aiohttp", monitor_clients=False)
    ours = Server(max_attachments=1)
    for server in (stock, ours):
        server.on("x", lambda sid, *data: len(data))
    data = tuple(b"%d" % number for number in range(20))
    async with clients_of(ours) as of_ours, clients_of(stock) as of_stock:
        assert await (await of_stock()).call("x", data, timeout=TIMEOUT) == 20
        assert await (await of_ours()).call("x", data[:1], timeout=TIMEOUT) == 1


async def test_two_servers_can_serve_one_application() -> None:
    """Each server has its own path."""
    one, two = Server(), Server()
    one.on("x", lambda sid: "one")
    two.on("x", lambda sid: "two")
    app = aiohttp.web.Application()
    one.attach(app, "one")
    two.attach(app, "two")
    runner = aiohttp.web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        connect = Clients(f"http://127.0.0.1:{runner.addresses[0][1]}", "websocket")
        for path in ("one", "two"):
            client = await connect(socketio_path=path)
            assert await client.call("x", timeout=TIMEOUT) == path
        await connect.close()
    finally:
        await runner.cleanup()


async def test_each_server_has_its_own_heartbeat() -> None:
    """A server that pings often closes no client of a server that pings seldom."""
    hasty, patient = Server(ping_interval=0.02, ping_timeout=0.02), Server()
    async with clients_of(hasty) as of_hasty, clients_of(patient) as of_patient:
        async with raw(of_hasty.url) as silent, raw(of_patient.url) as calm:
            await silent.join()
            await calm.join()
            await until(lambda: not hasty.eio.sockets, "the silent client's end")
            assert len(patient.eio.sockets) == 1


def test_packets_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The stock server logs packets at INFO as they came, so a client could write into the log."""
    caplog.set_level(logging.INFO)

    async def session() -> None:
        server = Server()
        server.on("x", lambda sid, data: data)
        async with clients_of(server) as connect:
            await (await connect()).call("x", "secret", timeout=TIMEOUT)

    asyncio.run(session())
    ours = [line for line in caplog.records if line.name.startswith("sio_server")]
    assert ours == []


async def test_a_websocket_message_over_the_bound_is_a_transport_error() -> None:
    """The reason does not depend on the client's close code."""
    server, reasons = Server(max_message_bytes=100), []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with clients_of(server) as connect, raw(connect.url) as client:
        await client.join()
        await client.send("42" + "x" * 100)
        await until(lambda: reasons, "the disconnect handler")
    assert reasons == ["transport error"]


@pytest.mark.parametrize(
    "option",
    [{"always_connect": True}, {"ping_interval": (25, 5)}, {"namespaces": "/chat"}],
    ids=str,
)
def test_an_option_value_that_does_not_work_is_refused(option: dict[str, Any]) -> None:
    """Stock ignores the first, fails at each client for the second, and the third opens «/c»."""
    with pytest.raises((TypeError, ValueError)):
        Server(**option)
