"""A proxy that cuts connections at the worst moment: between a request and its answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.support.proxy import Proxy


class LossyProxy(Proxy):
    """Forwards bytes, and loses the requests or answers that the test names.

    To lose one, it cuts the connection instead of forwarding the bytes.

    Attributes:
        requests: bytes by which it recognises a request to lose.
        answers: bytes by which it recognises a request whose answer it loses.
        losses: how many more requests and answers it loses; with 0, it forwards all.
        lost: how many it has lost.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.requests: bytes | None = None
        self.answers: bytes | None = None
        self.lost = 0
        self.losses = 0
        self._transports_to_cut: set[object] = set()

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1_000_000):
                if self.requests and self.requests in data and self.losses:
                    self._cut(source, sink)
                    return
                if self.answers and self.answers in data and self.losses:
                    self._transports_to_cut.add(sink.transport)
                if source._transport in self._transports_to_cut and self.losses:  # type: ignore[attr-defined]
                    self._cut(source, sink)
                    return
                if sink in self._silent:
                    continue
                sink.write(data)
                await sink.drain()
        if sink not in self._silent:
            self._writers.discard(sink)
            sink.close()

    def _cut(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self.lost += 1
        self.losses -= 1
        self._transports_to_cut.clear()
        source._transport.abort()  # type: ignore[attr-defined]
        sink.transport.abort()
