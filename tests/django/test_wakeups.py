"""The relay is woken by a commit on its host, by PostgreSQL, or by the time."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from furniture_events.django.conf import config
from furniture_events.django.wakeups import WakeNotifications, WakeSocket, wake_relay

from tests.django.databases import on_postgres, smoke
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.relays import Relay, wait_for_events, wait_until_sent
from tests.support.server import Server, wait_until

StartRelay = Callable[..., Relay]
StartServer = Callable[..., Server]

NEVER = 3600
ASLEEP = {"POLL_SECONDS": NEVER, "LEASE_SECONDS": 2 * NEVER}
"""With these settings a relay sleeps for longer than any test, unless it is woken."""


def save_and_see_each(autor: User, server: Server, before: int = 0) -> None:
    """Commit three pieces, each after the earlier one was published and left the outbox."""
    for count in (1, 2, 3):
        mueble(autor).save()
        wait_for_events(server, before + count)
        wait_until_sent()


@smoke
def test_a_commit_on_the_host_wakes_the_relay(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """A relay that does not poll publishes each commit."""
    server = start_server()
    start_relay(URL=server.url, **ASLEEP).wait_for("relay_active")
    save_and_see_each(autor, server)


@smoke
def test_a_rollback_wakes_no_relay(autor: User, tmp_path: Path) -> None:
    """The wake-up comes at the commit, and not before."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock")):
        wake_socket = WakeSocket("default")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            mueble(autor).save()
            raise ZeroDivisionError
        assert not wake_socket.was_woken()
        with transaction.atomic():
            mueble(autor).save()
            assert not wake_socket.was_woken()
        assert wake_socket.was_woken()
        assert not wake_socket.was_woken()
        wake_socket.close()


def save_many(autor: User) -> list[object]:
    """Save pieces, inside and outside savepoints; return the commit's callbacks."""
    with transaction.atomic():
        roll_back_a_save(autor)
        with transaction.atomic():
            mueble(autor).save()
            roll_back_a_save(autor)
        for _ in range(3):
            mueble(autor).save()
        return [callback for _, callback, _ in connection.run_on_commit]


def roll_back_a_save(autor: User) -> None:
    """Save a piece in a savepoint that is rolled back."""
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        mueble(autor).save()
        raise ZeroDivisionError


@smoke
def test_a_commit_wakes_the_relay_once(autor: User, tmp_path: Path) -> None:
    """A transaction has one callback, for any number of events and rolled back savepoints."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock")):
        wake_socket = WakeSocket("default")
        for _ in range(2):
            assert len(save_many(autor)) == 1
            assert wake_socket.was_woken()
        wake_socket.close()


@on_postgres
def test_a_commit_notifies_once(autor: User, database: str) -> None:
    """NOTIFY comes after the commit, so that no other transaction waits for it."""
    with override_setting(WAKE="listen"):
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                save_many(autor)
            statements = [query["sql"] for query in queries]
            assert statements.count("NOTIFY furniture_events") == 1
            assert statements[-1] == "NOTIFY furniture_events"


@on_postgres
def test_postgresql_wakes_the_relay(
    autor: User, database: str, start_server: StartServer, start_relay: StartRelay
) -> None:
    """With ``WAKE = "listen"`` each commit wakes the relay, from any host."""
    server = start_server()
    start_relay(URL=server.url, WAKE="listen", **ASLEEP).wait_for("relay_active")
    with override_setting(WAKE="listen"):
        save_and_see_each(autor, server)


@on_postgres
def test_a_lost_connection_raises_djangos_error(database: str) -> None:
    """The relay catches Django's error and connects again."""
    notifications = WakeNotifications("default")
    assert not notifications.was_woken()
    connection.connection.close()
    for method in (notifications.was_woken, notifications.fileno):
        with pytest.raises(OperationalError):
            method()
    connection.close()


def test_without_wakeups_the_relay_polls(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """Polling alone publishes every commit."""
    server = start_server()
    start_relay(URL=server.url, WAKE="poll", POLL_SECONDS=0.02).wait_for("relay_active")
    with override_setting(WAKE="poll"):
        save_and_see_each(autor, server)


def test_a_path_of_another_program_stays_unchanged(
    autor: User, start_server: StartServer, start_relay: StartRelay, tmp_path: Path
) -> None:
    """The relay logs that it has no socket, and polls. The file at the path does not change."""
    path = tmp_path / "precious"
    path.write_text("precious")
    server = start_server()
    relay = start_relay(URL=server.url, WAKE_SOCKET=str(path), POLL_SECONDS=0.02)
    relay.wait_for("WARNING wake_socket_failed")
    with override_setting(WAKE_SOCKET=str(path)):
        save_and_see_each(autor, server)
    assert relay.stop() == 0
    assert path.read_text() == "precious"


def test_a_killed_relays_socket_is_taken_over(
    autor: User, start_server: StartServer, start_relay: StartRelay, tmp_path: Path
) -> None:
    """The next relay replaces a killed relay's file, is woken, and removes its own file."""
    path = tmp_path / "relay.sock"
    wake = {"WAKE_SOCKET": str(path)}
    server = start_server()
    with override_setting(**wake):
        killed = start_relay(URL=server.url, LEASE_SECONDS=0.5, **wake)
        killed.wait_for("relay_active")
        wait_until(path.exists, "its socket is there")
        killed.kill()
        mueble(autor).save()  # no relay listens, and no error comes
        assert stat.S_ISSOCK(path.stat().st_mode)
        # It stands by until the killed relay's lease is over.
        relay = start_relay(URL=server.url, POLL_SECONDS=0.1, LEASE_SECONDS=2 * NEVER, **wake)
        relay.wait_for("relay_active")
        wait_for_events(server, 1)
        assert relay.stop() == 0
        assert not path.exists()
        start_relay(URL=server.url, **wake, **ASLEEP).wait_for("relay_active")
        save_and_see_each(autor, server, before=1)


def test_a_relay_that_lost_its_lead_leaves_the_next_ones_socket(tmp_path: Path) -> None:
    """Closing an older socket does not remove the path of a newer one."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock")):
        first = WakeSocket("default")
        second = WakeSocket("default")
        first.close()
        with transaction.atomic():
            wake_relay("default")
        assert second.was_woken()
        second.close()
        assert list(tmp_path.iterdir()) == []


def test_a_full_socket_holds_up_no_commit(tmp_path: Path) -> None:
    """Commits continue if a relay does not read its wake-ups for a long time."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock")):
        assert config().wake == "socket"
        wake_socket = WakeSocket("default")
        for _ in range(2000):  # more than a socket's buffer holds
            with transaction.atomic():
                wake_relay("default")
        wait_until(wake_socket.was_woken, "it is woken")
        wake_socket.close()
