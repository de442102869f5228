"""The tokens of users who sign out, get another password, are deactivated or deleted."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import loopback
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_out
from django.core import serializers
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_save
from django.test import Client, RequestFactory, override_settings
from django.test.utils import isolate_apps
from django.utils import timezone
from furniture_events.django import direct, revoke
from furniture_events.django.models import OutboxRevocation
from furniture_events.django.page import describe

from tests.django.catalog.models import Mueble
from tests.django.databases import smoke
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.relays import Relay, wait_until_sent
from tests.support.server import Server, fetch, wait_until

SECRET = "a secret that the broker knows as well"
KEY = "the-key-of-the-relay"

StartRelay = Callable[..., Relay]


@pytest.fixture(autouse=True)
def setting(db: None) -> Iterator[None]:
    """Let the site give out tokens."""
    with override_setting(TOKEN_SECRET=SECRET):
        yield


def waiting() -> list[str]:
    """Return the users whose revocations wait, in order."""
    return [row.sub for row in OutboxRevocation.objects.filter(error="")]


@smoke
def test_a_revocation_is_part_of_the_transaction(autor: User) -> None:
    """A rollback revokes nothing."""
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        revoke(autor)
        assert waiting() == [str(autor.pk)]
        raise ZeroDivisionError
    assert waiting() == []
    with transaction.atomic():
        revoke(autor)
    assert waiting() == [str(autor.pk)]


def test_a_user_who_signs_out_is_revoked(autor: User) -> None:
    """Nobody is, if nobody was signed in."""
    client = Client()
    client.logout()
    user_logged_out.send(sender=None, request=None, user=None)
    user_logged_out.send(sender=None, request=None, user=AnonymousUser())
    assert waiting() == []
    client.force_login(autor)
    client.logout()
    assert waiting() == [str(autor.pk)]


def set_password(user: User) -> None:
    """Set another password, as Django's forms do."""
    user.set_password("another")
    user.save()


def set_hash(user: User) -> None:
    """Set another hash."""
    user.password = "md5$salt$hash"
    user.save(update_fields=["password"])


def set_no_password(user: User) -> None:
    """Let the user sign in by other means only."""
    user.set_unusable_password()
    user.save(update_fields=["password"])


def deactivate(user: User) -> None:
    """Let the user not sign in."""
    user.is_active = False
    user.save()


def deactivate_only(user: User) -> None:
    """Write one column."""
    user.is_active = False
    user.save(update_fields=["is_active"])


CHANGES = (set_password, set_hash, set_no_password, deactivate, deactivate_only, User.delete)


@pytest.fixture
def user(db: None) -> User:
    """Return a user with a password and no furniture."""
    return User.objects.create_user("ana", password="first")


@smoke
@pytest.mark.parametrize("change", CHANGES)
def test_a_user_who_loses_something_is_revoked(user: User, change: Callable[[User], Any]) -> None:
    """Once. A rollback revokes nothing."""
    sub = str(user.pk)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        change(User.objects.get(pk=user.pk))
        raise ZeroDivisionError
    assert waiting() == []
    change(User.objects.get(pk=user.pk))
    assert waiting() == [sub]


@isolate_apps("tests.django.catalog")
def test_a_proxy_with_a_save_base_of_its_own_is_revoked(user: User) -> None:
    """It is Django's own, from before the hook."""

    class Cliente(User):
        save_base = Model.save_base

        class Meta:
            proxy = True
            app_label = "catalog"

    deactivate(Cliente.objects.get(pk=user.pk))
    assert waiting() == [str(user.pk)]


@smoke
def test_a_user_whose_former_version_is_restored_is_revoked(user: User) -> None:
    """Once, and only if the version takes something from the user."""
    deactivate(user)
    (deactivated,) = serializers.deserialize("json", serializers.serialize("json", [user]))
    OutboxRevocation.objects.all().delete()
    user.is_active = True
    user.save()
    deactivated.save()
    deactivated.save()
    assert waiting() == [str(user.pk)]


@smoke
@pytest.mark.parametrize("change", CHANGES[:-1])
def test_the_revocation_and_the_change_are_one_transaction(
    user: User, change: Callable[[User], Any]
) -> None:
    """If a receiver fails, neither is committed."""

    def fail(**_: object) -> None:
        raise ZeroDivisionError

    post_save.connect(fail, sender=User)
    try:
        with pytest.raises(ZeroDivisionError):
            change(User.objects.get(pk=user.pk))
    finally:
        post_save.disconnect(fail, sender=User)
    assert waiting() == []
    stored = User.objects.get(pk=user.pk)
    assert (stored.password, stored.is_active) == (user.password, True)


def test_other_changes_revoke_nobody(user: User) -> None:
    """New users, other fields, a reactivation, and a sign-in."""
    user.first_name = "Ana"
    user.save()
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.refresh_from_db()
    user.is_active = True
    user.save()
    User.objects.create_user("eva", password="first", is_active=False)
    assert Client().login(username="ana", password="first")
    assert waiting() == []


def test_a_new_hash_of_the_same_password_revokes_nobody(user: User) -> None:
    """A sign-in makes it, after the site has changed its hashers."""
    hashers = [f"django.contrib.auth.hashers.{it}PasswordHasher" for it in ("PBKDF2", "MD5")]
    before = user.password
    with override_settings(PASSWORD_HASHERS=hashers):
        assert Client().login(username="ana", password="first")
        assert User.objects.get(pk=user.pk).password != before
        assert waiting() == []
        set_hash(User.objects.get(pk=user.pk))
        assert waiting() == [str(user.pk)]


