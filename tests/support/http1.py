"""A client of HTTP/1.1 that sends the given header lines unchanged, one request a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from multidict import CIMultiDict

from tests.support.server import TIMEOUT, Server


class Answer(NamedTuple):
    """The head of a response."""

    status: int
    headers: CIMultiDict[str]


class Http1:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def connected(cls, server: Server) -> AsyncIterator[Http1]:
        """Connect to a server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> Answer:
        """Send a request without a body; return the head of its response."""
        lines = headers.items() if isinstance(headers, Mapping) else headers
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines)
        self._writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
        async with asyncio.timeout(TIMEOUT):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.rstrip().split("\r\n")
        answered = CIMultiDict(tuple(line.split(": ", 1)) for line in rest)
        return Answer(int(first.split()[1]), answered)

    async def rest(self) -> bytes:
        """Return what follows the head until the server closes the connection."""
        async with asyncio.timeout(TIMEOUT):
            return await self._reader.read()
