"""The keys that sign tokens: which ones are accepted, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from sio_server.access.signing_keys import BadKey, from_jwks, from_pem, from_secrets
from tests.support.tokens import SECRET, jwk, pem, private_key

ALGORITHMS = ("RS256", "ES256", "EdDSA")


def write(path: Path, *keys: Any) -> Path:
    """Write a file of keys."""
    path.write_text(json.dumps({"keys": keys}))
    return path


def test_a_secret_has_at_least_32_bytes() -> None:
    """Bytes, not characters. The error does not show it."""
    assert [key.algorithm for key in from_secrets(["é" * 16, SECRET])] == ["HS256"] * 2
    with pytest.raises(BadKey, match="32 bytes") as caught:
        from_secrets([SECRET, "x" * 31])
    assert "xxx" not in str(caught.value)
    assert SECRET not in repr(from_secrets([SECRET]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_algorithm_follows_from_the_key(algorithm: str, tmp_path: Path) -> None:
    """In PEM and in a file."""
    private = private_key(algorithm)
    assert from_pem(pem(private)).algorithm == algorithm
    (key,) = from_jwks(write(tmp_path / "keys", jwk(algorithm, private, kid="one")))
    assert (key.algorithm, key.kid, key.is_chosen) == (algorithm, "one", False)


def test_weak_and_other_keys_are_refused() -> None:
    """The start stops, and says what is accepted."""
    with pytest.raises(BadKey, match="2048 bits"):
        from_pem(pem(rsa.generate_private_key(65_537, 1024)))
    for private in (ec.generate_private_key(ec.SECP384R1()), dsa.generate_private_key(1024)):
        with pytest.raises(BadKey, match="RSA, P-256 or Ed25519"):
            from_pem(pem(private))
    for text in ("", "key", pem(private_key("ES256"))[:80]):
        with pytest.raises(BadKey, match="public key in PEM"):
            from_pem(text)


def test_a_file_may_have_several_keys(tmp_path: Path) -> None:
    """Then a token must name its key. Keys for other purposes are left out."""
    keys = from_jwks(
        write(
            tmp_path / "keys",
            *(jwk(name, private_key(name), kid=name) for name in ALGORITHMS),
            jwk("RS256", private_key("RS256"), kid="encryption", use="enc"),
            jwk("RS256", private_key("RS256"), kid="longer", alg="RS512"),
            {"kty": "of another time"},
        )
    )
    assert [key.kid for key in keys] == list(ALGORITHMS)
    assert all(key.is_chosen for key in keys)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "can't read"),
        ("{", "is not JSON"),
        ("[]", 'no list "keys"'),
        ("{}", 'no list "keys"'),
        ('{"keys":[]}', "no public key"),
        ('{"keys":[5]}', "must be an object"),
        ('{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "symmetric key; use SIO_JWT_SECRET"),
        ('{"keys":[{"kty":"EC","d":"c2VjcmV0"}]}', "private key"),
        ('{"keys":[{"kty":"RSA"}]}', "no public key"),
    ],
)
def test_a_bad_file_is_refused(content: str | None, reason: str, tmp_path: Path) -> None:
    """The error names the file, and shows no secret."""
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadKey, match=reason) as caught:
        from_jwks(path)
    assert str(path) in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
