"""The body of an HTTP request with JSON."""

from __future__ import annotations

from typing import Any

from sio_server.contract import strictjson
from sio_server.contract.errors import InvalidJson, TooLarge, UnsupportedMediaType
from sio_server.net.body import BodyTooLarge, BodyUnreadable
from sio_server.net.request import HttpRequest
from sio_server.net.turns import turn_for
from sio_server.settings import Settings


async def read_message(request: HttpRequest, settings: Settings, network: str) -> Any:
    """Read and decode a body with one message.

    Args:
        request: the request.
        settings: the bounds of a message.
        network: the client's.

    Raises:
        ContractError: it is not such a body, or not JSON.
    """
    body = await read_json_body(
        request, settings.max_message_bytes, settings.connect_timeout, network
    )
    return strictjson.loads(body, settings.max_json_depth)


async def read_json_body(
    request: HttpRequest, max_bytes: int, seconds: float, network: str
) -> bytes:
    """Read a body, and wait for its turn to be decoded.

    Args:
        request: the request.
        max_bytes: the most bytes.
        seconds: how long it may take.
        network: the client's.

    Raises:
        UnsupportedMediaType: it is not JSON.
        InvalidJson: it is not encoded as its headers say.
        TooLarge: it has more bytes.
    """
    media_type = request.headers.get("Content-Type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMediaType("send Content-Type: application/json")
    try:
        body = await request.read(max_bytes, seconds)
    except BodyUnreadable:
        raise InvalidJson("the body is not encoded as its headers say") from None
    except BodyTooLarge:
        raise TooLarge(f"the body has more than {max_bytes} bytes") from None
    turn = turn_for(len(body), network)
    if turn is not None:
        await turn
    return body
