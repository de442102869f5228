"""The server with a certificate of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.certificates import Files, trusting, write_certificate
from tests.support.https import check_every_transport
from tests.support.server import TIMEOUT, Server, start_expecting_failure
from tests.support.transports import running

GOOD: dict[str, Any] = load_vectors("events.json")[0]["publish"]

Start = Callable[..., Server]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return the files of a certificate."""
    return write_certificate(tmp_path, "first")


@pytest.fixture
def server(start_server: Start, files: Files) -> Server:
    """Return a server with this certificate."""
    return start_server(
        tls_cert=files.certificate, tls_key=files.key, open_publish="anyone", connect_timeout="1"
    )


async def name_of(server: Server, context: ssl.SSLContext) -> str:
    """Return the common name of the server's certificate."""
    return await asyncio.to_thread(_name_of, server.port, context)


def _name_of(port: int, context: ssl.SSLContext) -> str:
    with (
        socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1") as encrypted,
    ):
        certificate: Any = encrypted.getpeercert()
    ((_, name),), *_ = certificate["subject"]
    return str(name)


async def test_every_transport_works_over_tls(server: Server, files: Files) -> None:
    """Also the same origin, which is that of https."""
    await check_every_transport(f"https://127.0.0.1:{server.port}", files, GOOD)
    assert server.wait_for_log("listening")["tls"] is True


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"x" * 100_000])
async def test_a_handshake_that_does_not_come_is_closed(server: Server, sent: bytes) -> None:
    """Within the time for a complete head, without a log line of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    async with asyncio.timeout(TIMEOUT):
        try:
            while await reader.read(1024):
                pass
        except ConnectionError:
            pass
    writer.close()
    assert not [line for line in server.log if line.get("level") in ("error", "critical")]


async def test_handshakes_count_as_connections(start_server: Start, files: Files) -> None:
    """A client cannot hold more connections without a handshake than with one."""
    server = start_server(
        tls_cert=files.certificate, tls_key=files.key, max_connections_per_address="2"
    )
    context = trusting(files)
    silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await name_of(server, context)
    for _, writer in silent:
        writer.close()

    async def can_connect() -> bool:
        try:
            return await name_of(server, context) == "first"
        except (ConnectionError, ssl.SSLError):
            return False

    async with asyncio.timeout(TIMEOUT):
        while not await can_connect():
            await asyncio.sleep(0.05)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_an_old_version_of_tls_is_refused(server: Server, files: Files) -> None:
    """1.2 is the oldest."""
    context = trusting(files)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # the client itself would allow it
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await name_of(server, context)
    context = trusting(files)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await name_of(server, context) == "first"


async def test_sighup_replaces_the_certificate_under_load(
    server: Server, files: Files, tmp_path: Path
) -> None:
    """Open connections stay, and every event arrives. A bad file changes nothing."""
    first = trusting(files)
    base = f"https://127.0.0.1:{server.port}"
    received: list[str] = []
    async with (
        aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(ssl=first)) as http,
        http.ws_connect("/ws") as socket,
    ):

        async def read() -> None:
            while True:
                received.append((await socket.receive_json())["id"])

        async def publish() -> None:
            number = 0
            while True:
                async with http.post("/api/events", json={**GOOD, "id": f"{number}"}) as response:
                    assert response.status == 201
                sent.append(f"{number}")
                number += 1

        sent: list[str] = []
        async with running(read()), running(publish()):
            await wait_for(lambda: len(sent) > 50)
            (tmp_path / "second").mkdir()
            second = write_certificate(tmp_path / "second", "second")
            for old, new in zip(files, second, strict=True):
                old.write_bytes(new.read_bytes())
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(server.wait_for_log, "certificate_reloaded")
            assert await name_of(server, trusting(second)) == "second"
            files.key.write_text("nonsense")
            server.process.send_signal(signal.SIGHUP)
            line = await asyncio.to_thread(server.wait_for_log, "certificate_not_reloaded")
            assert str(files.key) in line["reason"]
            assert await name_of(server, trusting(second)) == "second"
            last = len(sent)
            await wait_for(lambda: len(sent) > last + 50)
        await wait_for(lambda: len(received) >= len(sent))
    assert received[: len(sent)] == sent


async def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for a condition, while other tasks run."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("bad", ["missing", "nonsense", "password", "another key", "only one"])
def test_a_certificate_that_cannot_be_used_stops_the_start(
    tmp_path: Path, files: Files, bad: str
) -> None:
    """The message names the setting and the files, and asks for no password."""
    settings = {"tls_cert": files.certificate, "tls_key": files.key}
    (tmp_path / "other").mkdir()
    match bad:
        case "missing":
            files.key.unlink()
        case "nonsense":
            files.certificate.write_text("nonsense")
        case "password":
            settings["tls_key"] = write_certificate(tmp_path / "other", "x", b"secret").key
        case "another key":
            settings["tls_key"] = write_certificate(tmp_path / "other", "x").key
        case "only one":
            del settings["tls_key"]
    message = start_expecting_failure(tmp_path, **settings)
    assert "SIO_TLS_CERT" in message
    assert json.dumps(message).count("\\n") <= 1
