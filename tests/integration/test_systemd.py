"""What the server tells systemd about itself."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw import plain
from tests.support.server import TIMEOUT, Server, readiness, start_expecting_failure


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return the socket of a supervisor, with a watchdog of 0.2 s, for the servers of this test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(TIMEOUT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        yield listening


def next_state(channel: socket.socket) -> str:
    """Wait for the next message that is no sign of life."""
    while (message := channel.recv(4096).decode()) == "WATCHDOG=1":
        pass
    return message


async def test_systemd_learns_when_the_server_serves_and_when_it_drains(
    tmp_path: Path, channel: socket.socket
) -> None:
    """READY when clients can connect, signs of life, STOPPING while the clients are closed."""
    server = Server(tmp_path)
    assert next_state(channel) == f"READY=1\nSTATUS=serving on port {server.port}"
    assert readiness(server.url) == 200
    assert [channel.recv(4096) for _ in range(2)] == [b"WATCHDOG=1"] * 2
    async with plain(f"{server.ws_url}/ws"):
        server.process.terminate()
        assert next_state(channel) == "STOPPING=1\nSTATUS=closing the clients within 1 s"
        assert server.process.poll() is None
        assert server.process.wait(TIMEOUT) == 0


def test_a_server_that_cannot_listen_is_never_ready(tmp_path: Path, channel: socket.socket) -> None:
    """So systemd reports that the start has failed."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        start_expecting_failure(tmp_path, host="127.0.0.1", port=port, event_log="memory://")
    channel.settimeout(0)
    with pytest.raises(BlockingIOError):
        channel.recv(4096)


def test_a_reload_never_ends_the_server(tmp_path: Path, channel: socket.socket) -> None:
    """``systemctl reload`` sends SIGHUP, also if there is nothing to read again."""
    server = Server(tmp_path)
    server.process.send_signal(signal.SIGHUP)
    server.wait_until_ready()
    assert server.stop() == 0
