"""What every HTTP answer has, and every spelling of a request that clients and proxies send."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.http1 import Http1
from tests.support.raw import Closed, plain, raw_socketio
from tests.support.server import Server

GOOD = load_vectors("events.json")[0]["publish"]
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
WEBSOCKET_PATHS = ("/", "/ws", "/ws/", WEBSOCKET)

Start = Callable[..., Server]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", POLLING, 200),
        ("GET", "/socket.io/?EIO=3&transport=polling", 400),
        ("GET", f"{POLLING}&sid=unknown", 400),
        ("POST", f"{POLLING}&sid=unknown", 400),
        ("GET", "/api/events", 200),
        ("POST", "/api/events", 201),
        ("POST", "/api/events/batch", 400),
        ("GET", "/api/events?since=%20", 400),
        ("GET", "/api/events?since=a-1&until=a-1", 400),
        ("GET", "/api/furniture", 200),
        ("GET", "/api/stream", 200),
        ("GET", "/ws", 400),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/api/events", 405),
        ("OPTIONS", "/api/events", 204),
    ],
)
async def test_no_cache_may_store_a_computed_answer(
    server: Server, method: str, path: str, status: int
) -> None:
    """Otherwise a proxy gives the answer for one client to another one."""
    body = GOOD if path == "/api/events" and method == "POST" else {}
    headers = {"Origin": server.url} if method == "OPTIONS" else {}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, server.url + path, json=body if method == "POST" else None) as answer,
    ):
        assert answer.status == status
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, GOOD, 201),
        ({}, {**GOOD, "id": "again"}, 200),
        ({"Idempotency-Key": '"again"'}, GOOD, 200),
        ({}, {**GOOD, "type": "furniture_burned"}, 422),
        ({"Content-Type": "application/json; charset=utf-8"}, GOOD, 201),
        ({"Content-Type": "APPLICATION/JSON"}, GOOD, 201),
        ({"Content-Type": "text/plain"}, GOOD, 415),
        ({"Content-Type": ""}, GOOD, 415),
        ({"Origin": "https://evil.example"}, GOOD, 403),
        ({"X-Request-ID": "mine"}, {**GOOD, "furniture": []}, 422),
        ({}, {**GOOD, "furniture": {"nombre": "x" * 70_000}}, 413),
    ],
)
async def test_a_publish_has_the_same_answer_through_aiohttp(
    server: Server, headers: dict[str, str], body: dict[str, Any], status: int
) -> None:
    """The front reads a plain one itself. One that closes its connection goes to aiohttp."""
    url, json_body = f"{server.url}/api/events", {"Content-Type": "application/json"}
    answers = []
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as http:
        again = json.dumps({**GOOD, "id": "again"})
        await (await http.post(url, data=again, headers=json_body)).read()
        for more in ({}, {"Connection": "close"}):
            sent = {**json_body, **headers, **more}
            async with http.post(url, data=json.dumps(body), headers=sent) as answer:
                answers.append((answer.status, dict(answer.headers), await answer.json()))
    (own, own_headers, own_body), (other, other_headers, other_body) = answers
    assert own == other == status
    assert own_headers.keys() - other_headers.keys() == {"Keep-Alive"}
    assert other_headers.keys() - own_headers.keys() == {"Connection"}
    for name in own_headers.keys() - {"Keep-Alive", "Date", "Content-Length", "X-Request-ID"}:
        assert own_headers[name] == other_headers[name]
    assert headers.get("X-Request-ID", "") in own_headers["X-Request-ID"]
    assert own_body.keys() == other_body.keys()
    assert own_body.get("message") == other_body.get("message")


@pytest.mark.parametrize("path", [POLLING, f"{POLLING}&sid=unknown", "/api/events", "/nowhere"])
async def test_an_answer_says_how_long_an_idle_connection_is_kept(
    server: Server, path: str
) -> None:
    """Longer than the 60 seconds of most load balancers."""
    async with aiohttp.ClientSession() as http, http.get(server.url + path) as answer:
        assert answer.headers["Keep-Alive"] == "timeout=75"


async def test_a_refused_head_may_not_be_stored_either(server: Server) -> None:
    """It is answered before the request has a path."""
    for path in ("/", POLLING):
        async with Http1.connected(server) as client:
            answer = await client.ask("GET", path, {"X-Long": "x" * 20_000})
            assert answer.status == 431
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/page/main.js", "/page/base.css", "/socket.io/socket.io.js"]
)
async def test_a_static_file_is_asked_for_again_and_not_sent_again(
    server: Server, path: str
) -> None:
    """A browser stores it with its ETag."""
    async with aiohttp.ClientSession() as http:
        async with http.get(server.url + path) as first:
            assert first.headers["Cache-Control"] == "no-cache"
            tag = first.headers["ETag"]
        async with http.get(server.url + path, headers={"If-None-Match": tag}) as second:
            assert second.status == 304


def upgrade(**changes: str) -> dict[str, str]:
    """Return the headers of a WebSocket handshake, with changes."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


