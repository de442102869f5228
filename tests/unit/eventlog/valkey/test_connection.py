"""Connections to Valkey: the three errors, cancellation, URLs, TLS, and the check of the server."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sio_server.contract.errors import LogUnavailable, StartError
from sio_server.contract.events import Event
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.valkey.connection import (
    CutOffError,
    LuaScript,
    NotSentError,
    RefusedError,
    ValkeyAddress,
    ValkeyConnection,
    ValkeyPool,
)
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.server import ROOT
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import append, url_through
from tests.unit.eventlog.waiting import until

CERTIFICATES = ROOT / "tests" / "certificates"

STEPS = 30
"""More than the loop's steps of a request until nothing but its answer is missing."""

SWEEP = (
    LuaScript("sessions.lua"),
    [f"{PREFIX}:sessions{name}" for name in ("", ":connected", ":brief", ":long")],
    *("sweep", f"{PREFIX}:session:", *[1] * 8),
)
"""A call of a script that may run twice. Its answer is 0 if there are no sessions."""

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]

# Requests.


async def test_an_unreachable_server_gets_no_request(proxy: LossyProxy) -> None:
    """If the connection cannot be opened, the error says that nothing was sent."""
    proxy.open = False
    connection = ValkeyConnection(ValkeyAddress(url_through(proxy)))
    with pytest.raises(NotSentError):
        await connection.request(("SET", "key", "value"))


async def test_a_refused_request_changes_nothing(valkey: Valkey) -> None:
    """The error carries the server's words, and the connection stays usable."""
    connection = ValkeyConnection(ValkeyAddress(valkey.url))
    with pytest.raises(RefusedError, match="unknown command"):
        await connection.request(("NO_SUCH_COMMAND",))
    assert await connection.request(("ECHO", "text"), ("ECHO", "more")) == ["text", "more"]
    await connection.close()


@pytest.mark.parametrize("lost", ["requests", "answers"])
async def test_a_cut_says_that_the_request_may_have_been_executed(
    proxy: LossyProxy, lost: str
) -> None:
    """A lost request and a lost answer look the same; the next request connects again."""
    connection = ValkeyConnection(ValkeyAddress(url_through(proxy)))
    await connection.connect()
    proxy.losses = 1
    setattr(proxy, lost, b"ECHO")
    with pytest.raises(CutOffError):
        await connection.request(("ECHO", "text"))
    assert await connection.request(("ECHO", "text")) == ["text"]
    await connection.close()


async def test_a_pool_runs_a_script_again_after_one_cut(proxy: LossyProxy) -> None:
    """Its scripts may run twice; a second cut in a row is an error."""
    pool = ValkeyPool(ValkeyAddress(url_through(proxy)))
    proxy.answers = b"sweep"
    assert await pool.run_script(*SWEEP) == 0
    proxy.losses = 1
    assert await pool.run_script(*SWEEP) == 0
    proxy.losses = 2
    with pytest.raises(CutOffError):
        await pool.run_script(*SWEEP)
    await pool.close()


async def test_a_server_without_the_script_gets_its_text(own_valkey: Valkey) -> None:
    """A server forgets its scripts when it restarts."""
    connection = ValkeyConnection(ValkeyAddress(own_valkey.url))
    for _ in range(2):
        with own_valkey.client as client:
            client.script_flush()
        assert await connection.run_script(*SWEEP) == 0
    await connection.close()


async def test_a_request_can_be_cancelled_at_every_step(valkey: Valkey) -> None:
    """It ends while it connects, sends or waits; otherwise the tail could not leave a long read."""
    connection = ValkeyConnection(ValkeyAddress(valkey.url))
    for open_before in (False, True):
        for steps in range(STEPS):
            if open_before:
                await connection.connect()
            request = asyncio.create_task(
                connection.request(("BLPOP", "nothing", 3_600), extra_seconds=3_600)
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            request.cancel()
            await until(request.done)
            assert request.cancelled()
    await connection.close()


# The URL.


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1", "redis://127.0.0.1:port", "redis://127.0.0.1?no_such_option=hunter2"],
)
async def test_an_unusable_url_stops_the_start(url: str) -> None:
    """The message does not show the URL, which may hold a password."""
    with pytest.raises(StartError, match="SIO_EVENT_LOG") as caught:
        await ValkeyLog(url, Retention()).open()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_log_connects_over_tls(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, trusted: bool
) -> None:
    """If the server's certificate is not trusted, the server counts as unreachable."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "localhost.pem", CERTIFICATES / "localhost.key")
    pipes: set[asyncio.Task[None]] = set()

    async def forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
        sink.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", own_valkey.port)
        for source, sink in ((reader, to_writer), (to_reader, writer)):
            pipes.add(asyncio.create_task(forward(source, sink)))

    front = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    port = front.sockets[0].getsockname()[1]
    trust = f"?ssl_ca_certs={CERTIFICATES / 'localhost.pem'}" if trusted else ""
    log = await open_valkey_log(f"valkeys://localhost:{port}/0{trust}")
    if trusted:
        (receipt,) = await append(log, event("a"))
        assert receipt.offset.seq == 1
    else:
        with pytest.raises(LogUnavailable):
            await log.bounds()
    await log.close()
    front.close()
    await asyncio.gather(*pipes)


async def test_a_log_connects_through_a_unix_socket(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Another database of the same server is another log."""
    folder = Path(tempfile.mkdtemp())  # pytest's folders are too long for a socket's path
    server = Valkey(tmp_path / "valkey", unixsocket=str(folder / "valkey.sock"))
    server.start()
    try:
        logs = [
            await open_valkey_log(f"unix://{folder}/valkey.sock?db={number}") for number in (0, 1)
        ]
        first, second = [(await append(log, event("a")))[0] for log in logs]
        assert first.offset.seq == second.offset.seq == 1
        assert first.offset.epoch != second.offset.epoch
        for log in logs:
            await log.close()
    finally:
        server.stop()
        shutil.rmtree(folder)


# The check of the server.


@pytest.mark.parametrize("credentials", ["", ":hunter3@", "nobody:hunter3@"])
async def test_a_refused_password_stops_the_start(
    tmp_path: Path, open_valkey_log: MakeLog, credentials: str
) -> None:
    """A missing or wrong password, or a wrong user, stops the start. The right one does not."""
    server = Valkey(tmp_path / "valkey", requirepass="hunter2")
    server.start()
    try:
        with pytest.raises(StartError, match=r"SIO_EVENT_LOG.*refuses") as caught:
            await open_valkey_log(f"redis://{credentials}127.0.0.1:{server.port}/0")
        assert "hunter" not in str(caught.value)
        right = await open_valkey_log(f"valkey://:hunter2@127.0.0.1:{server.port}/0")
        await right.bounds()
        await right.close()
    finally:
        server.stop()


async def test_a_missing_database_stops_the_start(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The server has 16 databases; the URL names another one."""
    with pytest.raises(StartError, match="SIO_EVENT_LOG"):
        await open_valkey_log(own_valkey.url.replace("/0", "/16"))


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_deletes_keys_stops_the_start(
    own_valkey: Valkey, open_valkey_log: MakeLog, policy: str
) -> None:
    """This holds if its memory is bounded. The message says which policy to set."""
    with own_valkey.client as client:
        client.config_set("maxmemory-policy", policy)
        await (await open_valkey_log(own_valkey.url)).close()
        client.config_set("maxmemory", "100mb")
        with pytest.raises(StartError, match="maxmemory-policy noeviction"):
            await open_valkey_log(own_valkey.url)
        client.config_set("maxmemory-policy", "noeviction")
    await open_valkey_log(own_valkey.url)
