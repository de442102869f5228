"""Tokens for tests: signed by keys that are made once for each run."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support import secrets

SECRET = "a-secret-of-at-least-32-bytes-for-tests"
OLD_SECRET = "the-former-secret-of-at-least-32-bytes!"


@cache
def private_key(algorithm: str, name: str = "") -> Any:
    """Return a private key for an algorithm; another one for each name."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65_537, 2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    """Return the public key in PEM."""
    public: bytes = private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


def jwk(algorithm: str, private: Any, **fields: Any) -> dict[str, Any]:
    """Return the public key as a JSON Web Key."""
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key())
    return {**json.loads(made), **fields}


def claims(**changes: Any) -> dict[str, Any]:
    """Return claims that are valid for an hour; a change to None removes one."""
    now = int(time.time())
    made = {"sub": "ana", "iat": now, "exp": now + 3_600, **changes}
    return {name: value for name, value in made.items() if value is not None}


def token(
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Return a signed token; see ``claims``."""
    return secrets.note(jwt.encode(claims(**changes), key, algorithm, headers))


def raw_token(header: Any, payload: Any, secret: bytes = SECRET.encode()) -> str:
    """Return a token with any header and payload, signed with HMAC. Bytes are taken as they are."""
    parts = [it if isinstance(it, bytes) else json.dumps(it).encode() for it in (header, payload)]
    text = b".".join(map(_base64, parts))
    signature = hmac.new(secret, text, hashlib.sha256).digest()
    return secrets.note((text + b"." + _base64(signature)).decode())


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
