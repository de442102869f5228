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
from sio_server.eventlog.valkey.address import ValkeyAddress
from sio_server.eventlog.valkey.connection import (
    CutOffError,
    LuaScript,
    NotSentError,
    RefusedError,
    ValkeyConnection,
    ValkeyPool,
)
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.server import ROOT, free_ports
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import append, url_through
from tests.unit.eventlog.waiting import until

CERTIFICATES = ROOT / "tests" / "certificates"

STEPS = 30
"""More than the loop's steps of a request until nothing but its answer is missing."""

SWEEP = (
    LuaScript("sessions.lua"),
    [f"{PREFIX}:sessions{name}" for name in ("", ":leases", ":connected", ":brief", ":long")],
    *("sweep", f"{PREFIX}:session:", *[1] * 9),
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


# Other servers than a single one.


async def test_a_server_that_becomes_a_replica_is_left(own_valkey: Valkey) -> None:
    """It refuses to write; the next request looks up the server again."""
    connection = ValkeyConnection(ValkeyAddress(own_valkey.url))
    await connection.request(("SET", "key", "value"))
    with own_valkey.client as client:
        client.replicaof("127.0.0.1", 1)
    with pytest.raises(RefusedError, match="ReadOnly"):
        await connection.request(("SET", "key", "value"))
    assert connection._connection is None


async def test_managed_valkey_with_tls_and_a_user_of_its_own(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """A real server speaks TLS, and gives the user the documented rights only."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("the Valkey of the tests has no TLS, and there is no Redis: make redis")
    (port,) = free_ports(1)
    server = Valkey(
        tmp_path / "redis",
        program=program,
        **{"tls-port": str(port), "tls-auth-clients": "no"},
        **{f"tls-{it}-file": f"{CERTIFICATES}/localhost.pem" for it in ("cert", "ca-cert")},
        **{"tls-key-file": f"{CERTIFICATES}/localhost.key"},
    )
    server.start()
    server.add_user("events", "hunter2")
    try:
        trust = f"?ssl_ca_certs={CERTIFICATES / 'localhost.pem'}"
        log = await open_valkey_log(f"rediss://events:hunter2@localhost:{port}/0{trust}")
        (receipt,) = await append(log, event("a"))
        assert receipt.offset.seq == 1
        with pytest.raises(StartError, match="refuses"):
            await open_valkey_log(f"rediss://events:hunter3@localhost:{port}/0{trust}")
        await log.close()
    finally:
        server.stop()


async def test_in_a_cluster_one_node_holds_the_log(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """That node serves it. Another one stops the start, with a message that names the node."""
    options = {"cluster-enabled": "yes"}
    ports = free_ports(2)
    nodes = [
        Valkey(tmp_path / str(port), **options, **{"cluster-port": str(port)}) for port in ports
    ]
    try:
        for node in nodes:
            node.start()
        with nodes[0].client as other, nodes[1].client as holder:
            slot = other.execute_command("CLUSTER", "KEYSLOT", PREFIX)
            other.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, slot - 1, slot + 1, 16383)
            holder.execute_command("CLUSTER", "ADDSLOTSRANGE", slot, slot)
            other.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, ports[1])
            for node in (other, holder):
                await until(lambda it=node: it.cluster("INFO")["cluster_state"] == "ok")
        with pytest.raises(StartError, match=f"127.0.0.1:{nodes[1].port} does"):
            await open_valkey_log(nodes[0].url)
        log = await open_valkey_log(nodes[1].url)
        assert (await append(log, event("a")))[0].offset.seq == 1
        await log.close()
    finally:
        for node in nodes:
            node.stop()


def test_the_sentinels_of_an_url_have_their_own_credentials() -> None:
    """And the usual port, if the URL names none. TLS is for them, too."""
    address = ValkeyAddress(
        "valkeys+sentinel://ana:hunter%402@a,[::1]:2/the%20service/3"
        "?sentinel_username=eva&sentinel_password=hunter%403&ssl_cert_reqs=none"
    )
    assert address._sentinels is not None
    assert address._sentinels._service == "the service"
    server = address._factory.connection_kwargs
    assert (server["username"], server["password"], server["db"]) == ("ana", "hunter@2", 3)
    places = [it.connection_kwargs for it in address._sentinels._factories]
    assert [(it["host"], it["port"]) for it in places] == [("a", 26379), ("::1", 2)]
    for it in places:
        assert (it["username"], it["password"]) == ("eva", "hunter@3")
        assert "db" not in it
        assert it["ssl_cert_reqs"] == server["ssl_cert_reqs"] == "none"
