"""Reading an HTTP body whole, within bounds of size and time."""

from __future__ import annotations

import asyncio

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError


class BodyTooLarge(Exception):
    """A request's body is larger than its bound."""


class BodyUnreadable(Exception):
    """A request's body is not encoded as its headers say."""


async def read_body(request: web.BaseRequest, max_bytes: int, seconds: float) -> bytes:
    """Read a whole body, however many segments it comes in.

    Raises:
        BodyUnreadable: it can't be decoded.
        BodyTooLarge: it is over ``max_bytes``; no more than that was kept.
        TimeoutError: it was not there within ``seconds``; the connection has been dropped.
    """
    if (request.content_length or 0) > max_bytes:
        raise BodyTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise BodyTooLarge
    except (ClientPayloadError, HttpProcessingError, web.RequestPayloadError):
        raise BodyUnreadable from None
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise
    return bytes(body)
