"""A TCP proxy that does to connections what networks do: cuts them, or lets them go silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Passes bytes on between clients and a server.

    Attributes:
        port: where it listens, on the loopback.
        target: the server's port, where it connects to for each new connection.
        open: whether it takes new connections; those that it doesn't are reset.
        mute: new connections go silent too.
        delay: how long it keeps what comes, in seconds.
        hold: what a piece of data contains that is kept until ``released``; ``held`` says so.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self.open = True
        self.mute = False
        self.delay = 0.0
        self.hold: bytes | None = None
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """Where its clients go."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def silence(self) -> None:
        """Let no byte through any of the present connections any more; neither end is told."""
        self._silent |= self._writers

    async def stop(self) -> None:
        """End."""
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
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_writer}
        if self.mute:
            self._silent |= {writer, to_writer}
        for source, sink in ((reader, to_writer), (to_reader, writer)):
            pipe = asyncio.create_task(self._pass_on(source, sink))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
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
    """Run a proxy before a server's port."""
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
