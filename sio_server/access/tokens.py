"""JSON Web Tokens (RFC 7519, RFC 8725): who signed one, and what it allows."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import jwt

from sio_server.access.identity import Identity
from sio_server.access.signing_keys import SigningKey
from sio_server.contract import strictjson
from sio_server.contract.errors import ContractError, TokenExpired, Unauthorized, UnknownRoom
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter

MAX_TOKEN_BYTES = 8_192
LEEWAY_SECONDS = 10
"""How far the clock of an issuer may be ahead, for ``nbf`` and ``iat``. ``exp`` has no leeway."""

MAX_DEPTH = 64
TYPES = frozenset(("jwt", "at+jwt"))
DEFAULT_SCOPE = "subscribe"

_jws = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class Token:
    """The claims of a valid token.

    Attributes:
        identity: its issuer and its subject.
        may_publish: its scope has the word ``publish``.
        may_consume: its scope has the word ``subscribe``.
        rooms: the rooms that its client may be in.
        expires: when it expires, in seconds since 1970.
        issued: when it was issued, likewise, or None.
    """

    identity: Identity
    may_publish: bool
    may_consume: bool
    rooms: RoomFilter
    expires: float
    issued: float | None


class Tokens:
    """Verifies tokens.

    Args:
        read_keys: returns the keys that may have signed one.
        audience: the ``aud`` that a token must name, or None.
        issuer: the ``iss`` that a token must have, or None.
        max_seconds: how far away ``exp`` may be.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        read_keys: Callable[[], Sequence[SigningKey]],
        audience: str | None = None,
        issuer: str | None = None,
        max_seconds: float = 86_400,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._read_keys = read_keys
        self._keys = read_keys()
        self._audience = audience
        self._issuer = issuer
        self._max_seconds = max_seconds
        self._clock = clock

    def reload(self) -> None:
        """Read the keys again. If that fails, the old ones stay."""
        self._keys = self._read_keys()

    def verify(self, text: str) -> Token:
        """Return what a token allows.

        Raises:
            TokenExpired: it was valid, and its time is over.
            Unauthorized: it is not valid. The message says why, and shows nothing of it.
        """
        if not text.isascii():
            raise Unauthorized("the token is not a JSON Web Token")
        if len(text) > MAX_TOKEN_BYTES:
            raise Unauthorized(f"the token has more than {MAX_TOKEN_BYTES} bytes")
        claims = self._claims(self._payload(text))
        return self._check(claims)

    def _payload(self, text: str) -> bytes:
        """Return the payload that a known key has signed."""
        header = self._header(text)
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in TYPES:
            raise Unauthorized("the token's typ is neither JWT nor at+jwt")
        if "crit" in header:
            raise Unauthorized("the token has a crit header")
        kid, algorithm = header.get("kid"), header.get("alg")
        candidates = [key for key in self._keys if key.matches(kid)]
        if not candidates:
            raise Unauthorized("the server has no key of the token's kid")
        suitable = [key for key in candidates if key.algorithm == algorithm]
        if not suitable:
            known = ", ".join(sorted({key.algorithm for key in candidates}))
            raise Unauthorized(f"the server's keys are for other algorithms: {known}")
        for key in suitable:
            try:
                decoded = _jws.decode_complete(text, key.key, algorithms=[key.algorithm])
            except (jwt.InvalidTokenError, jwt.InvalidKeyError):
                continue
            payload: bytes = decoded["payload"]
            return payload
        raise Unauthorized("no key of the server has signed the token")

    @staticmethod
    def _header(text: str) -> dict[str, Any]:
        head = text.partition(".")[0]
        try:
            header = strictjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)), 4)
        except (ValueError, ContractError):
            header = None
        if not isinstance(header, dict) or text.count(".") != 2:
            raise Unauthorized("the token is not a JSON Web Token")
        return header

    @staticmethod
    def _claims(payload: bytes) -> dict[str, Any]:
        try:
            claims = strictjson.loads(payload, MAX_DEPTH)
        except ContractError:
            claims = None
        if not isinstance(claims, dict):
            raise Unauthorized("the token's payload is not a JSON object")
        return claims

    def _check(self, claims: dict[str, Any]) -> Token:
        now = self._clock()
        subject, issuer = claims.get("sub"), claims.get("iss")
        if not isinstance(subject, str) or not subject:
            raise Unauthorized("the token has no sub")
        if issuer is not None and not isinstance(issuer, str):
            raise Unauthorized("the token's iss is not a string")
        if self._issuer is not None and issuer != self._issuer:
            raise Unauthorized("the token's iss is not SIO_JWT_ISSUER")
        if self._audience is not None and self._audience not in _audiences(claims.get("aud")):
            raise Unauthorized("the token's aud does not name SIO_JWT_AUDIENCE")
        expires = _time(claims, "exp")
        if expires is None:
            raise Unauthorized("the token has no exp")
        issued, starts = _time(claims, "iat"), _time(claims, "nbf")
        if issued is not None and issued > now + LEEWAY_SECONDS:
            raise Unauthorized("the token's iat is in the future")
        if starts is not None and starts > now + LEEWAY_SECONDS:
            raise Unauthorized("the token is not valid yet")
        if expires > now + self._max_seconds:
            raise Unauthorized(f"the token's exp is more than {self._max_seconds:g} s away")
        scope, rooms = _scope(claims), _rooms(claims)
        if expires <= now:
            raise TokenExpired("the token has expired")
        return Token(
            Identity("token", subject, issuer),
            "publish" in scope,
            "subscribe" in scope,
            rooms,
            expires,
            issued,
        )


def _audiences(claim: Any) -> Sequence[Any]:
    return claim if isinstance(claim, list) else [claim]


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Unauthorized(f"the token's {name} is not a number")
    return float(value)


def _scope(claims: dict[str, Any]) -> frozenset[str]:
    scope = claims.get("scope", DEFAULT_SCOPE)
    if not isinstance(scope, str):
        raise Unauthorized("the token's scope is not a string")
    return frozenset(scope.split(" "))


def _rooms(claims: dict[str, Any]) -> RoomFilter:
    patterns = claims.get("rooms")
    if "rooms" not in claims:
        return ALL_ROOMS
    try:
        if isinstance(patterns, list):
            return RoomFilter.parse(patterns)
    except UnknownRoom:
        pass
    raise Unauthorized("the token's rooms are not a list of rooms, kind:* and *")
