"""The codes that close a plain WebSocket (RFC 6455, 7.4)."""

from __future__ import annotations

from dataclasses import dataclass

from sio_server.contract.errors import (
    ContractError,
    Forbidden,
    LogUnavailable,
    RateLimited,
    Unauthorized,
)


@dataclass(frozen=True, slots=True)
class CloseCode:
    """A reason for closing a WebSocket (RFC 6455, 7.4).

    Attributes:
        code: the number that the client sees.
        may_reconnect: the same client may succeed later with the same request.
    """

    code: int
    may_reconnect: bool


GOING_AWAY = CloseCode(1001, may_reconnect=True)
TRY_AGAIN_LATER = CloseCode(1013, may_reconnect=True)
BAD_QUERY = CloseCode(4400, may_reconnect=False)
UNAUTHORIZED = CloseCode(4401, may_reconnect=False)
FORBIDDEN = CloseCode(4403, may_reconnect=False)


def close_code(error: ContractError) -> CloseCode:
    """Return the code that closes a WebSocket whose handshake failed."""
    if isinstance(error, LogUnavailable | RateLimited):
        return TRY_AGAIN_LATER
    if isinstance(error, Unauthorized):
        return UNAUTHORIZED
    return FORBIDDEN if isinstance(error, Forbidden) else BAD_QUERY
