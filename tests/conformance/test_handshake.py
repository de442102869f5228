"""Engine.IO: how a session begins, and what begins none."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.conformance import engineio, socketio
from tests.conformance.clients import Gone, connected, http_client, polling, second_socket
from tests.conformance.serve import served

GOOD = {"EIO": "4", "transport": "polling"}


async def status(url: str, query: dict[str, str], method: str = "GET") -> int:
    """Return the status with which a request is answered."""
    async with http_client() as http, http.request(method, url, params=query) as response:
        return response.status


async def is_refused(url: str, query: dict[str, str]) -> bool:
    """Tell whether a WebSocket is refused, before or after it has opened."""
    async with http_client() as http:
        try:
            async with http.ws_connect(url, params=query) as socket:
                return (await socket.receive(20)).type is aiohttp.WSMsgType.CLOSE
        except aiohttp.WSServerHandshakeError as error:
            return 400 <= error.status < 500


@pytest.mark.parametrize("server", [engineio, socketio], ids=["engine.io", "socket.io"])
@pytest.mark.parametrize(("transport", "upgrades"), [("polling", ["websocket"]), ("websocket", [])])
async def test_a_session_begins_with_what_a_client_must_know(
    server: Any, transport: str, upgrades: list[str]
) -> None:
    """Tell a client its id, how to go on, the rhythm of the heartbeat, and the largest payload."""
    async with (
        served(server.make_server(), server.PATH) as url,
        connected(url, transport) as client,
    ):
        sid = client.handshake.pop("sid")
        assert isinstance(sid, str)
        assert len(sid) >= 20
        assert client.handshake == {
            "upgrades": upgrades,
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1_000_000,
        }


async def test_the_numbers_are_the_servers_own(transport: str) -> None:
    """Announce what the server was made with."""
    server = engineio.make_server(ping_interval=12.5, ping_timeout=7, max_payload_bytes=4321)
    async with served(server, "other") as url, connected(url, transport) as client:
        assert client.handshake["pingInterval"] == 12_500
        assert client.handshake["pingTimeout"] == 7000
        assert client.handshake["maxPayload"] == 4321


@pytest.mark.parametrize("offered", ["polling", "websocket"])
async def test_only_what_is_served_is_offered(offered: str) -> None:
    """Offer no upgrade, and accept no transport, that the server does not have."""
    server = engineio.make_server(transports=(offered,))
    async with served(server, engineio.PATH) as url:
        async with connected(url, offered) as client:
            assert client.handshake["upgrades"] == []
        if offered == "polling":
            assert await is_refused(url, {"EIO": "4", "transport": "websocket"})
        else:
            assert await status(url, GOOD) == 400


async def test_the_answer_is_an_open_packet_as_text(eio_url: str) -> None:
    """Answer the first GET with one packet, labelled as plain text in UTF-8."""
    async with http_client() as http, http.get(eio_url, params=GOOD) as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        assert (response.charset or "").lower() == "utf-8"
        body = await response.text()
    assert body[0] == "0"
    assert isinstance(json.loads(body[1:]), dict)


async def test_each_session_has_an_id_of_its_own(eio_url: str, transport: str) -> None:
    """Never give two sessions the same id."""
    ids = set()
    for _ in range(20):
        async with connected(eio_url, transport) as client:
            ids.add(client.handshake["sid"])
    assert len(ids) == 20


async def test_other_parameters_do_not_matter(eio_url: str) -> None:
    """Leave a client its own parameters, such as one that keeps caches away."""
    assert await status(eio_url, {**GOOD, "t": "N8hyd6w", "token": "é&="}) == 200


BAD_QUERIES: list[dict[str, str]] = [
    {"transport": "polling"},
    {"EIO": "", "transport": "polling"},
    {"EIO": "abc", "transport": "polling"},
    {"EIO": "3", "transport": "polling"},
    {"EIO": "5", "transport": "polling"},
    {"EIO": "44", "transport": "polling"},
    {"EIO": "4"},
    {"EIO": "4", "transport": ""},
    {"EIO": "4", "transport": "abc"},
    {"EIO": "4", "transport": "Polling"},
    {},
]


@pytest.mark.parametrize("query", BAD_QUERIES, ids=str)
async def test_a_query_that_lacks_something_begins_nothing(
    eio_url: str, eio: Any, query: dict[str, str]
) -> None:
    """Answer 400 to a handshake without a version or a transport that is served."""
    assert await status(eio_url, query) == 400
    assert not eio.sockets


@pytest.mark.parametrize("query", BAD_QUERIES, ids=str)
async def test_a_websocket_whose_query_lacks_something_is_closed(
    eio_url: str, eio: Any, query: dict[str, str]
) -> None:
    """Refuse a WebSocket for the same reasons."""
    if query.get("transport") == "polling":
        query = {**query, "transport": "websocket"}
    assert await is_refused(eio_url, query)
    assert not eio.sockets


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_a_session_begins_with_a_get(eio_url: str, eio: Any, method: str) -> None:
    """Answer 400 to a handshake by any other method."""
    assert await status(eio_url, GOOD, method) == 400
    assert not eio.sockets


async def test_the_websocket_transport_takes_no_plain_request(eio_url: str, eio: Any) -> None:
    """Answer 400 where the transport is WebSocket and the request none."""
    for method in ("GET", "POST"):
        assert await status(eio_url, {"EIO": "4", "transport": "websocket"}, method) == 400
    assert not eio.sockets


@pytest.mark.parametrize("sid", ["", "unknown", "x" * 20, "../..", "é"])
async def test_an_unknown_session_is_told(eio_url: str, sid: str) -> None:
    """Answer 400 to whoever polls, posts or upgrades with an id that was not given out."""
    query = {**GOOD, "sid": sid}
    assert await status(eio_url, query) == 400
    assert await status(eio_url, query, "POST") == 400
    assert await is_refused(eio_url, {**query, "transport": "websocket"})


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_session_knows_get_and_post(eio_url: str, method: str) -> None:
    """Answer 400 to another method; the session goes on."""
    async with polling(eio_url) as client:
        assert (await client.request(method))[0] == 400
        await client.send("4still here")
        assert await client.receive() == "4still here"


async def test_a_request_of_a_session_names_its_transport(eio_url: str) -> None:
    """Answer 400 to a request of a known session without a transport, or with an unknown one."""
    async with polling(eio_url) as client:
        for query in ({"EIO": "4"}, {"EIO": "4", "transport": "abc"}):
            query["sid"] = client.query["sid"]
            assert await status(eio_url, query) == 400
            assert await status(eio_url, query, "POST") == 400
        with pytest.raises(Gone):
            async with second_socket(client, transport="abc") as socket:
                await socket.receive()
        await client.send("4still here")
        assert await client.receive() == "4still here"


async def test_another_path_is_not_engine_io(eio_url: str) -> None:
    """Answer at the path that the server was attached to, and nowhere else."""
    assert await status(eio_url.replace("engine.io", "engine"), GOOD) == 404
