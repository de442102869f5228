"""Read a whole HTTP body, bounded in size and time."""

from __future__ import annotations

import asyncio

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError


class BodyTooLarge(Exception):
    """The body of a request is larger than its bound."""


class BodyUnreadable(Exception):
    """The body of a request is incomplete, or is not encoded as its headers say."""


async def read_body(request: web.BaseRequest, max_bytes: int, seconds: float) -> bytes:
    """Read the whole body of a request that came through aiohttp.

    Args:
        request: the request.
        max_bytes: the largest allowed body.
        seconds: the longest time that the body may take to arrive.

    Raises:
        BodyUnreadable: the body can't be decoded.
        BodyTooLarge: the body is larger than ``max_bytes``. At most one segment more than that was
            in memory.
        TimeoutError: the body was not complete within ``seconds``. The connection is closed.
    """
    if (request.content_length or 0) > max_bytes:
        raise BodyTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for segment in request.content.iter_any():
                body += segment
                if len(body) > max_bytes:
                    raise BodyTooLarge
        return bytes(body)
    except (ClientPayloadError, HttpProcessingError, web.RequestPayloadError):
        raise BodyUnreadable from None
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise
    finally:
        body.clear()  # aiohttp keeps the error of a lost connection, and that this frame
