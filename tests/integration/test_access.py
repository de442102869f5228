"""Permission to publish and to consume, by credential, address and origin, on all transports."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from furniture_events import Forbidden, Producer, Unauthorized

from tests.conftest import load_vectors
from tests.support.raw import Closed, plain, raw_socketio
from tests.support.server import TIMEOUT, Server, start_expecting_failure
from tests.support.tokens import jwk, private_key, token

GOOD = load_vectors("events.json")[0]["publish"]
KEY, OLD_KEY = "s3cret-key-that-is-new", "s3cret-key-that-is-old"

Start = Callable[..., Server]


async def publish(url: str, **headers: str) -> tuple[int, dict[str, Any]]:
    """Publish over HTTP; return the status and the answer."""
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{url}/api/events", json=GOOD) as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_publishing_is_closed_by_default(start_server: Start) -> None:
    """A producer without a key is refused on every transport, and the error names the setting."""
    server = start_server(open_publish="off", producer_keys=f"{OLD_KEY},{KEY}")
    status, problem = await publish(server.url)
    assert (status, problem["code"]) == (401, "unauthorized")
    assert "SIO_OPEN_PUBLISH" in problem["message"]
    async with plain(server.url) as client:
        await client.send(GOOD)
        assert (await client.receive())["code"] == "unauthorized"
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"
    async with raw_socketio(server.url, "websocket") as socketio:
        answer = await socketio.call("furniture_created", '{"furniture":{}}')
        assert answer["error"]["code"] == "invalid_furniture"
        answer = await socketio.call("message", '"{}"')
        assert answer["ok"] is False
    with Producer(server.url) as producer, pytest.raises(Unauthorized):
        producer.publish(GOOD)
    without_keys = start_server(open_publish="off")
    status, problem = await publish(without_keys.url)
    assert (status, problem["code"]) == (403, "forbidden")
    with Producer(without_keys.url) as producer, pytest.raises(Forbidden):
        producer.publish(GOOD)


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
async def test_each_producer_key_may_publish_and_consume(start_server: Start, key: str) -> None:
    """Every key of the list is accepted on every transport, so keys can be rotated."""
    server = start_server(
        open_publish="off", producer_keys=f"{OLD_KEY}, {KEY}", require_auth="true"
    )
    with Producer(server.url, key=key) as producer:
        assert producer.publish(GOOD).duplicate is False
        assert producer.position()
    async with plain(server.url, headers={"Authorization": f"Bearer {key}"}) as client:
        await client.send({**GOOD, "ref": 1})
        assert {(await client.receive())["type"] for _ in range(2)} == {"ack", GOOD["type"]}
    async with plain(server.url, headers={"Authorization": f"bearer {key}"}) as client:
        await client.send({"type": "authenticate", "token": key, "ref": 1})
        answer = await client.receive()
        assert answer == {
            "type": "ack",
            "ref": 1,
            "ok": True,
            "expires": None,
            "rooms": ["catalog"],
        }
    async with raw_socketio(server.url, "polling", {"token": key}) as socketio:
        assert (await socketio.call("message", '{"type":"ping"}'))["type"] == "pong"
    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {key}"}
        async with http.get(f"{server.url}/api/stream", headers=headers) as response:
            assert response.status == 200
        async with http.get(f"{server.url}/api/stream?token={key}") as response:
            assert response.status == 401  # a key does not belong into a URL
    assert not any(key in line for line in server.raw)


async def test_an_invalid_credential_is_refused_even_if_none_is_needed(
    start_server: Start,
) -> None:
    """A wrong key is an error on every transport, although anyone may publish without one."""
    server = start_server(open_publish="anyone", producer_keys=KEY)
    status, problem = await publish(server.url, Authorization="Bearer wrong")
    assert (status, problem["code"]) == (401, "unauthorized")
    async with plain(f"{server.url}/ws?token=wrong") as client:
        assert (await client.receive())["code"] == "unauthorized"
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert closed.value.code == 4401
    with pytest.raises(ConnectionRefusedError) as refused:
        async with raw_socketio(server.url, "websocket", {"token": "wrong"}):
            pass
    assert refused.value.args[0]["data"]["code"] == "unauthorized"
    async with aiohttp.ClientSession() as http:
        for path in ("/api/stream?token=wrong", "/api/events"):
            headers = {} if "token" in path else {"Authorization": "Bearer wrong"}
            async with http.get(server.url + path, headers=headers) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
    with Producer(server.url, key="wrong") as producer, pytest.raises(Unauthorized):
        producer.publish(GOOD)
    assert not any("wrong" in line for line in server.raw)


async def test_without_keys_tokens_are_ignored(start_server: Start) -> None:
    """A server without keys cannot check a token, so it accepts clients that send one."""
    server = start_server()
    assert (await publish(server.url, Authorization="Bearer anything"))[0] == 201
    async with plain(f"{server.url}/ws?token=anything") as client:
        await client.send({"type": "authenticate", "token": "another", "ref": 0})
        assert (await client.receive())["expires"] is None


async def test_consumers_without_a_credential_are_refused_if_required(start_server: Start) -> None:
    """With ``SIO_REQUIRE_AUTH``, no transport serves a consumer without a credential."""
    server = start_server(producer_keys=KEY, require_auth="true", open_publish="off")
    async with plain(server.url) as client:
        assert (await client.receive())["code"] == "unauthorized"
    with pytest.raises(ConnectionRefusedError):
        async with raw_socketio(server.url, "websocket"):
            pass
    async with aiohttp.ClientSession() as http:
        for path in ("/api/events", "/api/stream"):
            async with http.get(server.url + path) as response:
                assert response.status == 401


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Anything", "1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("Host", "catalogo.example.com"),
        ("Host", "127.0.0.1.example.com"),
        ("Origin", "https://example.com"),
        ("Origin", "null"),
    ],
)
async def test_loopback_publishing_refuses_requests_that_may_come_from_elsewhere(
    server: Server, header: str, value: str
) -> None:
    """A request is refused if it used a proxy or another host name, or is from another site."""
    status, problem = await publish(server.url, **{header: value})
    assert (status, problem["code"]) == (403, "forbidden")


async def test_loopback_publishing_accepts_this_machine(server: Server) -> None:
    """Requests that name this machine are accepted, also from pages of any local port."""
    for headers in (
        {},
        {"Host": f"localhost:{server.port}"},
        {"Origin": "http://localhost:5173"},
        {"Origin": server.url},
    ):
        assert (await publish(server.url, **headers))[0] == 201


async def test_anyone_may_publish_if_publishing_is_open(start_server: Start) -> None:
    """``SIO_OPEN_PUBLISH=anyone`` accepts all producers, and the log says so at the start."""
    server = start_server(open_publish="anyone")
    status, _ = await publish(server.url, **{"X-Forwarded-For": "203.0.113.9"})
    assert status == 201
    assert server.wait_for_log("publishing_is_open")["to"] == "anyone"


ORIGINS = "https://tienda.example.com,http://panel.example.com:8080"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://tienda.example.com", True),
        ("http://panel.example.com:8080", True),
        ("http://tienda.example.com", False),
        ("https://tienda.example.com:444", False),
        ("https://tienda.example.com.evil.test", False),
        ("https://evil.test", False),
        ("http://panel.example.com", False),
        ("null", False),
    ],
)
async def test_every_transport_checks_the_origin(
    start_server: Start, origin: str, allowed: bool
) -> None:
    """Scheme, host and port must match, and the answer allows only the request's own origin."""
    server = start_server(cors_origins=ORIGINS, open_publish="anyone")
    headers = {"Origin": origin}
    async with aiohttp.ClientSession(headers=headers) as http:
        for path in ("/socket.io/?EIO=4&transport=polling", "/api/events", "/api/stream"):
            async with http.get(server.url + path) as response:
                assert response.status == (200 if allowed else 403)
                granted = response.headers.get("Access-Control-Allow-Origin")
                assert granted == (origin if allowed else None)
                assert response.headers["Vary"] == "Origin"
        for path in ("/", "/ws", "/socket.io/?EIO=4&transport=websocket"):
            if allowed:
                async with http.ws_connect(server.url + path):
                    pass
            else:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await http.ws_connect(server.url + path)
                assert refused.value.status == 403
        async with http.options(f"{server.url}/api/events") as preflight:
            assert preflight.status == (204 if allowed else 403)
    status, _ = await publish(server.url, **headers)
    assert status == (201 if allowed else 403)


