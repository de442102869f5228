"""Engine.IO: handshakes that open a session, and handshakes that do not."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.conformance import engineio, socketio
from tests.conformance.clients import SessionEnded, connected, http_client, polling, second_socket
from tests.conformance.serve import served

GOOD = {"EIO": "4", "transport": "polling"}


async def status(url: str, query: dict[str, str], method: str = "GET") -> int:
    """Send a request; return the status of its response."""
    async with http_client() as http, http.request(method, url, params=query) as response:
        return response.status


async def is_refused(url: str, query: dict[str, str]) -> bool:
    """Return whether a WebSocket is refused, before or after it has opened."""
    async with http_client() as http:
        try:
            async with http.ws_connect(url, params=query) as socket:
                return (await socket.receive(20)).type is aiohttp.WSMsgType.CLOSE
        except aiohttp.WSServerHandshakeError as error:
            return 400 <= error.status < 500


@pytest.mark.parametrize("server", [engineio, socketio], ids=["engine.io", "socket.io"])
@pytest.mark.parametrize(("transport", "upgrades"), [("polling", ["websocket"]), ("websocket", [])])
async def test_the_open_packet_has_all_required_fields(
    server: Any, transport: str, upgrades: list[str]
) -> None:
    """They are the sid, the upgrades, the times of the heartbeat, and the largest payload."""
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


async def test_the_open_packet_has_the_servers_options(transport: str) -> None:
    """Times are in milliseconds."""
    server = engineio.make_server(ping_interval=12.5, ping_timeout=7, max_payload_bytes=4321)
    async with served(server, "other") as url, connected(url, transport) as client:
        assert client.handshake["pingInterval"] == 12_500
        assert client.handshake["pingTimeout"] == 7000
        assert client.handshake["maxPayload"] == 4321


@pytest.mark.parametrize("offered", ["polling", "websocket"])
async def test_a_transport_that_is_not_served_is_refused(offered: str) -> None:
    """It is not offered as an upgrade either."""
    server = engineio.make_server(transports=(offered,))
    async with served(server, engineio.PATH) as url:
        async with connected(url, offered) as client:
            assert client.handshake["upgrades"] == []
        if offered == "polling":
            assert await is_refused(url, {"EIO": "4", "transport": "websocket"})
        else:
            assert await status(url, GOOD) == 400


async def test_the_first_poll_returns_the_open_packet_as_text(eio_url: str) -> None:
    """The content type is plain text in UTF-8."""
    async with http_client() as http, http.get(eio_url, params=GOOD) as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        assert (response.charset or "").lower() == "utf-8"
        body = await response.text()
    assert body[0] == "0"
    assert isinstance(json.loads(body[1:]), dict)


async def test_each_session_has_its_own_sid(eio_url: str, transport: str) -> None:
    """No two sessions have the same sid."""
    ids = set()
    for _ in range(20):
        async with connected(eio_url, transport) as client:
            ids.add(client.handshake["sid"])
    assert len(ids) == 20


async def test_other_query_parameters_are_ignored(eio_url: str) -> None:
    """A client may add its own, for example against caches."""
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
async def test_an_incomplete_query_opens_no_session(
    eio_url: str, eio: Any, query: dict[str, str]
) -> None:
    """A handshake without a served version and transport gets 400."""
    assert await status(eio_url, query) == 400
    assert not eio.sockets


@pytest.mark.parametrize("query", BAD_QUERIES, ids=str)
async def test_a_websocket_with_an_incomplete_query_is_refused(
    eio_url: str, eio: Any, query: dict[str, str]
) -> None:
    """No session is opened."""
    if query.get("transport") == "polling":
        query = {**query, "transport": "websocket"}
    assert await is_refused(eio_url, query)
    assert not eio.sockets


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_a_handshake_must_be_a_get(eio_url: str, eio: Any, method: str) -> None:
    """Any other method gets 400."""
    assert await status(eio_url, GOOD, method) == 400
    assert not eio.sockets


async def test_a_plain_request_for_the_websocket_transport_gets_400(eio_url: str, eio: Any) -> None:
    """No session is opened."""
    for method in ("GET", "POST"):
        assert await status(eio_url, {"EIO": "4", "transport": "websocket"}, method) == 400
    assert not eio.sockets


@pytest.mark.parametrize("sid", ["", "unknown", "x" * 20, "../..", "é"])
async def test_an_unknown_sid_gets_400(eio_url: str, sid: str) -> None:
    """This holds for a poll, a POST and an upgrade."""
    query = {**GOOD, "sid": sid}
    assert await status(eio_url, query) == 400
    assert await status(eio_url, query, "POST") == 400
    assert await is_refused(eio_url, {**query, "transport": "websocket"})


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_session_accepts_only_get_and_post(eio_url: str, method: str) -> None:
    """Another method gets 400, and the session stays open."""
    async with polling(eio_url) as client:
        assert (await client.request(method))[0] == 400
        await client.send("4still here")
        assert await client.receive() == "4still here"


async def test_a_request_without_a_known_transport_gets_400(eio_url: str) -> None:
    """The session stays open."""
    async with polling(eio_url) as client:
        for query in ({"EIO": "4"}, {"EIO": "4", "transport": "abc"}):
            query["sid"] = client.query["sid"]
            assert await status(eio_url, query) == 400
            assert await status(eio_url, query, "POST") == 400
        with pytest.raises(SessionEnded):
            async with second_socket(client, transport="abc") as socket:
                await socket.receive()
        await client.send("4still here")
        assert await client.receive() == "4still here"


async def test_another_path_is_not_served(eio_url: str) -> None:
    """The server answers only at the path that it is attached to."""
    assert await status(eio_url.replace("engine.io", "engine"), GOOD) == 404
