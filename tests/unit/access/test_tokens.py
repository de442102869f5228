"""Tokens: each claim and each header, at its bounds, with each algorithm."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from sio_server.access.identity import Identity
from sio_server.access.signing_keys import SigningKey, from_pem, from_secrets
from sio_server.access.tokens import LEEWAY_SECONDS, MAX_TOKEN_BYTES, Token, Tokens
from sio_server.contract.errors import TokenExpired, Unauthorized
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter
from tests.support.tokens import OLD_SECRET, SECRET, pem, private_key, raw_token

NOW = 1_700_000_000.0
DAY = 86_400
HS256 = {"alg": "HS256", "typ": "JWT"}
PAYLOAD = {"sub": "ana", "exp": NOW + 60}


def verifier(keys: list[SigningKey] | None = None, **options: Any) -> Tokens:
    """Return a verifier whose clock stands still."""
    return Tokens(lambda: keys or from_secrets([SECRET]), clock=lambda: NOW, **options)


def verify(payload: Any = PAYLOAD, header: Any = HS256, **options: Any) -> Token:
    """Verify a token with this payload and header."""
    return verifier(**options).verify(raw_token(header, payload))


def test_a_token_tells_who_and_what() -> None:
    """Without a scope it may consume, and without rooms it may see everything."""
    assert verify() == Token(Identity("token", "ana"), False, True, ALL_ROOMS, NOW + 60, None)
    rich = {
        **PAYLOAD,
        "iss": "https://id.example",
        "iat": NOW - 5,
        "nbf": NOW - 5.5,
        "scope": "openid publish subscribe",
        "rooms": ["material:roble", "author:*"],
        "other": {"a": [1]},
    }
    rooms = RoomFilter(False, frozenset(["material:roble"]), frozenset(["author"]))
    identity = Identity("token", "ana", "https://id.example")
    assert verify(rich) == Token(identity, True, True, rooms, NOW + 60, NOW - 5)


@pytest.mark.parametrize(
    ("scope", "rights"),
    [
        ("publish", (True, False)),
        ("subscribe", (False, True)),
        ("publish subscribe", (True, True)),
        ("", (False, False)),
        ("publishing Publish", (False, False)),
    ],
)
def test_the_scope_gives_the_rights(scope: str, rights: tuple[bool, bool]) -> None:
    """Only whole words count."""
    token = verify({**PAYLOAD, "scope": scope})
    assert (token.may_publish, token.may_consume) == rights


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "no sub"),
        ({"sub": 42}, "no sub"),
        ({"iss": 42}, "iss is not a string"),
        ({"exp": None}, "no exp"),
        ({"exp": "soon"}, "exp is not a number"),
        ({"exp": True}, "exp is not a number"),
        ({"exp": NOW + DAY + 1}, "exp is more than 86400 s away"),
        ({"iat": NOW + LEEWAY_SECONDS + 1}, "iat is in the future"),
        ({"iat": "now"}, "iat is not a number"),
        ({"nbf": NOW + LEEWAY_SECONDS + 1}, "not valid yet"),
        ({"nbf": []}, "nbf is not a number"),
        ({"scope": ["publish"]}, "scope is not a string"),
        ({"rooms": "material:roble"}, "rooms are not a list"),
        ({"rooms": ["material:roble", "wood"]}, "rooms are not a list"),
        ({"rooms": ["material:"]}, "rooms are not a list"),
        ({"rooms": ["*", "mat*"]}, "rooms are not a list"),
        ({"rooms": [None]}, "rooms are not a list"),
        ({"rooms": None}, "rooms are not a list"),
    ],
)
def test_a_bad_claim_is_refused(changes: dict[str, Any], reason: str) -> None:
    """The message says why, for ``check-token`` and for the developer of the issuer."""
    payload = {**PAYLOAD, **changes}
    if changes in ({"sub": None}, {"exp": None}):
        payload = {name: it for name, it in payload.items() if it is not None}
    with pytest.raises(Unauthorized, match=reason):
        verify(payload)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW + DAY},
        {"exp": NOW + 0.5},
        {"iat": NOW + LEEWAY_SECONDS},
        {"nbf": NOW + LEEWAY_SECONDS},
        {"iss": None, "iat": None, "nbf": None},
        {"rooms": []},
        {"rooms": ["*"]},
        {"rooms": ["catalog", "type:*", "furniture:1"]},
    ],
)
def test_a_claim_at_its_bound_is_accepted(changes: dict[str, Any]) -> None:
    """``nbf`` and ``iat`` have a leeway; ``exp`` has none."""
    verify({**PAYLOAD, **changes})


@pytest.mark.parametrize("seconds", [0, 1, DAY * 365])
def test_an_expired_token_has_its_own_error(seconds: float) -> None:
    """Its client fetches a new one. A token that is bad in another way is only refused."""
    with pytest.raises(TokenExpired):
        verify({**PAYLOAD, "exp": NOW - seconds})
    with pytest.raises(Unauthorized) as caught:
        verify({**PAYLOAD, "exp": NOW - seconds, "sub": ""})
    assert not isinstance(caught.value, TokenExpired)


def test_the_audience_and_the_issuer_are_checked_if_they_are_set() -> None:
    """The audience may be one of several."""
    for aud in ("here", ["there", "here"]):
        verify({**PAYLOAD, "aud": aud}, audience="here")
        verify({**PAYLOAD, "aud": aud})
    for aud in (None, "there", [], ["there"], 5):
        with pytest.raises(Unauthorized, match="SIO_JWT_AUDIENCE"):
            verify({**PAYLOAD, "aud": aud}, audience="here")
    verify({**PAYLOAD, "iss": "me"}, issuer="me")
    for iss in (None, "you", ""):
        with pytest.raises(Unauthorized, match="SIO_JWT_ISSUER"):
            verify({**PAYLOAD, "iss": iss}, issuer="me")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "other algorithms"),
        ({"alg": "HS512"}, "other algorithms"),
        ({"alg": "RS256"}, "other algorithms"),
        ({"typ": "JWT"}, "other algorithms"),
        ({**HS256, "typ": "dpop+jwt"}, "typ"),
        ({**HS256, "typ": 5}, "typ"),
        ({**HS256, "crit": ["exp"], "exp": 1}, "crit"),
        ({**HS256, "crit": []}, "crit"),
        ({**HS256, "kid": 5}, "no key"),
        ([], "not a JSON Web Token"),
    ],
)
def test_a_bad_header_is_refused(header: Any, reason: str) -> None:
    """``alg`` chooses nothing: the algorithm follows from the key."""
    with pytest.raises(Unauthorized, match=reason):
        verify(header=header)


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt"])
def test_the_usual_types_are_accepted(typ: str) -> None:
    """RFC 9068 names the third one. A header may have none."""
    verify(header={**HS256, "typ": typ})
    verify(header={"alg": "HS256"})


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'"ana"', b'{"sub":NaN}', b"\xff"])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    """Although it is signed."""
    with pytest.raises(Unauthorized, match="not a JSON object"):
        verify(payload)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "a.b.c.d", "é.é.é", "\ud800", " " * 99])
def test_other_text_is_refused(text: str) -> None:
    """Without any other error."""
    with pytest.raises(Unauthorized, match="not a JSON Web Token"):
        verifier().verify(text)


def test_a_long_token_is_refused() -> None:
    """It is not decoded then."""
    spare = MAX_TOKEN_BYTES - len(raw_token(HS256, {**PAYLOAD, "x": ""}))
    fits = raw_token(HS256, {**PAYLOAD, "x": "x" * (spare * 3 // 4 - 3)})
    assert MAX_TOKEN_BYTES - 8 < len(fits) <= MAX_TOKEN_BYTES
    verifier().verify(fits)
    with pytest.raises(Unauthorized, match="8192 bytes"):
        verifier().verify("x" * (MAX_TOKEN_BYTES + 1))


def test_a_changed_token_is_refused() -> None:
    """Each character counts."""
    text = raw_token(HS256, PAYLOAD)
    head, payload, signature = text.split(".")
    for changed in (
        f"{head}.{payload}.{signature[:-2]}",
        f"{head}.{payload}.",
        f"{head}.{payload[:-4]}AAAA.{signature}",
        raw_token(HS256, PAYLOAD, b"x" * 32),
    ):
        with pytest.raises(Unauthorized):
            verifier().verify(changed)


def test_each_of_several_secrets_verifies() -> None:
    """So that a new one can replace an old one without a pause."""
    keys = from_secrets([SECRET, OLD_SECRET])
    for secret in (SECRET, OLD_SECRET):
        verifier(keys).verify(raw_token(HS256, PAYLOAD, secret.encode()))
    with pytest.raises(Unauthorized, match="no key"):
        verifier(keys).verify(raw_token(HS256, PAYLOAD, b"y" * 40))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_verifies_tokens_of_its_algorithm(algorithm: str) -> None:
    """It is never the secret of HS256, although everybody knows it."""
    private = private_key(algorithm)
    public = pem(private)
    keys = [from_pem(public), *from_secrets([SECRET])]
    verifier(keys).verify(jwt.encode(PAYLOAD, private, algorithm))
    with pytest.raises(Unauthorized, match="no key"):
        verifier(keys).verify(jwt.encode(PAYLOAD, private_key(algorithm, "another"), algorithm))
    for secret in (public.encode(), public.strip().encode()):
        with pytest.raises(Unauthorized, match="no key"):
            verifier(keys).verify(raw_token(HS256, PAYLOAD, secret))
    with pytest.raises(Unauthorized, match=f"other algorithms: {algorithm}"):
        verifier([from_pem(public)]).verify(raw_token(HS256, PAYLOAD, public.encode()))


def test_a_key_is_chosen_by_its_kid() -> None:
    """A token may omit it if there is one key. Keys without a kid are always tried."""
    private, another = private_key("ES256"), private_key("ES256", "another")
    public = from_pem(pem(private)).key
    one = SigningKey("ES256", public, "one")
    alone = verifier([one])
    alone.verify(jwt.encode(PAYLOAD, private, "ES256"))
    alone.verify(jwt.encode(PAYLOAD, private, "ES256", {"kid": "one"}))
    for kid in ("two", ""):
        with pytest.raises(Unauthorized, match="kid"):
            alone.verify(jwt.encode(PAYLOAD, private, "ES256", {"kid": kid}))
    several = verifier(
        [
            SigningKey("ES256", public, "one", is_chosen=True),
            SigningKey("ES256", from_pem(pem(another)).key, "two", is_chosen=True),
        ]
    )
    several.verify(jwt.encode(PAYLOAD, another, "ES256", {"kid": "two"}))
    for headers in (None, {"kid": "one"}, {"kid": "three"}):
        with pytest.raises(Unauthorized):
            several.verify(jwt.encode(PAYLOAD, another, "ES256", headers))
    verifier([one, *from_secrets([SECRET])]).verify(raw_token({**HS256, "kid": "x"}, PAYLOAD))


def test_an_error_shows_nothing_of_the_token() -> None:
    """It goes into logs."""
    for text in ("s3cret.s3cret.s3cret", raw_token(HS256, {"sub": "s3cret", "exp": 1})):
        with pytest.raises(Unauthorized) as caught:
            verifier().verify(text)
        assert "s3cret" not in json.dumps(caught.value.as_dict())


def test_the_keys_can_be_read_again() -> None:
    """If that fails, the old ones stay."""
    secrets = [SECRET]
    rules = Tokens(lambda: from_secrets(secrets), clock=lambda: NOW)
    old, new = raw_token(HS256, PAYLOAD), raw_token(HS256, PAYLOAD, OLD_SECRET.encode())
    secrets[:] = [OLD_SECRET]
    rules.verify(old)
    rules.reload()
    rules.verify(new)
    with pytest.raises(Unauthorized):
        rules.verify(old)
    secrets[:] = ["short"]
    with pytest.raises(ValueError, match="32 bytes"):
        rules.reload()
    rules.verify(new)
