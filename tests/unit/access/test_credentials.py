"""The credentials that the settings name, and what stops the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import structlog

from sio_server.access import credentials
from sio_server.contract.errors import StartError, Unauthorized
from sio_server.settings import Settings
from tests.support.tokens import SECRET, jwk, pem, private_key, token


def settings(**values: object) -> Settings:
    """Return settings without those of the environment."""
    return Settings(_env_file=None, **values)


def test_several_kinds_of_keys_may_stand_beside_each_other(tmp_path: Path) -> None:
    """Each verifies its own tokens."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk("EdDSA", private_key("EdDSA"), kid="one")]}))
    tokens = credentials.tokens(
        settings(jwt_secret=SECRET, jwt_public_key=pem(private_key("ES256")), jwt_jwks=path)
    )
    assert tokens is not None
    for text in (
        token(),
        token(private_key("ES256"), "ES256"),
        token(private_key("EdDSA"), "EdDSA", {"kid": "one"}),
    ):
        assert tokens.verify(text).identity.name == "ana"


def test_without_any_there_are_no_tokens() -> None:
    """And no keys."""
    assert credentials.tokens(settings()) is None
    assert not credentials.producer_keys(settings())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"producer_keys": "short"}, "SIO_PRODUCER_KEYS: each key has at least 16"),
        ({"jwt_secret": f"{SECRET},short"}, "SIO_JWT_SECRET: each secret has at least 32"),
        ({"jwt_public_key": "short"}, "SIO_JWT_PUBLIC_KEY: must be a public key in PEM"),
        ({"jwt_jwks": "nowhere"}, "SIO_JWT_JWKS: can't read nowhere"),
    ],
)
def test_a_bad_one_stops_the_start(values: dict[str, str], message: str) -> None:
    """The message names the setting and not the value."""
    with pytest.raises(StartError, match=message) as caught:
        credentials.producer_keys(settings(**values))
        credentials.tokens(settings(**values))
    assert "short" not in str(caught.value).replace("too short", "")


def test_the_files_of_keys_are_read_again(tmp_path: Path) -> None:
    """If one is bad, that is a log line, and the old keys stay."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk("ES256", private_key("ES256"))]}))
    tokens = credentials.tokens(settings(jwt_jwks=path))
    assert tokens is not None
    path.write_text(json.dumps({"keys": [jwk("ES256", private_key("ES256", "new"))]}))
    new = token(private_key("ES256", "new"), "ES256")
    with pytest.raises(Unauthorized):
        tokens.verify(new)
    with structlog.testing.capture_logs() as lines:
        credentials.reload_keys(tokens)
        tokens.verify(new)
        path.write_text("{")
        credentials.reload_keys(tokens)
        tokens.verify(new)
    assert [line["event"] for line in lines] == ["keys_reloaded", "keys_not_reloaded"]