PATHS = ("/socket.io/?EIO=4&transport=polling", "/api/events", "/api/stream", "/api/nothing")


async def test_a_preflight_allows_what_it_asks_for(start_server: Start) -> None:
    """Libraries add headers of their own. A page of another origin gets nothing."""
    server = start_server(cors_origins=ORIGINS)
    asked = {
        "Origin": "https://tienda.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,traceparent,x-clientid",
    }
    async with aiohttp.ClientSession() as http:
        for path in PATHS:
            async with http.options(server.url + path, headers=asked) as response:
                assert response.status == 204
                granted = {
                    name.removeprefix("Access-Control-"): value
                    for name, value in response.headers.items()
                    if name.startswith("Access-Control-")
                }
                assert granted == {
                    "Allow-Origin": "https://tienda.example.com",
                    "Allow-Credentials": "true",
                    "Allow-Methods": "GET, POST",
                    "Allow-Headers": "authorization,traceparent,x-clientid",
                    "Max-Age": "600",
                }
            other = {**asked, "Origin": "https://evil.test"}
            async with http.options(server.url + path, headers=other) as response:
                assert response.status == 403
                assert "Access-Control-Allow-Origin" not in response.headers


async def test_an_asterisk_allows_every_origin_without_credentials(start_server: Start) -> None:
    """A browser then gives the answer to a page only if the page sent no cookies."""
    server = start_server(cors_origins="*,https://tienda.example.com")
    async with aiohttp.ClientSession() as http:
        for path in PATHS[:3]:
            async with http.get(server.url + path, headers={"Origin": "null"}) as response:
                assert response.headers["Access-Control-Allow-Origin"] == "*"
                assert "Access-Control-Allow-Credentials" not in response.headers
            named = {"Origin": "https://tienda.example.com"}
            async with http.get(server.url + path, headers=named) as response:
                assert response.headers["Access-Control-Allow-Origin"] == named["Origin"]
                assert response.headers["Access-Control-Allow-Credentials"] == "true"


