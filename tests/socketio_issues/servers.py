"""The compared servers under one interface: ``socket.io`` on Node.js, python-socketio, and ours."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import load_vectors
from tests.hostile.stacks import Stack, stock
from tests.support.node import NodeClient, node_server
from tests.support.proxy import Proxy
from tests.support.server import Server

FURNITURE: dict[str, Any] = load_vectors("events.json")[0]["publish"]["furniture"]
FORGETTING_SECONDS = 180
"""After how many seconds ``socket.io`` has deleted an event: its default of two minutes, and one
minute until its next clean-up."""


class Compared:
    """A server. A method that one kind of server does not need does nothing there.

    Args:
        port: the port on which it listens.
        program: the program, or the library's server.
        process: its process, if it has one of its own.
    """

    def __init__(self, port: int, program: Any, process: Any = None) -> None:
        self.port = port
        self.program = program
        self._process = process

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    async def publish(self, id: str) -> None:
        """Send an event with this id to every client."""
        raise NotImplementedError

    async def forget(self) -> None:
        """Let its events become too old, if it was started with ``forgets``."""

    async def notice(self, losses: int) -> None:
        """Wait until it has noticed the end of so many connections."""

    async def kill(self) -> None:
        """Kill its process, and wait for its end."""
        raise NotImplementedError

    def send_signal(self, number: int) -> None:
        """Send its process a signal."""
        self._process.send_signal(number)


class NodeServer(Compared):
    """``socket.io`` on Node.js with connection state recovery."""

    program: NodeClient

    async def publish(self, id: str) -> None:
        """Let the server's own code emit it."""
        await self.program.do("publish", id=id)
        await self.program.wait_for("published", id=id)

    async def forget(self) -> None:
        """Let its own clock go on."""
        await self.program.do("pass", seconds=FORGETTING_SECONDS)
        await self.program.wait_for("passed")

    async def notice(self, losses: int) -> None:
        """Wait for its ``disconnect`` events, with which it stores the sessions."""
        await self.program.wait_for("lost", losses)

    async def kill(self) -> None:
        """Kill its process, and wait for the end of its output."""
        self.send_signal(signal.SIGKILL)
        await self.program.reader


class StockServer(Compared):
    """python-socketio's own server, in this process."""

    program: Stack

    async def publish(self, id: str) -> None:
        """Let the server's own code emit it."""
        await self.program.server.emit("furniture_updated", {"id": id})


class OurServer(Compared):
    """The server of this project."""

    program: Server

    async def publish(self, id: str) -> None:
        """Publish it over HTTP."""
        event = {"type": "furniture_updated", "id": id, "furniture": FURNITURE}
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.post(f"{self.url}/api/events", json=event),
        ):
            pass

    async def kept(self) -> list[str]:
        """Return the ids of the events that its log still has."""
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.get(f"{self.url}/api/events") as answer,
        ):
            return [event["id"] for event in (await answer.json())["events"]]

    async def kill(self) -> None:
        """Kill its process, and wait for its end."""
        await asyncio.to_thread(self.program.kill)


class Servers:
    """Starts servers of one kind, and ends them after the test.

    Args:
        kind: ``node``, ``stock`` or ``ours``.
        folder: the working directory of our servers.
        stack: ends them.
    """

    def __init__(self, kind: str, folder: Path, stack: AsyncExitStack) -> None:
        self.kind = kind
        self._folder = folder
        self._stack = stack

    async def start(
        self,
        *,
        port: int = 0,
        valkey: str | None = None,
        heartbeat: float = 25,
        forgets: bool = False,
    ) -> Compared:
        """Start a server.

        Args:
            port: the port on which it listens; 0: any free port.
            valkey: the URL of a Valkey that it shares with other servers.
            heartbeat: seconds between two heartbeats.
            forgets: it deletes events early: ``socket.io`` at ``forget``, ours all but the last.
        """
        if self.kind == "node":
            options = {"pingInterval": heartbeat * 1000, "valkey": valkey, "ownClock": forgets}
            program = await self._stack.enter_async_context(node_server(port=port, **options))
            return NodeServer((await program.wait_for("listening"))["port"], program, program)
        if self.kind == "stock":
            served = await self._stack.enter_async_context(stock())
            return StockServer(served.runner.addresses[0][1], served)
        settings: dict[str, object] = {"event_log": valkey or "sqlite:///events.db"}
        if forgets:
            settings["retention_events"] = 1
        server = await asyncio.to_thread(
            Server, self._folder, port=port, ping_interval=heartbeat, **settings
        )
        self._stack.push_async_callback(asyncio.to_thread, server.stop)
        return OurServer(server.port, server, server.process)


@asynccontextmanager
async def away(server: Compared, proxy: Proxy, client: NodeClient) -> AsyncIterator[None]:
    """Cut the client off from the server for the time of the block; then let it reconnect."""
    connects = len(client.all("connect"))
    proxy.open = False
    proxy.cut()
    await client.wait_for("disconnect", connects)
    await server.notice(connects)
    yield
    proxy.open = True
    await client.wait_for("connect", connects + 1)


def result(client: NodeClient) -> tuple[bool, list[str]]:
    """Return ``socket.recovered`` of the last connect, and the ids of all events in order."""
    recovered = client.all("connect")[-1].get("recovered", False)  # undefined without a pid
    return recovered, [it["id"] for it in client.all("event")]
