"""A proxy that cuts connections at the worst moment: between a request and its answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.support.proxy import Proxy


class LossyProxy(Proxy):
    """Passes bytes on, until it is told what to lose.

    Attributes:
        requests: what a request contains that is to be lost itself.
        answers: what a request contains whose answer is to be lost.
        lost: how often something was.
        losses: how many of them to lose; then all pass again.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.requests: bytes | None = None
        self.answers: bytes | None = None
        self.lost = 0
        self.losses = 0
        self._doomed: set[object] = set()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1_000_000):
                if self.requests and self.requests in data and self.losses:
                    self._lose(source, sink)
                    return
                if self.answers and self.answers in data and self.losses:
                    self._doomed.add(sink.transport)
                if source._transport in self._doomed and self.losses:  # type: ignore[attr-defined]
                    self._lose(source, sink)
                    return
                if sink in self._silent:
                    continue
                sink.write(data)
                await sink.drain()
        if sink not in self._silent:
            self._writers.discard(sink)
            sink.close()

    def _lose(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self.lost += 1
        self.losses -= 1
        self._doomed.clear()
        source._transport.abort()  # type: ignore[attr-defined]
        sink.transport.abort()