@pytest.mark.parametrize("path", WEBSOCKET_PATHS)
@pytest.mark.parametrize(
    ("offered", "accepted"),
    [
        (None, None),
        ("json", "json"),
        ("v12.stomp, json", "v12.stomp"),
        (",json , x", "json"),
    ],
)
async def test_the_first_offered_subprotocol_is_accepted(
    server: Server, path: str, offered: str | None, accepted: str | None
) -> None:
    """A browser closes a connection whose offer is not answered."""
    changes = {} if offered is None else {"Sec_WebSocket_Protocol": offered}
    async with Http1.connected(server) as client:
        answer = await client.ask("GET", path, upgrade(**changes))
        assert answer.status == 101
        assert answer.headers.get("Sec-WebSocket-Protocol") == accepted


@pytest.mark.parametrize("path", WEBSOCKET_PATHS)
async def test_a_subprotocol_that_is_no_token_is_refused(server: Server, path: str) -> None:
    """It is never written into the answer."""
    async with Http1.connected(server) as client:
        answer = await client.ask("GET", path, upgrade(Sec_WebSocket_Protocol="json, a b"))
        assert answer.status == 400


@pytest.mark.parametrize("path", WEBSOCKET_PATHS)
@pytest.mark.parametrize("version", ["8", "0", "14", "", "x"])
async def test_another_version_of_websocket_is_told_the_right_one(
    server: Server, path: str, version: str
) -> None:
    """RFC 6455, 4.4."""
    async with Http1.connected(server) as client:
        answer = await client.ask("GET", path, upgrade(Sec_WebSocket_Version=version))
        assert answer.status == 426
        assert answer.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("path", WEBSOCKET_PATHS)
@pytest.mark.parametrize(
    "lines",
    [
        (("Connection", "keep-alive"), ("Connection", "Upgrade")),
        (("Connection", "keep-alive, Upgrade"),),
        (("connection", "UPGRADE"), ("Connection", "close")),
        (("Connection", "Upgrade"), ("Upgrade", "h2c, WebSocket")),
    ],
)
async def test_several_lines_of_a_header_are_one_list(
    server: Server, path: str, lines: tuple[tuple[str, str], ...]
) -> None:
    """RFC 9110, 5.3. Proxies add lines of their own."""
    names = {name.lower() for name, _ in lines}
    rest = [(name, value) for name, value in upgrade().items() if name.lower() not in names]
    async with Http1.connected(server) as client:
        answer = await client.ask("GET", path, [*rest, *lines])
        assert answer.status == 101


async def test_close_in_any_line_closes_the_connection(server: Server) -> None:
    """On both doors."""
    for path in (POLLING, "/healthz"):
        async with Http1.connected(server) as client:
            lines = [("Connection", "keep-alive"), ("Connection", "close")]
            answer = await client.ask("GET", path, lines)
            assert answer.status == 200
            assert len(await client.rest()) == int(answer.headers["Content-Length"])


