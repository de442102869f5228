"""What wakes the relay: a commit on this host, PostgreSQL's word, or else the time."""

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

from tests.django.databases import on_postgres
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.relays import Relay, wait_for_events, wait_until_sent
from tests.support.server import Server, wait_until

StartRelay = Callable[..., Relay]
StartServer = Callable[..., Server]

NEVER = 3600
ASLEEP = {"POLL_SECONDS": NEVER, "LEASE_SECONDS": 2 * NEVER}
"""A relay with these does nothing more, before a test is over, unless something wakes it."""


def save_and_see_each(autor: User, server: Server, before: int = 0) -> None:
    """Commit pieces, each once the one before it has arrived and left the outbox."""
    for count in (1, 2, 3):
        mueble(autor).save()
        wait_for_events(server, before + count)
        wait_until_sent()


def test_a_commit_on_the_host_wakes_the_relay(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """A relay that looks by itself never again publishes each commit."""
    server = start_server()
    start_relay(URL=server.url, **ASLEEP).wait_for("relay_active")
    save_and_see_each(autor, server)


def test_a_rollback_does_not(autor: User, tmp_path: Path) -> None:
    """The wake_socket is rung by the commit alone, however many events it has."""
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
    """Save pieces, in savepoints and out of them; return what is to be called at the commit."""
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


def test_a_commit_rings_once(autor: User, tmp_path: Path) -> None:
    """However many events a transaction has, and whichever of its savepoints are rolled back."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock")):
        wake_socket = WakeSocket("default")
        for _ in range(2):
            assert len(save_many(autor)) == 1
            assert wake_socket.was_woken()
        wake_socket.close()


@on_postgres
def test_a_commit_notifies_once(autor: User, database: str) -> None:
    """After the commit, where it makes no other transaction wait."""
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
    """With `WAKE = "listen"` each commit does, whichever host it comes from."""
    server = start_server()
    start_relay(URL=server.url, WAKE="listen", **ASLEEP).wait_for("relay_active")
    with override_setting(WAKE="listen"):
        save_and_see_each(autor, server)


@on_postgres
def test_a_connection_that_is_lost_is_told_as_djangos_error(database: str) -> None:
    """Whatever the relay asks of a lost connection, it can connect again."""
    wake_socket = WakeNotifications("default")
    assert not wake_socket.was_woken()
    connection.connection.close()
    for ask in (wake_socket.was_woken, wake_socket.fileno):
        with pytest.raises(OperationalError):
            ask()
    connection.close()


def test_without_a_bell_the_relay_looks_by_itself(
    autor: User, start_server: StartServer, start_relay: StartRelay
) -> None:
    """Polling is always enough."""
    server = start_server()
    start_relay(URL=server.url, WAKE="poll", POLL_SECONDS=0.02).wait_for("relay_active")
    with override_setting(WAKE="poll"):
        save_and_see_each(autor, server)


def test_a_path_that_is_somebody_elses_is_left_alone(
    autor: User, start_server: StartServer, start_relay: StartRelay, tmp_path: Path
) -> None:
    """The relay says that nothing will wake it, polls, and the file there stays as it is."""
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
    """The next relay is woken though the last one left its file behind, and leaves none itself."""
    path = tmp_path / "relay.sock"
    wake = {"WAKE_SOCKET": str(path)}
    server = start_server()
    with override_setting(**wake):
        killed = start_relay(URL=server.url, LEASE_SECONDS=0.5, **wake)
        killed.wait_for("relay_active")
        killed.kill()
        mueble(autor).save()  # rings where nobody listens: no error
        assert stat.S_ISSOCK(path.stat().st_mode)
        # Its standby comes in between, until the lease of the killed one is over.
        relay = start_relay(URL=server.url, POLL_SECONDS=0.1, LEASE_SECONDS=2 * NEVER, **wake)
        relay.wait_for("relay_active")
        wait_for_events(server, 1)
        assert relay.stop() == 0
        assert not path.exists()
        start_relay(URL=server.url, **wake, **ASLEEP).wait_for("relay_active")
        save_and_see_each(autor, server, before=1)


def test_a_relay_that_lost_its_lead_leaves_the_next_ones_socket(tmp_path: Path) -> None:
    """The path belongs to who took it last: closing an older wake_socket does not silence it."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock")):
        first = WakeSocket("default")
        second = WakeSocket("default")
        first.close()
        with transaction.atomic():
            wake_relay("default")
        assert second.was_woken()
        second.close()
        assert list(tmp_path.iterdir()) == []


def test_nobody_waits_for_the_bell(tmp_path: Path) -> None:
    """A relay that does not come to listen, for however long, holds up no commit."""
    with override_setting(WAKE_SOCKET=str(tmp_path / "relay.sock")):
        assert config().wake == "socket"
        wake_socket = WakeSocket("default")
        for _ in range(2000):  # more than a socket's buffer holds
            with transaction.atomic():
                wake_relay("default")
        wait_until(wake_socket.was_woken, "it rings")
        wake_socket.close()
