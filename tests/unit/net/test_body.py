"""Read a body: its bounds of size and time, and its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientPayloadError, web

from sio_server.net.body import BodyTooLarge, BodyUnreadable, read_body


class Transport:
    """A transport that records its abort."""

    aborted = False

    def abort(self) -> None:
        """Record the abort."""
        self.aborted = True


class Request:
    """The parts of aiohttp's request that ``read_body`` uses.

    Attributes:
        segments: the body; an exception is raised in its place, and None never arrives.
        read: the number of segments that were read.
    """

    def __init__(self, *segments: bytes | Exception | None, length: int | None = None) -> None:
        self.content = self
        self.content_length = length
        self.transport = Transport()
        self.segments = segments
        self.read = 0

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Yield the segments."""
        for segment in self.segments:
            self.read += 1
            if segment is None:
                await asyncio.get_running_loop().create_future()
            elif isinstance(segment, Exception):
                raise segment
            else:
                yield segment


async def read(request: Any, max_bytes: int = 10, seconds: float = 5) -> bytes:
    """Read the body of a fake request."""
    return await read_body(request, max_bytes, seconds)


async def test_a_body_in_several_segments_is_read_completely() -> None:
    """A body of exactly the bound is accepted."""
    assert await read(Request(b"12345", b"", b"67890")) == b"1234567890"
    assert await read(Request(length=0)) == b""


async def test_a_declared_length_over_the_bound_is_refused_without_reading() -> None:
    """The client sends the length before the body."""
    request = Request(b"x", length=11)
    with pytest.raises(BodyTooLarge):
        await read(request)
    assert request.read == 0


async def test_reading_stops_as_soon_as_a_body_is_over_the_bound() -> None:
    """A chunked body declares no length."""
    request = Request(b"12345", b"678901", b"never read")
    with pytest.raises(BodyTooLarge):
        await read(request)
    assert request.read == 2


@pytest.mark.parametrize("error", [ClientPayloadError(), web.RequestPayloadError()], ids=repr)
async def test_a_body_that_aiohttp_cannot_decode_is_unreadable(error: Exception) -> None:
    """It may be incomplete, or have a wrong content encoding."""
    with pytest.raises(BodyUnreadable):
        await read(Request(b"1", error))


async def test_a_body_that_does_not_arrive_in_time_closes_the_connection() -> None:
    """The rest of the body would otherwise be taken for the next request."""
    request = Request(b"1", None)
    with pytest.raises(TimeoutError):
        await read(request, seconds=0)
    assert request.transport.aborted
