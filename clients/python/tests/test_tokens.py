"""Tokens for consumers."""

import time
from typing import Any

import jwt
import pytest

from furniture_events.tokens import issue_token

SECRET = "a-secret-of-at-least-32-bytes-for-tests"


def claims(token: str, **options: Any) -> dict[str, Any]:
    """Return the claims of a token that the secret has signed."""
    decoded: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"], **options)
    return decoded


def test_a_token_has_a_subject_and_its_times() -> None:
    """It is valid from now on, for five minutes by default."""
    began = time.time() - 0.001
    found = claims(issue_token(SECRET, "ana"))
    assert began <= found["iat"] <= time.time()
    assert found["exp"] == pytest.approx(found["iat"] + 300)
    assert found.keys() == {"sub", "scope", "iat", "exp"}
    assert (found["sub"], found["scope"]) == ("ana", "subscribe")


def test_a_token_may_have_more() -> None:
    """Each argument becomes a claim, or a part of the header."""
    rooms = ["catalog", "material:roble", "author:*", "type:furniture_deleted", "type:*", "*"]
    token = issue_token(
        SECRET,
        "ana",
        seconds=60,
        rooms=iter(rooms),
        scope="publish subscribe",
        iss="https://site.example",
        aud="catalogue",
        kid="first",
    )
    found = claims(token, audience="catalogue")
    assert (found["rooms"], found["scope"]) == (rooms, "publish subscribe")
    assert found["iss"] == "https://site.example"
    assert jwt.get_unverified_header(token)["kid"] == "first"
    assert claims(issue_token(SECRET, "ana", rooms=[]))["rooms"] == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sub": ""}, "sub"),
        ({"key": "x" * 31}, "32 bytes"),
        ({"key": b"x" * 31}, "32 bytes"),
        ({"scope": "read"}, "'read'"),
        ({"rooms": "catalog"}, "'c' is not a room"),
        ({"rooms": ["mat*"]}, "mat"),
        ({"rooms": ["material:"]}, "material:"),
        ({"rooms": ["wood:roble"]}, "wood"),
        ({"rooms": ["type:created"]}, "type:created"),
    ],
)
def test_what_the_broker_would_refuse_is_refused(changes: dict[str, Any], reason: str) -> None:
    """At once, with the reason."""
    arguments: dict[str, Any] = {"key": SECRET, "sub": "ana", **changes}
    with pytest.raises(ValueError, match=reason):
        issue_token(arguments.pop("key"), arguments.pop("sub"), **arguments)
