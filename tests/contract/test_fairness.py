"""One client costs a bounded share: what it sends is counted, on every door, and then refused."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.fuzz.wire import PING, PONG, TEXT, UPGRADE, frame, request
from tests.support.raw import Closed, RawSocketIO, plain, raw_socketio
from tests.support.server import TIMEOUT, Server, wait_until

GOOD = load_vectors("events.json")[0]["publish"]
FINAL = 0x80
ENGINE = "/socket.io/?EIO=4&transport="
KEY = "a-key-of-the-producer"

Start = Callable[..., Server]


class Raw:
    """A TCP connection that sends and receives bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def response(self) -> tuple[int, dict[str, str], str]:
        """Return the status, the headers in lower case and the body of the next response."""
        async with asyncio.timeout(TIMEOUT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.partition(": ") for line in head.split("\r\n")[1:-2]]
            headers = {name.lower(): value for name, _, value in lines}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head.split()[1]), headers, body.decode()

    async def rest(self) -> bytes:
        """Return what comes before the connection is closed."""
        received = b""
        async with asyncio.timeout(TIMEOUT):
            try:
                while segment := await self.reader.read(65_536):
                    received += segment
            except ConnectionError:
                pass
        return received


@asynccontextmanager
async def tcp(server: Server, address: str = "127.0.0.1") -> AsyncIterator[Raw]:
    """Open a TCP connection from an address."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, local_addr=(address, 0)
    )
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


DOORS = {"engine": f"{ENGINE}nonsense", "aiohttp": "/nothing"}
"""A path of each of the two doors for HTTP, that does not exist."""


@pytest.mark.parametrize("path", DOORS.values(), ids=DOORS)
async def test_a_request_has_a_bounded_head(server: Server, path: str) -> None:
    """100 header fields and 16 KiB pass. More gets 431 in the form of all errors."""
    start = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
    fields = "".join(f"X-{number}: y\r\n" for number in range(99))
    large = "X: " + "y" * (16_384 - len(start) - len("X: \r\n\r\n")) + "\r\n"
    for extra, is_refused in (
        (fields, False),
        (f"{fields}X: y\r\n", True),
        (large, False),
        (f"X{large}", True),
    ):
        async with tcp(server) as connection:
            connection.writer.write(f"{start}{extra}\r\n".encode())
            status, headers, body = await connection.response()
            assert (status == 431) is is_refused
            if is_refused:
                assert json.loads(body)["code"] == "too_large"
                assert headers["content-type"].startswith("application/problem+json")
                assert await connection.rest() == b""


async def test_the_tcp_connections_of_an_address_are_bounded(start_server: Start) -> None:
    """There may be eight more than consumers. The next one is closed, and the log says why."""
    server = start_server(max_connections_per_address=2)
    connections = [
        await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.3", 0))
        for _ in range(10)
    ]
    async with tcp(server, "127.0.0.3") as one_more:
        assert await one_more.rest() == b""
    server.wait_for_log(
        "limit_reached", address="127.0.0.3", setting="SIO_MAX_CONNECTIONS_PER_ADDRESS"
    )
    async with tcp(server, "127.0.0.4") as other:
        other.writer.write(request("/healthz"))
        assert (await other.response())[0] == 200
    connections[0][1].close()

    async with asyncio.timeout(TIMEOUT):
        while True:
            async with tcp(server, "127.0.0.3") as again:
                again.writer.write(request("/healthz", headers="Connection: close\r\n"))
                if await again.rest():
                    break
    for _, writer in connections:
        writer.close()


async def test_new_consumers_of_an_address_are_bounded(start_server: Start) -> None:
    """On every door. At first, there may be as many as the address may have at once."""
    server = start_server(max_connections_per_address=8, connect_rate=1)
    async with aiohttp.ClientSession() as http:
        statuses: list[int] = []
        for number in range(10):
            path = "/api/stream" if number % 2 else f"{ENGINE}polling"
            async with http.get(server.url + path) as response:
                statuses.append(response.status)
        assert statuses == [200] * 8 + [429] * 2
        async with http.ws_connect(server.ws_url) as websocket:
            await websocket.receive(TIMEOUT)
            assert websocket.close_code == 1013
    server.wait_for_log("limit_reached", address="127.0.0.1", setting="SIO_CONNECT_RATE")


async def test_guessing_keys_is_slow_on_all_doors_together(start_server: Start) -> None:
    """After too many wrong keys of an address, not even the right one is looked at."""
    server = start_server(producer_keys=KEY, rate_limit=6)
    async with aiohttp.ClientSession() as http:
        for number in range(4):
            headers = {"Authorization": f"Bearer wrong {number}"}
            async with http.get(f"{server.url}/api/events", headers=headers) as response:
                assert response.status == 401
        for number in range(3):
            with pytest.raises(ConnectionRefusedError):
                async with raw_socketio(server.url, "polling", {"token": f"wrong {number}"}):
                    pass
        headers = {"Authorization": f"Bearer {KEY}"}
        async with http.get(f"{server.url}/api/events", headers=headers) as response:
            assert response.status == 429
            assert (await response.json(content_type=None))["code"] == "rate_limited"
    with pytest.raises(ConnectionRefusedError, match="rate_limited"):
        async with raw_socketio(server.url, "polling", {"token": KEY}):
            pass
    async with raw_socketio(server.url, "polling", {"token": KEY}, address="127.0.0.5"):
        pass
    lines = [line for line in server.log if line["message"] == "credential_refused"]
    assert len(lines) == 7
    assert "wrong" not in "".join(server.raw)


@pytest.mark.parametrize("door", ["plain", "websocket", "polling"])
async def test_coming_back_does_not_reset_the_rate(start_server: Start, door: str) -> None:
    """Another address has its own."""
    server = start_server(rate_limit=5)

    async def pings(count: int, address: str = "127.0.0.1") -> list[str]:
        codes = []
        if door == "plain":
            connector = aiohttp.TCPConnector(local_addr=(address, 0))
            async with (
                aiohttp.ClientSession(connector=connector) as http,
                http.ws_connect(f"{server.ws_url}/ws?room=type:furniture_deleted") as websocket,
            ):
                for _ in range(count):
                    await websocket.send_json({"type": "ping"})
                    answer = await websocket.receive_json(timeout=TIMEOUT)
                    codes.append(answer.get("code", answer["type"]))
            return codes
        async with raw_socketio(server.url, door, {"rooms": []}, address=address) as client:
            for _ in range(count):
                answer = await client.call("subscribe", "[]")
                codes.append("pong" if answer["ok"] else answer["error"]["code"])
            await client.send("1" if door == "polling" else "41")
        return codes

    async def have_left(count: int) -> None:
        def left() -> int:
            return sum(line["message"] == "disconnected" for line in server.log)

        await asyncio.to_thread(wait_until, lambda: left() == count, "the client has left")

    assert await pings(5) == ["pong"] * 5
    await have_left(1)
    assert await pings(2) == ["rate_limited"] * 2
    await have_left(2)
    assert await pings(2, "127.0.0.6") == ["pong"] * 2


CONTROL_FRAMES = {
    "pings": frame(FINAL | PING, b""),
    "pongs": frame(FINAL | PONG, b""),
    "fragments": frame(0, b""),
}
ENGINE_PACKETS = {
    "noops": frame(FINAL | TEXT, b"6"),
    "engine pongs": frame(FINAL | TEXT, b"3"),
    "acks": frame(FINAL | TEXT, b"431[]"),
    "CONNECT packets": frame(FINAL | TEXT, b'40/nowhere,{"a":1}'),
}


@pytest.mark.parametrize(
    ("door", "kind"),
    [
        *[("plain", kind) for kind in CONTROL_FRAMES],
        *[("socketio", kind) for kind in (*CONTROL_FRAMES, *ENGINE_PACKETS)],
    ],
)
async def test_frames_that_bring_no_message_are_counted(
    start_server: Start, door: str, kind: str
) -> None:
    """Over the rate they are not answered. At ten times the rate the connection is closed."""
    server = start_server(rate_limit=10)
    async with tcp(server) as connection:
        path = "/ws?room=type:furniture_deleted" if door == "plain" else f"{ENGINE}websocket"
        connection.writer.write(request(path, headers=UPGRADE))
        await connection.reader.readuntil(b"\r\n\r\n")
        if door == "socketio":
            connection.writer.write(frame(FINAL | TEXT, b'40{"rooms":[]}'))
            await connection.reader.readuntil(b'"ready"')
        if kind == "fragments":
            connection.writer.write(frame(TEXT, b""))
        connection.writer.write((CONTROL_FRAMES | ENGINE_PACKETS)[kind] * 200)
        received = await connection.rest()
    if kind == "pings":
        assert received.count(b"\x8a\x00") == 10
    if door == "plain":
        assert b"\x03\xf5over the rate limit" in received  # 1013


async def test_small_packets_of_polling_bodies_are_counted(start_server: Start) -> None:
    """The session is closed in the middle of the body."""
    server = start_server(rate_limit=10)
    async with raw_socketio(server.url, "polling", {"rooms": []}) as client:
        await client.send("\x1e".join(["6"] * 80))
        assert (await client.call("subscribe", "[]"))["error"]["code"] == "rate_limited"
        with pytest.raises(Closed):
            await client.send("\x1e".join(["6"] * 99))
            await client.receive("4")


async def test_commands_over_the_rate_are_not_decoded(start_server: Start) -> None:
    """Even text that is not JSON gets ``rate_limited``. Acknowledgements still find their way."""
    server = start_server(rate_limit=3)
    async with plain(f"{server.url}/ws?room=type:furniture_deleted") as client:
        for _ in range(4):
            await client.send({"type": "ping"})
            await client.receive()
        await client.send('{"type": "ping", "ref": 1}')
        answer = await client.receive()
        assert answer["code"] == "rate_limited"
        assert "ref" not in answer
    auth: dict[str, Any] = {"rooms": []}
    async with raw_socketio(server.url, "websocket", auth, address="127.0.0.2") as socketio:
        for _ in range(4):
            await socketio.call("subscribe", "[]")
        answer = await socketio.call("subscribe", "not JSON at all")
        assert answer["error"]["code"] == "rate_limited"


async def test_a_producer_may_publish_over_the_rate(start_server: Start) -> None:
    """Its publishing has no limit, so its commands are decoded."""
    server = start_server(rate_limit=3, producer_keys=KEY, open_publish="off")
    async with raw_socketio(server.url, "websocket", {"token": KEY, "rooms": []}) as client:
        for _ in range(5):
            await client.call("subscribe", "[]")
        for _ in range(20):
            assert (await client.call("furniture_created", json.dumps(GOOD)))["ok"] is True


@pytest.mark.parametrize("path", DOORS.values(), ids=DOORS)
async def test_malformed_requests_are_counted(start_server: Start, path: str) -> None:
    """Over the rate of the address they get 429. At ten times the rate the connection is closed."""
    server = start_server(rate_limit=5)
    async with tcp(server) as connection:
        connection.writer.write(request(path) * 200)
        statuses = re.findall(rb"HTTP/1.1 (\d+)", await connection.rest())
    assert statuses[:5] == [b"400" if "EIO" in path else b"404"] * 5
    assert set(statuses[5:]) == {b"429"}
    assert len(statuses) == 50


@pytest.mark.parametrize("path", ["/api/events?limit=1000", "/socket.io/socket.io.min.js"])
async def test_an_unread_response_is_aborted(start_server: Start, path: str) -> None:
    """The client makes no progress for ``slow_seconds``."""
    server = start_server(slow_seconds=0.3)
    big = {**GOOD, "furniture": {**GOOD["furniture"], "relleno": "x" * 50_000}}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{server.url}/api/events/batch", json={"events": [big] * 6}) as done:
            assert done.status == 200
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(request(path) * 300)

        def is_closed() -> bool:
            try:
                client.send(b"\r\n")
            except OSError:
                return True
            return False

        await asyncio.to_thread(wait_until, is_closed, "the server has aborted the connection")


@pytest.mark.parametrize(
    "data",
    [
        request("/healthz"),
        request(f"{ENGINE}polling"),
        request("/api/events", "POST", "Content-Type: application/json\r\n", b"{}"),
        request("/healthz") * 3,
    ],
    ids=["get", "handshake", "post", "pipelined"],
)
async def test_a_client_that_has_stopped_sending_gets_its_responses(
    server: Server, data: bytes
) -> None:
    """It closes its sending side right after the requests, as ``nc -N`` does."""
    async with tcp(server) as connection:
        connection.writer.write(data)
        connection.writer.write_eof()
        received = await connection.rest()
    assert received.count(b"HTTP/1.1 ") == data.count(b" HTTP/1.1\r\n")


@pytest.mark.parametrize("path", ["/api/events", f"{ENGINE}polling"])
async def test_breaking_off_a_body_leaves_no_error(start_server: Start, path: str) -> None:
    """Neither a half-closed connection nor a reset one does."""
    server = start_server()
    async with aiohttp.ClientSession() as http:
        client = RawSocketIO(http, server.url)
        await client.open("polling")
    if "EIO" in path:
        path += f"&sid={client.eio_sid}"
    whole = request(path, "POST", "Content-Type: application/json\r\n", b"x" * 1000)
    for half_closes in (True, False):
        async with tcp(server) as connection:
            connection.writer.write(whole[:-10])
            await asyncio.sleep(0.05)  # so that the server waits for the body
            if half_closes:
                connection.writer.write_eof()
                await connection.rest()
            else:
                connection.writer.transport.abort()
    async with tcp(server) as connection:
        connection.writer.write(request("/healthz"))
        assert (await connection.response())[0] == 200
    assert not [line for line in server.raw if "InvalidStateError" in line or "Traceback" in line]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_attachments_must_arrive_in_time(start_server: Start, transport: str) -> None:
    """The connection of a client that sends only some of them is closed."""
    server = start_server(connect_timeout=0.5)
    async with raw_socketio(server.url, transport, {"rooms": []}) as client:
        await client.send('452-["x"]')
        with pytest.raises(Closed):
            await client.receive("4")


async def test_an_upgrade_cannot_be_expected_into_a_response(server: Server) -> None:
    """The text of an unknown ``Expect`` is not sent back."""
    async with tcp(server) as connection:
        connection.writer.write(request("/healthz", headers="Expect: <script>\r\n"))
        status, headers, body = await connection.response()
    assert (status, json.loads(body)["code"]) == (400, "invalid_message")
    assert "script" not in body
    assert headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("path", ["/api/events", "/healthz", f"{ENGINE}nonsense", "/nothing"])
async def test_json_is_not_sniffed(server: Server, path: str) -> None:
    """A browser must not take it for a page."""
    async with tcp(server) as connection:
        connection.writer.write(request(path))
        _, headers, _ = await connection.response()
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["keep-alive"] == "timeout=75"


async def test_a_name_before_an_at_sign_is_not_a_loopback_host(server: Server) -> None:
    """Only a plain loopback name lets a local program publish without a key."""
    body = json.dumps(GOOD).encode()
    for host, status in (("localhost:1", 201), ("evil.com@localhost", 403)):
        async with tcp(server) as connection:
            data = request("/api/events", "POST", "Content-Type: application/json\r\n", body)
            connection.writer.write(re.sub(rb"Host: [^\r]*", f"Host: {host}".encode(), data))
            assert (await connection.response())[0] == status


async def test_running_out_of_files_is_one_log_line(start_server: Start) -> None:
    """The server closes further connections, and serves again as soon as some have ended."""
    server = start_server(max_open_files=100)
    server.wait_for_log("few_open_files", limit=100)
    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
    async with tcp(server) as one_more:
        assert await one_more.rest() == b""
    server.wait_for_log("limit_reached")
    for _, writer in opened:
        writer.close()
    async with asyncio.timeout(TIMEOUT):
        while True:
            async with tcp(server) as again:
                again.writer.write(request("/healthz", headers="Connection: close\r\n"))
                if (await again.rest()).startswith(b"HTTP/1.1 200"):
                    break
    assert sum(line["message"] == "limit_reached" for line in server.log) == 1
