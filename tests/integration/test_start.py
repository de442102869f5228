"""Start and stop: one clear message if the server cannot start, exit status 0 after a signal."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from sio_server.settings import Settings
from tests.conftest import load_vectors
from tests.support.history import read_history
from tests.support.raw import Closed, RawSocketIO, plain, raw_socketio
from tests.support.server import ROOT, TIMEOUT, Server, start_expecting_failure

GOOD = load_vectors("events.json")[0]["publish"]

Start = Callable[..., Server]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"prot": "1"}, "SIO_PROT"),
        ({"port": "http"}, "SIO_PORT"),
        ({"port": "70000"}, "SIO_PORT"),
        ({"ping_interval": "0"}, "SIO_PING_INTERVAL"),
        ({"open_publish": "yes"}, "SIO_OPEN_PUBLISH"),
        ({"log_format": "xml"}, "SIO_LOG_FORMAT"),
        ({"event_log": "mysql://x"}, "SIO_EVENT_LOG"),
        ({"event_log": "redis://127.0.0.1:port"}, "SIO_EVENT_LOG"),
        ({"event_log": "redis://127.0.0.1?no_such_option=1"}, "SIO_EVENT_LOG"),
        ({"cors_origins": "example.com"}, "SIO_CORS_ORIGINS"),
        ({"trusted_proxies": "proxy"}, "SIO_TRUSTED_PROXIES"),
        ({"jwt_secret": "x" * 31}, "SIO_JWT_SECRET"),
        ({"jwt_jwks": "nowhere.json"}, "SIO_JWT_JWKS"),
        ({"producer_keys": "x" * 15}, "SIO_PRODUCER_KEYS"),
        ({"jwt_public_key": "x"}, "SIO_JWT_PUBLIC_KEY"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    """The server ends with one line that names the setting."""
    output = start_expecting_failure(tmp_path, **settings)
    assert named in output
    assert len(output.splitlines()) == 1


def test_missing_packages_are_named() -> None:
    """A Python without them says how to get them."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "sio_server", "position"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sio_server: ")
    assert "make run" in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """The server ends with one line that names the address."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        output = start_expecting_failure(
            tmp_path, host="127.0.0.1", port=port, event_log="memory://"
        )
    assert f"127.0.0.1:{port}" in output
    assert len([line for line in output.splitlines() if line.startswith("sio_server:")]) == 1


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """The server ends with a message that names the file, and does not change the file."""
    file = tmp_path / "events.db"
    file.write_text("no database, but a shopping list; " * 100)
    output = start_expecting_failure(tmp_path, event_log="sqlite:///events.db", port=0)
    assert "events.db" in output
    assert "Traceback" not in output
    assert file.read_text().startswith("no database")


def test_help_lists_every_setting(tmp_path: Path) -> None:
    """``--help`` shows each setting as an option."""
    command = [sys.executable, "-m", "sio_server", "--help"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    output = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in output


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    """A bad value only matters if no stronger source overrides it."""
    (tmp_path / ".env").write_text("SIO_PORT=nonsense\n")
    Server(tmp_path).stop()
    output = start_expecting_failure(tmp_path, "--port", "nothing", port="8765")
    assert "nothing" in output


async def test_the_event_log_is_in_var_by_default(tmp_path: Path) -> None:
    """The folder is created. Events and offsets survive a restart and a kill."""
    async with aiohttp.ClientSession() as http:

        async def publish(url: str) -> str:
            async with http.post(f"{url}/api/events", json=GOOD) as response:
                return str((await response.json())["offset"])

        first = Server(tmp_path, event_log="sqlite:///var/events.db")
        before = await publish(first.url)
        assert first.stop() == 0
        assert (tmp_path / "var" / "events.db").is_file()
        second = Server(tmp_path, event_log="sqlite:///var/events.db")
        async with http.get(f"{second.url}/api/events") as response:
            logged = (await response.json())["events"]
        assert [event["offset"] for event in logged] == [before]
        after = await publish(second.url)
        second.kill()
        third = Server(tmp_path, event_log="sqlite:///var/events.db")
        async with http.get(f"{third.url}/api/events", params={"since": before}) as response:
            logged = (await response.json())["events"]
        assert [event["offset"] for event in logged] == [after]
        assert third.stop() == 0


async def test_several_addresses_and_both_families_have_the_same_port(tmp_path: Path) -> None:
    """A client that resolves ``localhost`` to ``::1`` finds the server, too."""
    server = Server(tmp_path, host="0.0.0.0,::", ops_port=0)
    assert server.wait_for_log("listening")["addresses"] == "0.0.0.0,::"
    ops_port = server.wait_for_log("ops_listening")["port"]
    async with aiohttp.ClientSession() as http:
        for host in ("127.0.0.1", "[::1]"):
            for path in (f"{server.port}/api/events", f"{ops_port}/healthz"):
                async with http.get(f"http://{host}:{path}") as response:
                    assert response.status == 200
        async with plain(f"http://[::1]:{server.port}") as client:
            await client.send({"type": "ping"})
            assert (await client.receive())["type"] == "pong"
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("host", "places"),
    [
        ("192.0.2.1", "192.0.2.1:0: Cannot assign requested address"),
        ("no-such-host.invalid", "no-such-host.invalid:0: "),
        ("127.0.0.1,192.0.2.1", "127.0.0.1:0, 192.0.2.1:0: "),
        ("::1, 2001:db8::1", "[::1]:0, [2001:db8::1]:0: "),
    ],
)
def test_an_address_that_cannot_be_used_stops_the_start(
    tmp_path: Path, host: str, places: str
) -> None:
    """The message names it."""
    message = start_expecting_failure(tmp_path, host=host, port=0)
    assert f"can't listen on {places}" in message
    assert "Traceback" not in message


async def test_a_second_server_on_the_same_log_is_refused(tmp_path: Path) -> None:
    """The second server ends with a message that names the file."""
    server = Server(tmp_path, event_log="sqlite:///events.db")
    output = start_expecting_failure(tmp_path, event_log="sqlite:///events.db", port=0)
    assert "events.db" in output
    assert "Traceback" not in output
    assert server.stop() == 0


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_stop_closes_consumers_so_that_they_reconnect(
    start_server: Start, transport: str
) -> None:
    """Socket.IO transports end without a DISCONNECT, plain WebSockets with code 1001."""
    server = start_server(drain_seconds=0.2)
    async with aiohttp.ClientSession() as http, plain(server.url) as client:
        socketio = RawSocketIO(http, server.url)
        await socketio.open(transport)
        await socketio.connect()
        server.process.terminate()
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert closed.value.code == 1001
        with pytest.raises((Closed, aiohttp.ClientConnectionError)):
            await socketio.receive("4")  # a DISCONNECT would be 41
        await socketio.close()
    assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_more_signals_while_the_server_stops_change_nothing(tmp_path: Path, number: int) -> None:
    """Until the process has ended, they neither kill it nor print a traceback."""
    server = Server(tmp_path)
    while server.process.poll() is None:
        server.process.send_signal(number)
    assert server.process.returncode == 0
    assert "Traceback" not in "".join(server.raw)


async def test_a_stop_acknowledges_every_appended_event(tmp_path: Path) -> None:
    """Publishes in flight finish and are acknowledged before the connection is closed."""
    server = Server(tmp_path, event_log="sqlite:///events.db")
    acknowledged, refused = set(), set()
    async with plain(f"{server.url}/ws?room=type:furniture_deleted") as client:
        for number in range(500):
            await client.send({**GOOD, "id": f"{number}", "ref": f"{number}"})
        server.process.terminate()
        with pytest.raises(Closed) as closed:
            while True:
                answer = await client.receive()
                (acknowledged if answer["type"] == "ack" else refused).add(answer["ref"])
    assert closed.value.code == 1001
    assert server.stop() == 0
    again = Server(tmp_path, event_log="sqlite:///events.db")
    logged = {event["id"] for event in await read_history(again.url)}
    assert again.stop() == 0
    assert logged == acknowledged
    assert not logged & refused


async def test_a_draining_server_is_alive_and_refuses_new_requests(start_server: Start) -> None:
    """``/healthz`` and ``/metrics`` answer 200; ``/readyz`` and all new requests get 503."""
    server = start_server(drain_seconds=5)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        sockets = [await http.ws_connect(server.ws_url) for _ in range(400)]
        async with http.get(f"{server.url}/readyz") as response:
            assert response.status == 200
        server.process.terminate()
        server.wait_for_log("draining")
        for path, status in (
            ("/healthz", 200),
            ("/metrics", 200),
            ("/readyz", 503),
            ("/", 503),
            ("/api/events", 503),
            ("/socket.io/?EIO=4&transport=polling", 503),
        ):
            async with http.get(server.url + path) as response:
                assert response.status == status, path
        async with http.post(f"{server.url}/api/events", json=GOOD) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            answer = await response.json(content_type=None)
            assert answer["code"] == "shutting_down"
        for socket_ in sockets:
            await socket_.close()
    assert server.stop() == 0


async def test_the_metrics_count_publishes_deliveries_and_connections(start_server: Start) -> None:
    """They count refusals, too."""
    server = start_server()
    async with aiohttp.ClientSession() as http, plain(server.url) as client:
        async with raw_socketio(server.url, "websocket"):
            await client.send(GOOD)
            await client.receive()
            await client.send("nonsense")
            await client.receive()
            async with http.get(f"{server.url}/metrics") as response:
                assert response.headers["Content-Type"].startswith("text/plain; version=")
                metrics = await response.text()
    for line in (
        'sio_events_published_total{duplicate="false",type="furniture_created"} 1.0',
        "sio_deliveries_total 2.0",
        'sio_commands_refused_total{code="invalid_json"} 1.0',
        'sio_connections{transport="websocket"} 1.0',
        'sio_connections{transport="socketio"} 1.0',
    ):
        assert line in metrics


def test_silent_clients_do_not_delay_a_stop(start_server: Start) -> None:
    """One client never sends a request, and one never answers the close of its WebSocket."""
    server = start_server()
    with (
        socket.create_connection(("127.0.0.1", server.port), TIMEOUT),
        socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as silent,
    ):
        silent.sendall(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert silent.recv(4096).startswith(b"HTTP/1.1 101 ")
        server.wait_for_log("connected", transport="websocket")
        assert server.stop() == 0
        assert silent.recv(4096).startswith(b"\x88")
    assert not [line for line in server.raw if "Traceback" in line or "Warning" in line]
