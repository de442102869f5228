"""The servers under drops: each in a process of its own on the first core, or anywhere at a URL."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from benchmarks import servers, storage
from benchmarks.servers import ServerError

PYTHON_OF_PEERS = servers.HERE.parent / ".venv/peers/bin/python"
SERVER_PORTS = range(20_000, 30_000)
"""Below the ports that Linux gives to clients by default."""

STOP_SECONDS = 10
"""Seconds from SIGTERM to SIGKILL, as with Docker."""


@dataclass(frozen=True)
class Kind:
    """What the harness must know of a server.

    Attributes:
        label: its name in tables.
        client: the stock client that consumes: ``socketio``, ``websocket`` or ``sse``.
        consume: the path from which it consumes.
        program: the name of its program in ``benchmarks.servers``, or the app of a Django site.
        recovery: whether recovery is switched on, if it is a switch.
    """

    label: str
    client: str
    consume: str
    program: str
    recovery: bool = False


KINDS = {
    "ours": Kind("this server, socket.io-client", "socketio", "/", "ours"),
    "ours-sse": Kind("this server, EventSource", "sse", "/api/stream", "ours"),
    "node": Kind("socket.io on Node.js", "socketio", "/", "node"),
    "recovery": Kind("socket.io with connectionStateRecovery", "socketio", "/", "node", True),
    "stock": Kind("python-socketio", "socketio", "/", "stock"),
    "channels": Kind("Django Channels, Redis", "websocket", "/ws/furniture/", "channels"),
    "eventstream": Kind("django-eventstream, EventSource", "sse", "/events/", "eventstream"),
}
DJANGO = ("channels", "eventstream")
PUBLISH = "/api/events"


class Target(Protocol):
    """A server to which the harness is pointed.

    Attributes:
        consume: the URL from which consumers consume.
        publish: the URL to which the publisher sends each event, by POST.
        client: see ``Kind``.
    """

    consume: str
    publish: str
    client: str

    async def restart(self) -> None:
        """Stop the server as a deploy does, and start it again. Return as soon as it has begun."""


class Elsewhere:
    """A server that somebody else runs.

    Args:
        consume: see ``Target``.
        publish: see ``Target``.
        client: see ``Target``.
        restart_command: a shell command that restarts it; None: there is none.
    """

    def __init__(
        self, consume: str, publish: str, client: str, restart_command: str | None = None
    ) -> None:
        self.consume, self.publish, self.client = consume, publish, client
        self._restart_command = restart_command

    async def restart(self) -> None:
        """Run the command."""
        if self._restart_command is None:
            raise ServerError("a deploy needs --restart, a command that restarts the server")
        process = await asyncio.create_subprocess_shell(self._restart_command)
        if await process.wait():
            raise ServerError(f"{self._restart_command!r} failed")


class Local:
    """One of ``KINDS`` in a process, always on the same port.

    Args:
        name: its name there.
        stored: its storage, which survives a restart.
    """

    def __init__(self, name: str, stored: storage.Storage) -> None:
        self._kind = KINDS[name]
        self._stored = stored
        self._port = _free_port()
        self._process = self._begun()
        origin = f"http://127.0.0.1:{self._port}"
        self.client, self.publish = self._kind.client, origin + PUBLISH
        self.consume = origin + self._kind.consume

    def stop(self) -> None:
        """Stop it at once."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    async def restart(self) -> None:
        """Send SIGTERM, wait for the end, and start it again."""
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
        self._process = self._begun()

    def check(self) -> None:
        """Wait until it accepts connections.

        Raises:
            ServerError: it ended, or took too long.
        """
        deadline = time.monotonic() + servers.START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        printed = (self._stored.folder / "output").read_text()[-2000:]
        raise ServerError(f"{self._kind.label} did not start: {printed}")

    def _begun(self) -> subprocess.Popen[bytes]:
        kind, folder, port = self._kind, self._stored.folder, str(self._port)
        with (folder / "output").open("ab") as output:
            return subprocess.Popen(
                self._command(),
                cwd=folder,
                env={
                    **servers.environment(servers.PING_INTERVAL, recovery=kind.recovery),
                    **self._stored.settings,
                    "SIO_PORT": port,
                    "PORT": port,
                    "PUSH": kind.program,
                    "DATABASE": str(folder / "site.db"),
                },
                stdout=output,
                stderr=output,
                preexec_fn=lambda: servers.pin(servers.SERVER_CORE),  # noqa: PLW1509
            )

    def _command(self) -> list[str]:
        if self._kind.program not in DJANGO:
            return servers.command(self._kind.program, self._stored.folder)
        uvicorn = ["-m", "uvicorn", "--port", str(self._port), "--log-level", "warning"]
        uvicorn += ["--timeout-graceful-shutdown", "1"]  # else it waits for open streams
        return [
            str(PYTHON_OF_PEERS), *uvicorn, "--app-dir", str(servers.PEERS),
            "django_site:application",
        ]  # fmt: skip


@contextmanager
def running(name: str) -> Iterator[Local]:
    """Run one of ``KINDS``. Channels has a Valkey, on the load's core.

    Raises:
        ServerError: it did not start, or it does not run in the end.
    """
    with ExitStack() as stack:
        stored = stack.enter_context(storage.temporary_storage(name))
        if name == "channels":
            valkey = stack.enter_context(storage.running_valkey(stored.folder, "everysec"))
            stored = storage.Storage(stored.folder, {"REDIS_URL": valkey.url})
        local = Local(name, stored)
        stack.callback(local.stop)
        local.check()
        yield local
        local.check()


def missing(name: str) -> str | None:
    """Return why a server cannot run, or None if it can."""
    program = KINDS[name].program
    if program not in DJANGO:
        return servers.missing(program)
    if not PYTHON_OF_PEERS.exists():
        return "its packages are not installed (make bench installs them)"
    return None if program != "channels" or storage.Valkey else "there is no Valkey"


def host_and_port(url: str) -> tuple[str, int]:
    """Return a URL's host and port.

    Raises:
        ValueError: it is not an http URL with a host.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url!r} is not a URL such as http://127.0.0.1:8765/")
    return parts.hostname, parts.port or 80


def _free_port() -> int:
    """Return a free port that no client gets as its own while the server is restarted."""
    for port in random.sample(SERVER_PORTS, len(SERVER_PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise ServerError("all ports are taken")
