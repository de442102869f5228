"""A TCP proxy that damages connections as networks do: it cuts, silences and delays them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards bytes between clients and a server.

    Attributes:
        port: the port on which it listens, on the loopback.
        target: the server's port, to which it connects for each new connection.
        open: whether it accepts new connections; otherwise it resets them.
        mute: whether new connections are silent.
        delay: how long it delays each chunk of data, in seconds.
        hold: bytes by which it recognises a chunk that it holds until ``released`` is set; it sets
            ``held`` when it does.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self.open = True
        self._stopped = False
        self.mute = False
        self.delay = 0.0
        self.hold: bytes | None = None
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """The URL for HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def cut_silent(self) -> None:
        """Reset the connections that are silent."""
        for writer in self._silent:
            writer.transport.abort()

    def silence(self) -> None:
        """Forward no byte of the present connections any more. They stay open at both ends."""
        self._silent |= self._writers

    async def stop(self) -> None:
        """Stop listening, and reset every connection."""
        self._stopped = True
        self._server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        self.cut()
        await asyncio.gather(*map(_closed, self._writers))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        if self._stopped or writer.is_closing():  # it was cut meanwhile
            writer.transport.abort()
            to_writer.transport.abort()
            return
        self._writers.add(to_writer)
        if self.mute or writer in self._silent:
            self._silent |= {writer, to_writer}
        for source, sink in ((reader, to_writer), (to_reader, writer)):
            pipe = asyncio.create_task(self._forward(source, sink))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if sink in self._silent:
                    continue
                if self.hold and self.hold in data:
                    self.held.set()
                    await self.released.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                sink.write(data)
                await sink.drain()
        if sink not in self._silent:
            self._writers.discard(sink)
            sink.close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a server's port."""
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