async def test_refusals_of_origins_are_few_log_lines(start_server: Start) -> None:
    """They name the origin and the setting, on every way in."""
    server = start_server()
    async with aiohttp.ClientSession(headers={"Origin": "https://evil.test"}) as http:
        for path in (*PATHS, *PATHS):
            async with http.get(server.url + path) as response:
                assert response.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{server.url}/ws")
        for number in range(20):
            other = {"Origin": f"https://{number}.test"}
            async with http.get(server.url + PATHS[0], headers=other) as response:
                assert response.status in (403, 429)
    server.wait_for_log("origin_refused", origin="https://8.test")
    lines = [line for line in server.log if line["message"] == "origin_refused"]
    assert len(lines) == 10
    assert (lines[0]["origin"], lines[0]["setting"]) == ("https://evil.test", "SIO_CORS_ORIGINS")


async def test_a_forgotten_proxy_is_one_log_line(start_server: Start) -> None:
    """It names the peer and the setting. Without it, all clients share one address."""
    server = start_server()
    async with aiohttp.ClientSession(headers={"X-Forwarded-For": "198.51.100.7"}) as http:
        for path in (*PATHS, *PATHS):
            async with http.get(server.url + path):
                pass
    server.wait_for_log("forwarding_ignored")
    (line,) = [line for line in server.log if line["message"] == "forwarding_ignored"]
    assert (line["peer"], line["setting"]) == ("127.0.0.1", "SIO_TRUSTED_PROXIES")


async def test_a_proxy_of_http_1_0_is_not_this_machine(start_server: Start) -> None:
    """Such a proxy may add no header."""
    server = start_server(open_publish="loopback")
    body = json.dumps(GOOD)
    statuses = []
    for version in ("1.1", "1.0"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"POST /api/events HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
            f"{body}".encode()
        )
        statuses.append((await reader.read()).split()[1])
        writer.close()
    assert statuses == [b"201", b"403"]


async def test_forwarding_headers_count_only_from_trusted_proxies(start_server: Start) -> None:
    """The client's address, scheme and host come from a trusted proxy, and from no other peer."""
    server = start_server(trusted_proxies="127.0.0.0/8", open_publish="anyone")
    forwarded = {
        "X-Forwarded-For": "198.51.100.7, 203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "tienda.example.com",
        "Origin": "https://tienda.example.com",
    }
    assert (await publish(server.url, **forwarded))[0] == 201
    async with plain(server.url, headers=forwarded):
        assert server.wait_for_log("connected")["address"] == "203.0.113.9"
    stranger = start_server(open_publish="anyone")
    assert (await publish(stranger.url, **forwarded))[0] == 403


def test_a_server_that_requires_a_credential_without_keys_does_not_start(tmp_path: Any) -> None:
    """No client could connect. The error names the missing setting."""
    output = start_expecting_failure(tmp_path, require_auth="true", event_log="memory://")
    assert "SIO_PRODUCER_KEYS" in output


async def test_sighup_reads_the_file_of_keys_again(start_server: Start, tmp_path: Path) -> None:
    """Without such a file, the signal ends the server, as it ends other programs."""
    path = tmp_path / "keys.json"

    def write(name: str) -> str:
        private = private_key("ES256", name)
        path.write_text(json.dumps({"keys": [jwk("ES256", private)]}))
        return token(private, "ES256")

    first = write("first")
    server = start_server(jwt_jwks=path, open_publish="off")
    async with plain(f"{server.url}/ws?token={first}") as client:
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"
    second = write("second")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("keys_reloaded")
    for text, answer in ((first, "error"), (second, "pong")):
        async with plain(f"{server.url}/ws?token={text}") as client:
            await client.send({"type": "ping"})
            assert (await client.receive())["type"] == answer
    path.write_text("{")
    server.process.send_signal(signal.SIGHUP)
    assert str(path) in server.wait_for_log("keys_not_reloaded")["reason"]
    async with plain(f"{server.url}/ws?token={second}") as client:
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"
    without = start_server()
    without.process.send_signal(signal.SIGHUP)
    assert without.process.wait(TIMEOUT) == -signal.SIGHUP
