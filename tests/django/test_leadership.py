"""One relay of a database is active. Another one stands by, and becomes active after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from unittest import mock

import loopback
from django.contrib.auth.models import User
from django.db import connection, connections
from django.utils import timezone
from furniture_events.django.leadership import AdvisoryLock, Lease
from furniture_events.django.models import OutboxEvent, RelayLease
from furniture_events.django.relay import Relay as ActiveRelay

from tests.django.databases import on_postgres, on_servers, smoke, with_lease
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.relays import Relay, answer_after, wait_for_events, wait_until_sent
from tests.django.test_wakeups import NEVER, save_and_see_each
from tests.support.server import Server, wait_until

StartRelay = Callable[..., Relay]
StartServer = Callable[..., Server]


def end_others() -> int:
    """End the other connections to this database, as an operator does; return their number."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return len(cursor.fetchall())
        cursor.execute(
            "SELECT id FROM information_schema.processlist"
            " WHERE db = database() AND id <> connection_id()"
        )
        others = cursor.fetchall()
        for (other,) in others:
            cursor.execute("KILL %s", [other])
        return len(others)


@smoke
def test_a_standby_becomes_active_after_the_active_relay_is_killed(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """On PostgreSQL at once, elsewhere when the lease is over. No event is lost or doubled."""
    server = start_server()
    # An advisory lock has no lease. If PostgreSQL used the lease, this test would never end.
    lease = NEVER if connection.vendor == "postgresql" else 3
    active = start_relay(URL=server.url, LEASE_SECONDS=lease)
    active.wait_for("relay_active")
    standby = start_relay(URL=server.url, LEASE_SECONDS=lease)
    standby.wait_for("relay_standby")
    save_and_see_each(autor, server)
    assert "relay_active" not in standby.output
    active.kill()
    mueble(autor).save()
    standby.wait_for("relay_active")
    wait_for_events(server, 4)


def test_a_standby_becomes_active_at_once_after_a_stopped_relay(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """The standby does not wait for the lease, and the next commits wake it."""
    server = start_server()
    active = start_relay(URL=server.url, LEASE_SECONDS=NEVER)
    active.wait_for("relay_active")
    standby = start_relay(URL=server.url, LEASE_SECONDS=NEVER)
    standby.wait_for("relay_standby")
    assert active.stop() == 0
    standby.wait_for("relay_active")
    save_and_see_each(autor, server)
    assert standby.stop() == 0
    assert not RelayLease.objects.exists()


def test_a_standby_can_be_stopped(start_server: StartServer, start_relay: StartRelay) -> None:
    """It ends with status 0, and the active relay stays active."""
    server = start_server()
    active = start_relay(URL=server.url)
    active.wait_for("relay_active")
    standby = start_relay(URL=server.url)
    standby.wait_for("relay_standby")
    assert standby.stop() == 0
    third = start_relay(URL=server.url)
    third.wait_for("relay_standby")
    assert len(active.wait_for("relay_active")) == 1
    assert "relay_standby" not in active.output


@smoke
@on_servers
def test_a_relay_whose_connection_is_ended_connects_again(
    autor: User, database: str, start_server: StartServer, start_relay: StartRelay
) -> None:
    """It becomes active and listens again, so that commits wake it as before."""
    server = start_server()
    listening = {"WAKE": "listen", "POLL_SECONDS": NEVER}
    polling = {"WAKE": "poll", "POLL_SECONDS": 0.1}
    relay = start_relay(URL=server.url, **(listening if database == "postgres" else polling))
    relay.wait_for("relay_active")
    with override_setting(WAKE="listen"):
        for times in (1, 2):
            save_and_see_each(autor, server, before=3 * (times - 1))
            assert end_others() == 1
            relay.wait_for("relay_waits", times)
            relay.wait_for("relay_active", times + 1)
        save_and_see_each(autor, server, before=6)
    start_relay(URL=server.url).wait_for("relay_standby")
    assert relay.stop() == 0


@on_postgres
def test_a_relay_that_disconnects_keeps_no_lock(database: str) -> None:
    """Another relay can become active, even if a pool keeps the old connection open."""
    relay = ActiveRelay("default")
    assert relay._become_active()
    with mock.patch.object(connection, "close"):
        relay._disconnect()
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(_can_become_active).result()
    relay.close()


@on_postgres
def test_a_lock_ends_with_its_connection(database: str) -> None:
    """A relay with a new connection asks for the lock again, which another relay has now."""
    first, second = AdvisoryLock("default"), AdvisoryLock("default")
    assert first.hold()
    connection.close()
    with ThreadPoolExecutor(1) as thread:
        # PostgreSQL notices a little later that a connection is closed.
        wait_until(lambda: thread.submit(second.hold).result(), "the second has it")
        assert not first.hold()
        thread.submit(connections.close_all).result()
    wait_until(first.hold, "the first has it again")
    connection.close()


def _can_become_active() -> bool:
    try:
        return AdvisoryLock("default").hold()
    finally:
        connection.close()


@smoke
@with_lease
def test_a_relay_that_slept_through_its_lease_stands_by(
    autor: User, database: str, start_server: StartServer, start_relay: StartRelay
) -> None:
    """It finds another relay active, sends nothing more, and keeps the other's socket."""
    server = start_server()
    first = start_relay(URL=server.url, LEASE_SECONDS=1)
    first.wait_for("relay_active")
    save_and_see_each(autor, server)
    second = start_relay(URL=server.url, LEASE_SECONDS=NEVER)
    second.wait_for("relay_standby")
    first.signal(signal.SIGSTOP)
    mueble(autor).save()
    second.wait_for("relay_active")
    wait_for_events(server, 4)
    first.signal(signal.SIGCONT)
    first.wait_for("relay_standby")
    save_and_see_each(autor, server, before=4)
    wait_until_sent()


@with_lease
def test_a_relay_that_loses_its_lease_during_a_request_sends_no_more(
    autor: User, database: str, broker: loopback.Broker, start_relay: StartRelay
) -> None:
    """The acknowledged event leaves the outbox, and the other relay sends the next one."""
    answer_now = threading.Event()
    broker.script.append(answer_after(answer_now))
    for _ in range(2):
        mueble(autor).save()
    relay = start_relay(URL=broker.url, BATCH_EVENTS=1, LEASE_SECONDS=0.1)
    assert broker.arrived.wait(20)
    expires_at = RelayLease.objects.get().expires_at
    RelayLease.objects.update(holder="another", expires_at=expires_at + timedelta(days=1))
    wait_until(lambda: timezone.now() > expires_at, "the lease is over")
    answer_now.set()
    relay.wait_for("relay_standby")
    assert len(broker.log) == len(broker.seen) == 1
    assert OutboxEvent.objects.count() == 1


@smoke
@with_lease
def test_a_relay_that_stands_by_has_no_socket(database: str, tmp_path: Path) -> None:
    """Only the active relay listens for wake-ups."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock"), LEASE_SECONDS=0.01):
        relay = ActiveRelay("default")
        assert relay._become_active()
        assert len(list(tmp_path.iterdir())) == len(relay._wake_sources) == 1
        until = timezone.now() + timedelta(days=1)
        RelayLease.objects.update(holder="another", expires_at=until)
        wait_until(lambda: not relay._become_active(), "the lease is over")
        assert list(tmp_path.iterdir()) == relay._wake_sources == []
        relay.close()


@with_lease
def test_a_relay_that_seldom_polls_keeps_its_lease(
    autor: User, database: str, start_server: StartServer, start_relay: StartRelay
) -> None:
    """It renews its lease in time, so that the standby stays a standby."""
    active = start_relay(POLL_SECONDS=NEVER, LEASE_SECONDS=3)
    active.wait_for("relay_active")
    expiries = [RelayLease.objects.get().expires_at]
    standby = start_relay(LEASE_SECONDS=3)
    standby.wait_for("relay_standby")
    while expiries[-1] < expiries[0] + timedelta(seconds=2):
        lease = RelayLease.objects.get()
        if lease.expires_at != expiries[-1]:
            expiries.append(lease.expires_at)
    assert "relay_active" not in standby.output
    assert "relay_standby" not in active.output


@smoke
def test_a_lease_has_one_holder_until_it_is_over() -> None:
    """Its holder renews it and others wait. After its end, anyone can take it."""
    first, second = (Lease("default", timedelta(seconds=NEVER)) for _ in range(2))
    assert first.hold()
    assert not second.hold()
    assert first.hold()
    second.release()
    assert RelayLease.objects.exists(), "only its holder gives it up"
    RelayLease.objects.update(expires_at=timezone.now())
    assert second.hold()
    first.release()
    assert not Lease("default", timedelta(seconds=NEVER)).hold()
    second.release()
    assert first.hold()


@smoke
def test_a_clock_that_is_set_back_makes_no_lease_longer() -> None:
    """The holder soon renews the lease by the new time, so that its standby waits no day."""
    lease = Lease("default", timedelta(seconds=0.2))
    tomorrow = timezone.now() + timedelta(days=1)
    with mock.patch.object(timezone, "now", return_value=tomorrow):
        assert lease.hold()

    def is_renewed() -> bool:
        return lease.hold() and RelayLease.objects.get().expires_at < tomorrow

    wait_until(is_renewed, "it is renewed by the new time")
