"""What an operator can see of an outbox and of its relay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import furniture_events.django
import pytest
from django.contrib.auth.models import User
from django.core.checks import CheckMessage, run_checks
from django.core.management import CommandError, call_command
from furniture_events.django.models import OutboxEvent

from tests.django.catalog.models import Mueble
from tests.django.databases import smoke
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.relays import Relay, wait_until_sent
from tests.support.certificates import write_certificate
from tests.support.server import Server

StartRelay = Callable[..., Relay]
StartServer = Callable[..., Server]


def findings() -> list[CheckMessage]:
    """Return the findings about relays of ``check --database default``."""
    found = run_checks(databases=["default"])
    return [it for it in found if it.id == "furniture_events.W010"]


@smoke
def test_status_counts_the_rows(autor: User) -> None:
    """For a health check of the site."""
    assert furniture_events.django.status() == (0, None, 0, None)
    mueble(autor).save()
    mueble(autor).save()
    OutboxEvent.objects.filter(pk=OutboxEvent.objects.latest("id").pk).update(error="no")
    status = furniture_events.django.status(using="default")
    assert (status.waiting, status.refused) == (1, 1)
    assert timedelta(0) <= (status.oldest or timedelta.max) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_waiting": 1}, "2 rows wait, more than 1"),
        ({"max_age": 10.0}, "the oldest row waits for 3600"),
        ({"max_waiting": 0, "max_age": 1e9}, "2 rows wait, more than 0"),
        ({"max_waiting": 2, "max_age": 4000.0}, None),
    ],
)
def test_the_status_fails_beyond_its_bounds(
    autor: User, options: dict[str, Any], message: str | None
) -> None:
    """The exit status is 1, for a monitor."""
    for _ in range(2):
        mueble(autor).save()
    first = OutboxEvent.objects.order_by("id")[0]
    first.created_at -= timedelta(hours=1)
    first.save()
    if message is None:
        call_command("relay_furniture_events", status=True, **options)
        return
    with pytest.raises(CommandError, match=message):
        call_command("relay_furniture_events", status=True, **options)


def test_an_empty_outbox_is_within_every_bound() -> None:
    """No row waits."""
    call_command("relay_furniture_events", status=True, max_age=0, max_waiting=0)


def test_bounds_need_the_status() -> None:
    """A relay with them would run for ever, and check nothing."""
    with pytest.raises(CommandError, match="belong to --status"):
        call_command("relay_furniture_events", once=True, max_age=1)


def test_waiting_events_without_a_relay_are_a_finding(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """A standby or an active relay is enough."""
    assert findings() == []
    mueble(autor).save()
    (found,) = findings()
    assert "1 events wait" in found.msg
    server = start_server()
    server.stop()
    relay = start_relay(URL=server.url)
    relay.wait_for("relay_waits", 2)
    assert findings() == []
    relay.stop()
    assert len(findings()) == 1


def test_the_relay_says_that_it_recovered_and_stopped(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """An operator sees the end of each trouble."""
    server = start_server()
    server.stop()
    mueble(autor).save()
    relay = start_relay(URL=server.url)
    relay.wait_for("relay_waits", 3)
    start_server(port=server.port)
    (recovered,) = relay.wait_for("relay_recovered")
    assert int(recovered.partition("failures=")[2]) >= 3
    wait_until_sent()
    assert relay.stop() == 0
    assert relay.lines[-1].rstrip().endswith("relay_stopped database=default")


def test_a_wrong_key_is_said_in_the_settings_words(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """And with a key that is missing."""
    server = start_server(open_publish="off", producer_keys="the-key-of-another-producer")
    mueble(autor).save()
    for key in ("not-the-key-of-a-producer", None):
        relay = start_relay(URL=server.url, KEY=key)
        (line,) = relay.wait_for("relay_waits")[:1]
        assert "FURNITURE_EVENTS['KEY'] must be one of the broker's SIO_PRODUCER_KEYS" in line
        relay.stop()


def test_there_is_no_relay_in_direct_mode(start_relay: StartRelay) -> None:
    """It would wait for ever. Rows from before can still be sent."""
    relay = start_relay(MODE="direct")
    assert relay.wait() == 1
    (line,) = relay.lines
    assert line.startswith("CommandError: FURNITURE_EVENTS['MODE'] is 'direct'")
    assert start_relay("--once", MODE="direct").wait() == 0


def test_the_relay_trusts_the_certificates_of_the_setting(
    autor: User, start_server: StartServer, start_relay: StartRelay, tmp_path: Path
) -> None:
    """A broker's own certificate, which the system does not know."""
    files = write_certificate(tmp_path, "broker")
    server = start_server(tls_cert=files.certificate, tls_key=files.key, producer_keys="k" * 16)
    url = server.url.replace("http://", "https://")
    mueble(autor).save()
    stranger = start_relay(URL=url, KEY="k" * 16)
    stranger.wait_for("relay_waits", 2)
    stranger.stop()
    start_relay(URL=url, KEY="k" * 16, CA=str(files.certificate))
    wait_until_sent()
    assert Mueble.objects.count() == 1


@pytest.mark.parametrize("value", ["/nowhere/ca.pem", "", 5, __file__])
def test_certificates_that_cannot_be_read_are_a_finding(value: object) -> None:
    """At the check, and not at the first event."""
    with override_setting(CA=value):
        found = [it for it in run_checks() if it.id == "furniture_events.E003"]
    assert [it.msg.startswith("FURNITURE_EVENTS['CA'] must be") for it in found] == [True]
