"""Principals: the identity and the rights of a client, with a key and without a credential."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import Any

import pytest
import structlog

from sio_server.access.limits import Limits
from sio_server.access.principals import Access, Principal
from sio_server.access.sources import Source
from sio_server.contract.errors import Forbidden, RateLimited, Unauthorized

LOCAL = Source("127.0.0.1", "http://localhost:8765", is_local=True)
REMOTE = Source("192.0.2.7", "http://example.com", is_local=False)
KEYS = ("first-key", "second-key", "ключ")


def access(
    keys: Collection[str] = KEYS, open_publish: str = "off", *, require_auth: bool = False
) -> Access:
    """Return access rules, by default with keys and without open publishing."""
    limits = Limits(2, 100, 100, 0)
    return Access(keys, open_publish, require_auth, limits)


def test_guessing_is_slow() -> None:
    """After too many wrong credentials, the server looks at no credential of the address."""
    rules = access()
    for _ in range(3):
        with pytest.raises(Unauthorized):
            rules.identify("wrong", LOCAL)
    with pytest.raises(RateLimited):
        rules.identify(KEYS[0], LOCAL)
    assert rules.identify(KEYS[0], REMOTE).kind == "key"
    assert rules.identify(None, LOCAL).kind == "anonymous"


def test_a_refused_credential_is_one_log_line_without_it() -> None:
    """The line names the address."""
    with structlog.testing.capture_logs() as lines, pytest.raises(Unauthorized):
        access().identify("wrong", REMOTE)
    assert lines == [
        {"event": "credential_refused", "address": REMOTE.address, "log_level": "warning"}
    ]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("open_publish", ["off", "loopback", "anyone"])
def test_a_producer_key_may_publish_and_consume(key: str, open_publish: str) -> None:
    """This holds for each key, from any address, with any setting of open publishing."""
    principal = access(open_publish=open_publish, require_auth=True).identify(key, REMOTE)
    assert (principal.kind, principal.may_publish, principal.may_consume) == ("key", True, True)
    principal.check_publish()
    principal.check_consume()


@pytest.mark.parametrize(
    "credential", ["", "first", "first-key ", "FIRST-KEY", "first-key,second-key", "\ud800", "ñ"]
)
@pytest.mark.parametrize("source", [LOCAL, REMOTE], ids=["local", "remote"])
def test_a_credential_that_is_no_key_is_refused(credential: str, source: Source) -> None:
    """It is refused even if no credential is needed, and the error does not show it."""
    with pytest.raises(Unauthorized) as caught:
        access(open_publish="anyone").identify(credential, source)
    assert credential == "" or credential not in caught.value.message


@pytest.mark.parametrize("position", range(3))
def test_every_key_is_compared_even_after_a_match(
    position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the time of the check would tell something about the keys."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def spy(a: Any, b: Any) -> bool:
        compared.extend(value for value in (a, b) if value in [key.encode() for key in KEYS])
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    access().identify(KEYS[position], REMOTE)
    assert set(compared) == {key.encode() for key in KEYS}


@pytest.mark.parametrize("credential", ["", "anything", "a.b.c"])
def test_without_keys_credentials_are_ignored(credential: str) -> None:
    """If no key is configured, there is nothing to compare a credential with."""
    principal = access(keys=(), open_publish="loopback").identify(credential, LOCAL)
    assert (principal.kind, principal.may_publish) == ("anonymous", True)
    assert not access(keys=()).identify(credential, LOCAL).may_publish


@pytest.mark.parametrize(
    ("open_publish", "source", "allowed"),
    [
        ("off", LOCAL, False),
        ("off", REMOTE, False),
        ("loopback", LOCAL, True),
        ("loopback", REMOTE, False),
        ("anyone", LOCAL, True),
        ("anyone", REMOTE, True),
    ],
)
def test_publishing_without_a_credential_follows_the_setting(
    open_publish: str, source: Source, allowed: bool
) -> None:
    """``require_auth`` is about consuming and does not matter. A refusal names the setting."""
    for require_auth in (False, True):
        principal = access(open_publish=open_publish, require_auth=require_auth).identify(
            None, source
        )
        assert principal.may_publish is allowed
        if not allowed:
            with pytest.raises(Forbidden, match="SIO_OPEN_PUBLISH"):
                principal.check_publish()


@pytest.mark.parametrize("require_auth", [False, True])
def test_consuming_without_a_credential_is_open_unless_required(require_auth: bool) -> None:
    """If one is required, the error is ``unauthorized``."""
    principal = access(require_auth=require_auth).identify(None, LOCAL)
    if require_auth:
        with pytest.raises(Unauthorized):
            principal.check_consume()
    else:
        principal.check_consume()


def test_a_refusal_to_publish_gives_the_reason() -> None:
    """The principal carries the reason, because only its maker knows which setting forbids it."""
    with pytest.raises(Forbidden, match="because"):
        Principal(
            "anonymous", may_publish=False, may_consume=True, why_not="because"
        ).check_publish()
