"""The keys that sign tokens: shared secrets, a public key, and files of public keys (RFC 7517).

The algorithm follows from the key, never from a token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048


class BadKey(ValueError):
    """A key cannot be used. The message says why, and shows no secret."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that verifies tokens.

    Attributes:
        algorithm: the ``alg`` of its tokens.
        key: the key, as PyJWT takes it.
        kid: its name in a file; None: it has none.
        is_chosen: the key is one of several in a file, so a token must name it.
    """

    algorithm: str
    key: Any = field(repr=False)
    kid: str | None = None
    is_chosen: bool = False

    def matches(self, kid: Any) -> bool:
        """Tell whether this may be the key of a token whose header has this ``kid``, or None."""
        if self.kid is None:
            return not self.is_chosen
        return kid == self.kid or (kid is None and not self.is_chosen)


def from_secrets(secrets: Sequence[str]) -> list[SigningKey]:
    """Return the keys of shared secrets.

    Raises:
        BadKey: a secret is too short.
    """
    if any(len(secret.encode()) < MIN_SECRET_BYTES for secret in secrets):
        raise BadKey(f"each secret has at least {MIN_SECRET_BYTES} bytes")
    return [SigningKey("HS256", secret.encode()) for secret in secrets]


def from_pem(pem: str) -> SigningKey:
    """Return the key of a public key in PEM.

    Raises:
        BadKey: it is no public key, or not one for RS256, ES256 or EdDSA.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("must be a public key in PEM, with the lines around it") from None
    return SigningKey(algorithm_of(key), key)


def from_jwks(path: Path) -> list[SigningKey]:
    """Return the usable keys of a file with a JSON Web Key Set.

    Raises:
        BadKey: the file cannot be read, has a symmetric key, or has no usable key.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise BadKey(f"can't read {path}: {error.strerror}") from None
    except ValueError:
        raise BadKey(f"{path} is not JSON") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise BadKey(f'{path} has no list "keys"')
    found = list(_usable(entries, path))
    if not found:
        raise BadKey(f"{path} has no public key for RS256, ES256 or EdDSA")
    is_chosen = len(found) > 1
    return [SigningKey(algorithm, key, kid, is_chosen) for algorithm, key, kid in found]


def _usable(entries: list[Any], path: Path) -> Iterator[tuple[str, Any, str | None]]:
    for entry in entries:
        if not isinstance(entry, dict):
            raise BadKey(f"{path}: each key must be an object")
        if entry.get("kty") == "oct":
            raise BadKey(f"{path} has a symmetric key; use SIO_JWT_SECRET for it")
        if "d" in entry:
            raise BadKey(f"{path} has a private key; the server needs the public one")
        if entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(entry).key
            algorithm = algorithm_of(key)
        except (jwt.PyJWTError, BadKey):  # a key for another algorithm
            continue
        kid = entry.get("kid")
        if entry.get("alg", algorithm) == algorithm:
            yield algorithm, key, kid if isinstance(kid, str) else None


def algorithm_of(key: Any) -> str:
    """Return the algorithm of a public key's tokens.

    Raises:
        BadKey: tokens have no algorithm for it, or it is too short.
    """
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise BadKey(f"an RSA key has at least {MIN_RSA_BITS} bits")
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    raise BadKey("must be a public key of RSA, P-256 or Ed25519")