@pytest.mark.parametrize(
    "setting", [{"TOKEN_SECRET": None}, {"REVOKE_ON": []}, {"REVOKE_ON": ["logout"]}]
)
def test_the_setting_switches_each_off(user: User, setting: dict[str, Any]) -> None:
    """Without a secret the site has given out no tokens. ``revoke`` works in any case."""
    with override_setting(**{"TOKEN_SECRET": SECRET, **setting}):
        client = Client()
        client.force_login(user)
        client.logout()
        expected = [str(user.pk)] if "logout" in setting.get("REVOKE_ON", []) else []
        assert waiting() == expected
        for change in (set_password, deactivate):
            change(User.objects.get(pk=user.pk))
        assert waiting() == expected
        revoke(user)
        assert waiting() == [*expected, str(user.pk)]


def test_a_revoked_user_is_off_the_stream(
    user: User, start_server: Callable[..., Server], start_relay: StartRelay
) -> None:
    """Within seconds after the commit; a token of a later sign-in is good."""
    server = start_server(producer_keys=KEY, jwt_secret=SECRET, require_auth="true")
    with override_setting(TOKEN_SECRET=SECRET, URL=server.url, KEY=KEY):
        start_relay(URL=server.url, KEY=KEY, TOKEN_SECRET=SECRET).wait_for("relay_active")
        old = token_of(user)
        stream = urllib.request.urlopen(f"{server.url}/api/stream?token={old}", timeout=20)
        with stream:
            client = Client()
            client.force_login(user)
            client.logout()
            text = stream.read().decode()
        assert text.split("event: ")[-1].startswith('error\ndata: {"code":"unauthorized"')
        wait_until(lambda: not waiting(), "the revocation is sent")
        for token, status in ((old, 401), (token_of(user), 200)):
            assert status_of(f"{server.url}/api/events", token) == status


def token_of(user: User) -> str:
    """Return the token that a page of this user gets."""
    request = RequestFactory().get("/")
    request.user = user
    token = describe(request)["token"]
    assert token is not None
    return token


def status_of(url: str, token: str) -> int:
    """Return the status of a request with a token."""
    answer = fetch(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"}))
    assert answer is not None
    return answer[0]


@smoke
def test_the_relay_names_a_time_after_the_commit(
    user: User, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """But not long after it: the user may have signed in again before a late relay."""
    revoke(user)
    revoke(user)
    late = OutboxRevocation.objects.order_by("id")[0]
    late.created_at = timezone.now() - timedelta(hours=1)
    late.save()
    assert start_relay("--once", URL=broker.url).wait() == 0
    requests = [seen for seen in broker.seen if seen.path == "/api/revocations"]
    assert [seen.json["sub"] for seen in requests] == [str(user.pk)] * 2
    times = [datetime.fromisoformat(seen.json["before"]) for seen in requests]
    assert abs(times[0] - late.created_at - timedelta(seconds=10)) < timedelta(seconds=1)
    assert timedelta(0) <= datetime.now(UTC) - times[1] < timedelta(seconds=20)
    assert not OutboxRevocation.objects.exists()


def test_revocations_go_first(
    autor: User, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """Many events may wait."""
    mueble(autor).save()
    revoke(autor)
    assert start_relay("--once", URL=broker.url).wait() == 0
    assert [seen.path for seen in broker.seen] == ["/api/revocations", "/api/events/batch"]


@pytest.mark.parametrize(
    "action", [loopback.refuse(401, "unauthorized"), loopback.refuse(404, "not_found")]
)
def test_a_broker_that_takes_no_revocations_takes_events(
    autor: User, broker: loopback.Broker, start_relay: StartRelay, action: loopback.Action
) -> None:
    """The revocation waits, and a log line has the reason."""
    revoke(autor)
    mueble(autor).save()
    broker.script.append(action)
    relay = start_relay(URL=broker.url)
    wait_until_sent()
    relay.wait_for("revocations_wait")
    wait_until(lambda: not waiting(), "the revocation is sent later")


def test_a_revocation_that_the_broker_refuses_is_set_aside(
    autor: User, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """Others are sent, and the admin shows it."""
    revoke(autor)
    revoke(User(pk=77))
    broker.script.append(loopback.refuse(400, "invalid_message"))
    assert start_relay("--once", URL=broker.url).wait() == 0
    (refused,) = OutboxRevocation.objects.all()
    assert (refused.sub, refused.error) == (str(autor.pk), "invalid_message: no")
    User.objects.create_superuser("root", password="root")
    client = Client()
    client.force_login(User.objects.get(username="root"))
    page = client.get("/admin/furniture_events/outboxrevocation/?state=refused")
    assert "invalid_message: no" in page.content.decode()
    status = start_relay("--status", URL=broker.url)
    status.wait()
    assert "refused=1" in status.output


def test_direct_mode_revokes_at_the_commit(autor: User, broker: loopback.Broker) -> None:
    """Without an outbox; a revocation that the broker cannot take is lost, and counted."""
    with override_setting(MODE="direct", URL=broker.url, TOKEN_SECRET=SECRET):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            revoke(autor)
            raise ZeroDivisionError
        assert broker.seen == []
        with transaction.atomic():
            revoke(autor)
            assert broker.seen == []
        (seen,) = broker.seen
        assert (seen.path, json.loads(seen.body)) == ("/api/revocations", {"sub": str(autor.pk)})
        lost = direct.counts["lost"]
        broker.script.append(loopback.refuse(503, "log_unavailable"))
        revoke(autor)
        assert direct.counts["lost"] == lost + 1
    assert waiting() == []
    assert not Mueble.objects.exists()