@pytest.mark.parametrize("path", ["/socket.io", "/socket.io/", "/socket.io//"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_the_engines_path_has_three_spellings(
    server: Server, path: str, transport: str
) -> None:
    """Proxies and options of clients add and remove slashes."""
    async with raw_socketio(server.url, transport, path=path) as client:
        assert (await client.call("ping", "0"))["type"] == "pong"


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/"])
async def test_the_websockets_path_has_three_spellings(server: Server, path: str) -> None:
    """The original broker had the first one."""
    async with plain(server.url + path) as client:
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", "/api/events?rooms=catalog", "'rooms'; there are room, since, until, limit"),
        ("GET", "/api/events?token=x", "'token'; there are room, since, until, limit"),
        ("GET", "/api/events?limit=1&limit=2", "'limit' twice"),
        ("GET", "/api/events?Room=catalog", "'Room'; there are"),
        ("GET", "/api/stream?romo=catalog", "'romo'; there are room, since, token, lastEventId"),
        ("GET", "/api/stream?since=0&since=0", "'since' twice"),
        ("GET", "/api/furniture?since=0", "'since'; there are room, before, limit"),
        ("POST", "/api/events?id=1", "'id'"),
        ("POST", "/api/events/batch?x", "'x'"),
    ],
)
async def test_a_wrong_parameter_is_not_ignored(
    server: Server, method: str, path: str, named: str
) -> None:
    """``?rooms=…`` must not mean "everything". The message has the names that exist."""
    body = (
        (GOOD if path.startswith("/api/events?") else {"events": []}) if method == "POST" else None
    )
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, server.url + path, json=body) as answer,
    ):
        error = await answer.json(content_type=None)
        assert (answer.status, error["code"]) == (400, "invalid_message")
        assert named in error["message"]


@pytest.mark.parametrize("query", ["rooms=catalog", "since=0&since=0", "token=a&token=b"])
async def test_a_wrong_parameter_closes_a_websocket(server: Server, query: str) -> None:
    """After an error that names it."""
    async with plain(f"{server.url}/ws?{query}") as client:
        error = await client.receive()
        assert (error["type"], error["code"]) == ("error", "invalid_message")
        assert query.partition("=")[0] in error["message"]
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert closed.value.code == 4400


@pytest.mark.parametrize("path", ["/api/events", "/api/furniture", "/api/stream"])
async def test_parameters_against_caches_are_ignored(server: Server, path: str) -> None:
    """Clients add them on their own."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}{path}?_=1&_=2&t=x&room=catalog&room=material:roble") as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", f"{POLLING}&x=1&x=2"])
async def test_other_paths_take_any_parameter(server: Server, path: str) -> None:
    """They widen nothing."""
    url = f"{server.url}{path}{'' if '?' in path else '?utm_source=mail&utm_source=ad'}"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON: it is empty"),
        (" \n ", "not valid JSON: it is empty"),
        ('{"type": "ping"', "not valid JSON: an error at line 1, column 16"),
        ('{\n "type": ping}', "not valid JSON: an error at line 2, column 10"),
        ('{"a": NaN}', "NaN is not JSON"),
        (f'{{"a": {"9" * 5_000}}}', "integers must have at most 100 digits"),
    ],
)
async def test_invalid_json_says_where(server: Server, text: str, message: str) -> None:
    """On the API and on the WebSocket."""
    async with aiohttp.ClientSession() as http, plain(server.url) as client:
        headers = {"Content-Type": "application/json"}
        url = f"{server.url}/api/events"
        async with http.post(url, data=text.encode(), headers=headers) as answer:
            error: dict[str, Any] = await answer.json(content_type=None)
        assert (error["code"], error["message"]) == ("invalid_json", message)
        await client.send(text)
        error = await client.receive()
        assert (error["code"], error["message"]) == ("invalid_json", message)


async def test_an_unknown_type_is_told_the_types(server: Server) -> None:
    """Each way in has its own list."""
    event_types = "furniture_created, furniture_updated, furniture_deleted"
    async with aiohttp.ClientSession() as http, plain(server.url) as client:
        async with http.post(f"{server.url}/api/events", json={"type": "x"}) as answer:
            error = await answer.json(content_type=None)
        assert error["message"] == f"'x' is not a known type; there are {event_types}"
        await client.send({"type": "x"})
        others = "ping, subscribe, unsubscribe, authenticate"
        message = f"'x' is not a known type; there are {event_types}, {others}"
        assert (await client.receive())["message"] == message
    async with raw_socketio(server.url, "websocket") as socketio:
        answered = await socketio.call("x", "0")
        assert answered["error"]["message"] == f"{message}, message"
