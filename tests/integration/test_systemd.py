"""The units in ``deploy/systemd``, and what the server tells systemd about itself."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw import plain
from tests.support.server import ROOT, TIMEOUT, Server, readiness, start_expecting_failure

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
MAX_EXPOSURE = 25
"""Tenths of systemd's own measure of what a service could do; 100 is everything."""


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


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit(tmp_path: Path, unit: Path) -> None:
    """Every line is known, and the service can do little harm. Only the program is another one."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing")
    lines = unit.read_text().splitlines()
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    text = unit.read_text().replace(start.split()[0], f"ExecStart={sys.executable}")
    (tmp_path / unit.name).write_text(text)
    for arguments in (
        ["verify", "--man=no"],
        ["security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", "--no-pager"],
    ):
        command = [analyze, *arguments, str(tmp_path / unit.name)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        warnings = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (done.returncode, warnings) == (0, []), done.stdout + done.stderr


def test_systemd_waits_longer_than_the_drain() -> None:
    """Otherwise it would kill the server while its clients leave."""
    (unit,) = (it for it in UNITS if it.stem == "furniture-events")
    values = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    from sio_server.settings import Settings

    drain = Settings.model_fields["drain_seconds"].default
    assert int(values["TimeoutStopSec"]) >= drain + 10
