"""The two conformance servers as processes on a port, as the official suites use them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.clients import connected, socketio
from tests.support.server import ROOT, TIMEOUT


class Process:
    """A running server."""

    def __init__(self, name: str, log: Path) -> None:
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", f"tests.conformance.{name}", "--port", "0"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._log = log
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), log.read_text()
        self.url = line.split()[-1]

    def stop(self, number: int) -> tuple[int, str, str]:
        """Send a signal; return the exit status and all further output."""
        self._process.send_signal(number)
        output, _ = self._process.communicate(timeout=TIMEOUT)
        return self._process.returncode, output, self._log.read_text()

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(params=["engineio", "socketio"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    """Return each of the two servers."""
    started = Process(request.param, tmp_path / "errors")
    try:
        yield started
    finally:
        started.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_process_serves_and_stops_at_a_signal(process: Process, number: int) -> None:
    """It prints its URL with the free port, and exits with status 0."""
    async with connected(process.url, "upgraded") as client:
        assert client.handshake["pingInterval"] == 300
        assert client.handshake["pingTimeout"] == 200
        assert client.handshake["maxPayload"] == 1_000_000
        if process.url.endswith("/engine.io/"):
            await client.send("4hello", b"\x01")
            assert await client.receive() == "4hello"
            assert await client.receive() == b"\x01"
        else:
            async with socketio(process.url, "websocket", "/", "/custom") as other:
                await other.echo("hello")
                await other.send('21["message-with-ack","hello"]')
                assert await other.receive() == '31["hello"]'
    assert process.stop(number) == (0, "", "")
