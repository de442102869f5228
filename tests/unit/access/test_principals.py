"""The identity of a client and its rights: with a key, and without a credential."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import Any

import pytest

from sio_server.access.principals import Access, Principal
from sio_server.access.sources import Source
from sio_server.contract.errors import Forbidden, Unauthorized

LOCAL = Source("127.0.0.1", "http://localhost:8765", is_local=True)
REMOTE = Source("192.0.2.7", "http://example.com", is_local=False)
KEYS = ("first-key", "second-key", "ключ")


def access(
    keys: Collection[str] = KEYS, open_publish: str = "off", *, require_auth: bool = False
) -> Access:
    """Make the access that a test is about."""
    return Access(keys, open_publish, require_auth)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("open_publish", ["off", "loopback", "anyone"])
def test_a_producer_key_may_publish_and_consume(key: str, open_publish: str) -> None:
    """Whichever position it has, from anywhere, whatever else is open."""
    principal = access(open_publish=open_publish, require_auth=True).identify(key, REMOTE)
    assert (principal.kind, principal.may_publish, principal.may_consume) == ("key", True, True)
    principal.check_publish()
    principal.check_consume()


@pytest.mark.parametrize(
    "credential", ["", "first", "first-key ", "FIRST-KEY", "first-key,second-key", "\ud800", "ñ"]
)
@pytest.mark.parametrize("source", [LOCAL, REMOTE], ids=["local", "remote"])
def test_a_credential_that_is_no_key_is_refused(credential: str, source: Source) -> None:
    """It is never treated as none, even where none is needed, and is not shown."""
    with pytest.raises(Unauthorized) as caught:
        access(open_publish="anyone").identify(credential, source)
    assert credential == "" or credential not in caught.value.message


@pytest.mark.parametrize("position", range(3))
def test_every_key_is_compared_whichever_matches(
    position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that a comparison takes tells nothing about the keys."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def spy(a: Any, b: Any) -> bool:
        compared.extend(each for each in (a, b) if each in [key.encode() for key in KEYS])
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    access().identify(KEYS[position], REMOTE)
    assert set(compared) == {key.encode() for key in KEYS}


@pytest.mark.parametrize("credential", ["", "anything", "a.b.c"])
def test_without_keys_credentials_are_ignored(credential: str) -> None:
    """Where none is configured, none is checked."""
    principal = access(keys=(), open_publish="loopback").identify(credential, LOCAL)
    assert (principal.kind, principal.may_publish) == ("anonymous", True)
    assert not access(keys=()).identify(credential, LOCAL).may_publish


@pytest.mark.parametrize(
    ("open_publish", "source", "may"),
    [
        ("off", LOCAL, False),
        ("off", REMOTE, False),
        ("loopback", LOCAL, True),
        ("loopback", REMOTE, False),
        ("anyone", LOCAL, True),
        ("anyone", REMOTE, True),
    ],
)
def test_publishing_without_a_credential_is_as_open_as_it_is_set(
    open_publish: str, source: Source, may: bool
) -> None:
    """Whether consuming needs a credential does not matter; a refusal names the setting."""
    for require_auth in (False, True):
        principal = access(open_publish=open_publish, require_auth=require_auth).identify(
            None, source
        )
        assert principal.may_publish is may
        if not may:
            with pytest.raises(Forbidden, match="SIO_OPEN_PUBLISH"):
                principal.check_publish()


@pytest.mark.parametrize("require_auth", [False, True])
def test_consuming_without_a_credential_is_open_unless_required(require_auth: bool) -> None:
    """Then the lack of one is ``unauthorized``."""
    principal = access(require_auth=require_auth).identify(None, LOCAL)
    if require_auth:
        with pytest.raises(Unauthorized):
            principal.check_consume()
    else:
        principal.check_consume()


def test_a_principal_that_may_not_publish_is_forbidden_to() -> None:
    """With the reason in the message."""
    with pytest.raises(Forbidden, match="because"):
        Principal(
            "anonymous", may_publish=False, may_consume=True, why_not="because"
        ).check_publish()
