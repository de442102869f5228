"""Principals: the identity and the rights of a client, with a key and without a credential."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import nullcontext

import pytest
import structlog

from sio_server.access.identity import ANONYMOUS, Identity
from sio_server.access.keys import ProducerKeys
from sio_server.access.limits import Limits
from sio_server.access.principals import Access, Principal
from sio_server.access.revocations import Revocations
from sio_server.access.signing_keys import from_secrets
from sio_server.access.sources import Source
from sio_server.access.tokens import Tokens
from sio_server.contract.errors import (
    Forbidden,
    LogUnavailable,
    RateLimited,
    TokenExpired,
    Unauthorized,
)
from sio_server.contract.revocations import Revocation
from tests.support.tokens import SECRET, token

LOCAL = Source("127.0.0.1", "http://localhost:8765", is_local=True)
REMOTE = Source("192.0.2.7", "http://example.com", is_local=False)
KEYS = ("first-producer-key", "second-producer-key", "ключ" * 4)


def access(
    keys: Collection[str] = KEYS,
    open_publish: str = "off",
    *,
    require_auth: bool = False,
    tokens: Tokens | None = None,
    revoked: Collection[Revocation] = (),
) -> Access:
    """Return access rules, by default with keys and without open publishing."""
    limits = Limits(2, 100, 100, 0)
    revocations = Revocations(3_600)
    revocations.are_known = True
    revocations.add(revoked)
    return Access(ProducerKeys(keys), tokens, open_publish, require_auth, limits, revocations)


def test_guessing_is_slow() -> None:
    """After too many wrong credentials, the server looks at no credential of the address."""
    rules = access()
    for _ in range(3):
        with pytest.raises(Unauthorized):
            rules.identify("wrong", LOCAL)
    with pytest.raises(RateLimited):
        rules.identify(KEYS[0], LOCAL)
    assert rules.identify(KEYS[0], REMOTE).identity == Identity("key", "default")
    assert rules.identify(None, LOCAL).identity == ANONYMOUS


def test_a_refused_credential_is_one_log_line_without_it() -> None:
    """The line names the address."""
    with structlog.testing.capture_logs() as lines, pytest.raises(Unauthorized):
        access().identify("wrong", REMOTE)
    assert lines == [
        {
            "event": "credential_refused",
            "address": REMOTE.address,
            "reason": "the credential is not valid",
            "setting": "SIO_PRODUCER_KEYS",
            "log_level": "warning",
        }
    ]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("open_publish", ["off", "loopback", "anyone"])
def test_a_producer_key_may_publish_and_consume(key: str, open_publish: str) -> None:
    """This holds for each key, from any address, with any setting of open publishing."""
    principal = access(open_publish=open_publish, require_auth=True).identify(key, REMOTE)
    assert principal == Principal(Identity("key", "default"), may_publish=True, may_consume=True)
    principal.check_publish()
    principal.check_consume()


@pytest.mark.parametrize(
    "credential", ["", "first", KEYS[0] + " ", KEYS[0].upper(), ",".join(KEYS), "\ud800", "ñ"]
)
@pytest.mark.parametrize("source", [LOCAL, REMOTE], ids=["local", "remote"])
def test_a_credential_that_is_no_key_is_refused(credential: str, source: Source) -> None:
    """It is refused even if no credential is needed, and the error does not show it."""
    with pytest.raises(Unauthorized) as caught:
        access(open_publish="anyone").identify(credential, source)
    assert credential == "" or credential not in caught.value.message


@pytest.mark.parametrize("credential", ["", "anything", "a.b.c"])
def test_without_keys_credentials_are_ignored(credential: str) -> None:
    """If no key is configured, there is nothing to compare a credential with."""
    principal = access(keys=(), open_publish="loopback").identify(credential, LOCAL)
    assert (principal.identity, principal.may_publish) == (ANONYMOUS, True)
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
            with pytest.raises(Unauthorized, match="SIO_OPEN_PUBLISH"):
                principal.check_publish()
            without_keys = access((), open_publish).identify(None, source)
            with pytest.raises(Forbidden, match="SIO_OPEN_PUBLISH"):
                without_keys.check_publish()


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
        Principal(ANONYMOUS, may_publish=False, may_consume=True, why_not="because").check_publish()


def test_a_token_gives_its_rights_and_its_identity() -> None:
    """Beside keys, or alone. In a URL, too; a key is refused there, because URLs are logged."""
    for keys in (KEYS, ()):
        rules = access(keys, tokens=Tokens(lambda: from_secrets([SECRET])), require_auth=True)
        text = token(scope="publish", rooms=["material:roble"], iss="me")
        for from_url in (False, True):
            principal = rules.identify(text, REMOTE, from_url=from_url)
            assert principal.identity == Identity("token", "ana", "me")
            assert (principal.may_publish, principal.may_consume) == (True, False)
            assert principal.is_producer
            assert principal.expires is not None
    rules = access(tokens=Tokens(lambda: from_secrets([SECRET])))
    for credential in (KEYS[0], token("x" * 32)):
        with pytest.raises(Unauthorized):
            rules.identify(credential, REMOTE, from_url=True)


def test_an_expired_token_is_refused_as_such() -> None:
    """And counts like any other refused credential."""
    rules = access(tokens=Tokens(lambda: from_secrets([SECRET])))
    for _ in range(3):
        with pytest.raises(TokenExpired):
            rules.identify(token(exp=1), REMOTE)
    with pytest.raises(RateLimited):
        rules.identify(token(), REMOTE)


def test_the_rooms_of_a_token_bound_where_its_client_may_be() -> None:
    """Without named rooms, it is in its single rooms, or in ``catalog`` if it may be there."""
    rules = access(tokens=Tokens(lambda: from_secrets([SECRET])))

    def client(**claims: object) -> Principal:
        return rules.identify(token(**claims), LOCAL)

    bounded = client(rooms=["material:roble", "author:*"])
    assert bounded.choose_rooms(None) == {"material:roble"}
    assert bounded.choose_rooms(frozenset(["author:ana"])) == {"author:ana"}
    assert bounded.choose_rooms(frozenset()) == frozenset()
    for room in ("catalog", "material:pino", "type:furniture_created"):
        with pytest.raises(Forbidden, match=room):
            bounded.choose_rooms(frozenset([room]))
    for unbounded in (client(), client(rooms=["catalog"])):
        assert unbounded.choose_rooms(None) == {"catalog"}
    assert client(rooms=[]).choose_rooms(None) == frozenset()
    publisher = client(scope="publish")
    publisher.check_connect()
    assert publisher.choose_rooms(None) == frozenset()
    for refused in (publisher.check_consume, lambda: publisher.check_rooms(["catalog"])):
        with pytest.raises(Forbidden, match="scope"):
            refused()
    assert not publisher.allowed_rooms.allows("catalog")
    with pytest.raises(Forbidden, match="scope"):
        client().check_publish()


def test_a_revoked_token_is_refused() -> None:
    """A token that was issued later is not."""
    tokens = Tokens(lambda: from_secrets([SECRET]))
    now = time.time()
    rules = access(tokens=tokens, revoked=[Revocation("ana", None, int(now * 1000))])
    with pytest.raises(Unauthorized) as refusal:
        rules.identify(token(iat=now - 1), REMOTE)
    assert refusal.value.message == "the token is revoked"
    assert rules.identify(token(iat=now + 1), REMOTE).identity.name == "ana"
    assert rules.identify(token(sub="eva"), REMOTE).identity.name == "eva"


def test_no_token_is_accepted_before_the_revocations_are_known() -> None:
    """Keys are."""
    rules = access(tokens=Tokens(lambda: from_secrets([SECRET])))
    rules._revocations.are_known = False
    with pytest.raises(LogUnavailable):
        rules.identify(token(), REMOTE)
    assert rules.identify(KEYS[0], REMOTE).is_producer


@pytest.mark.parametrize(
    ("identity", "error"),
    [
        (ANONYMOUS, Unauthorized),
        (Identity("token", "ana"), Forbidden),
        (Identity("key", "a"), None),
    ],
)
def test_a_key_may_revoke_tokens(identity: Identity, error: type[Exception] | None) -> None:
    """A token may not, even with the scope ``publish``."""
    principal = Principal(identity, may_publish=True, may_consume=True)
    with nullcontext() if error is None else pytest.raises(error):
        principal.check_revoke()
