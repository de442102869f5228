"""Tokens for consumers: a site signs them, and the broker verifies them.

It needs PyJWT: ``pip install 'furniture-events[tokens]'``.
"""

import time
from collections.abc import Iterable
from typing import Any, Final, cast

import jwt

from furniture_events._contract import EVENT_TYPES, MIN_SECRET_BYTES, ROOM_KINDS

__all__ = ["issue_token"]

SCOPES: Final = ("publish", "subscribe")


def issue_token(
    key: object,
    sub: str,
    *,
    seconds: float = 300.0,
    rooms: Iterable[str] | None = None,
    scope: str = "subscribe",
    iss: str | None = None,
    aud: str | None = None,
    algorithm: str = "HS256",
    kid: str | None = None,
) -> str:
    """Issue a token for one consumer.

    Args:
        key: one of the broker's ``SIO_JWT_SECRET``; for another algorithm, the private key that
            belongs to the broker's public key, as PyJWT takes it.
        sub: who the consumer is, such as the primary key of a user.
        seconds: how long the token is valid; at most the broker's ``SIO_MAX_TOKEN_SECONDS``.
        rooms: the rooms that the consumer may be in, and whose events it may see: names of rooms,
            ``kind:*`` for every room of a kind, and ``*``. None: every room.
        scope: words from ``publish`` and ``subscribe``.
        iss: the broker's ``SIO_JWT_ISSUER``, if it is set.
        aud: the broker's ``SIO_JWT_AUDIENCE``, if it is set.
        algorithm: ``HS256``, ``RS256``, ``ES256`` or ``EdDSA``.
        kid: the name of the key, if the broker has a file of keys.

    Raises:
        ValueError: the broker would refuse a token with this argument.
    """
    if not sub:
        raise ValueError("sub must have at least one character")
    if algorithm == "HS256" and len(_bytes(key)) < MIN_SECRET_BYTES:
        raise ValueError(f"key must have at least {MIN_SECRET_BYTES} bytes")
    unknown = set(scope.split()) - set(SCOPES)
    if unknown:
        raise ValueError(f"scope has words from {' and '.join(SCOPES)}, not {min(unknown)!r}")
    # Milliseconds: a user may sign in again in the second in which they signed out.
    now = time.time_ns() // 1_000_000 / 1000
    claims: dict[str, Any] = {"sub": sub, "scope": scope, "iat": now, "exp": now + seconds}
    if rooms is not None:
        claims["rooms"] = _checked_rooms(rooms)
    claims |= {name: value for name, value in (("iss", iss), ("aud", aud)) if value is not None}
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims, cast("Any", key), algorithm, headers)


def _bytes(key: object) -> bytes:
    return key.encode() if isinstance(key, str) else bytes(key) if isinstance(key, bytes) else b""


def _checked_rooms(rooms: Iterable[str]) -> list[str]:
    checked = list(rooms)
    for room in checked:
        if not _is_pattern(room):
            raise ValueError(f"{room!r:.80} is not a room, kind:* or *")
    return checked


def _is_pattern(room: str) -> bool:
    kind, _, name = room.partition(":")
    if room in ("*", "catalog"):
        return True
    if kind == "type":
        return name == "*" or name in EVENT_TYPES
    return kind in ROOM_KINDS and bool(name)
