"""Networks between consumers and a server. They go away, and they come back."""

from __future__ import annotations

import asyncio
from contextlib import suppress

CHUNK_BYTES = 65_536


class Network:
    """A TCP proxy for a group of consumers.

    Args:
        host: the server's host.
        server_port: the server's port, to which each connection is forwarded.

    Attributes:
        port: where the consumers connect, on the loopback; 0 before ``start``.
    """

    def __init__(self, host: str, server_port: int) -> None:
        self.port = 0
        self._target = host, server_port
        self._away = False
        self._connections: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._half_open: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def go_away(self, *, unnoticed: bool) -> None:
        """Reset all connections of the consumers, and refuse new ones.

        Args:
            unnoticed: leave the server's ends open, without a byte. So it is if a phone changes its
                network: the server learns it from its own heartbeat.
        """
        self._away = True
        for consumer, server in self._connections:
            consumer.transport.abort()
            if unnoticed:
                server.transport.pause_reading()  # type: ignore[attr-defined]
                self._half_open.append(server)
            else:
                server.transport.abort()
        self._connections.clear()

    def come_back(self) -> None:
        """Accept connections again."""
        self._away = False

    async def stop(self) -> None:
        """Stop to listen, and reset everything."""
        if self._server:
            self._server.close()
        self.go_away(unnoticed=False)
        for server in self._half_open:
            server.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, consumer: asyncio.StreamWriter) -> None:
        if self._away:
            consumer.transport.abort()
            return
        try:
            from_server, server = await asyncio.open_connection(*self._target)
        except OSError:
            consumer.transport.abort()
            return
        if self._away:
            consumer.transport.abort()
            server.transport.abort()
            return
        pair = consumer, server
        self._connections.add(pair)
        for source, sink in ((reader, server), (from_server, consumer)):
            task = asyncio.create_task(self._forward(source, sink, pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                sink.write(data)
                await sink.drain()
        if pair in self._connections:  # else the network went away
            self._connections.discard(pair)
            for writer in pair:
                writer.close()
