"""What ends the relay's sleep early: a commit, on this host or through PostgreSQL, or a signal.

A wake-up carries nothing and promises nothing: the relay looks by itself every `POLL_SECONDS`.
"""

import hashlib
import os
import select
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from django.db import connections, transaction

from furniture_events.django.conf import config

__all__ = ["Alarm", "Notifications", "Source", "WakeSocket", "can_listen", "sleep", "wake_relay"]

_CHANNEL = "furniture_events"


def wake_relay(using: str) -> None:
    """Wake the relay, once, when the transaction open on the database `using` is committed."""
    connection = connections[using]
    match config().wake:
        case "socket":
            bell = _bell(_ring, using)
        case "listen" if can_listen(connection):
            bell = _bell(_notify, using)
        case _:
            return
    # Django has no public way to ask. One that still hangs there will ring whenever another one
    # would: a savepoint that can yet take it away would take the other one too.
    if all(callback is not bell for _, callback, *_ in connection.run_on_commit):
        transaction.on_commit(bell, using=using, robust=True)


@cache
def _bell(ring: Callable[[str], None], using: str) -> Callable[[], None]:
    def bell() -> None:  # no partial: Django logs what a robust one raises by its name
        ring(using)

    return bell


def can_listen(connection: Any) -> bool:
    """Tell whether a database connection can notify and listen: PostgreSQL, with psycopg 3.2."""
    if connection.vendor != "postgresql":
        return False
    major, minor = connection.Database.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (3, 2)


def _ring(using: str) -> None:
    with suppress(OSError), _unix_socket() as bell:  # nobody listens, or has listened for long
        bell.sendto(b"", _socket_path(using))


def _notify(using: str) -> None:
    # After the commit: in it, all commits that notify would wait for each other.
    with connections[using].cursor() as cursor:
        cursor.execute(f"NOTIFY {_CHANNEL}")


def _unix_socket() -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this system has no Unix sockets")
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.setblocking(False)
    return bell


def _socket_path(using: str) -> str:
    """Return the setting's path, or one for each database and user of this machine."""
    if path := config().wake_socket:
        return path
    database = connections[using].settings_dict
    names = [str(database[name]) for name in ("ENGINE", "NAME", "HOST", "PORT")]
    user = os.getuid() if hasattr(os, "getuid") else 0
    name = hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]
    return str(Path(tempfile.gettempdir()) / f"furniture-events-{user}-{name}.sock")


class Source(Protocol):
    """Something to wake by."""

    def fileno(self) -> int:
        """Return what to wait for, until it can be read."""

    def rang(self) -> bool:
        """Tell whether it was rung since it was last asked."""


class Alarm:
    """Rung by this process itself, from a signal handler: it then stays so."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._rung = False

    def ring(self) -> None:
        """End this sleep, and every one after it."""
        self._rung = True
        with suppress(OSError):  # it is closed: the sleeps are over
            self._sender.send(b"\0")

    def fileno(self) -> int:
        return self._receiver.fileno()

    def rang(self) -> bool:
        return self._rung

    def close(self) -> None:
        """Close the pair of sockets."""
        self._receiver.close()
        self._sender.close()


class WakeSocket:
    """Rung by sites on this host. Raises `OSError` where the path cannot be listened on."""

    def __init__(self, using: str) -> None:
        self._path = _socket_path(using)
        self._bell = _unix_socket()
        try:
            if Path(self._path).is_socket():  # of a relay that was killed, or lost its lead
                Path(self._path).unlink(missing_ok=True)
            self._bell.bind(self._path)
            self._file = Path(self._path).stat()
        except OSError:
            self._bell.close()
            raise

    def fileno(self) -> int:
        return self._bell.fileno()

    def rang(self) -> bool:
        rung = False
        with suppress(BlockingIOError):
            while True:
                self._bell.recv(1)
                rung = True
        return rung

    def close(self) -> None:
        """Leave the path to the next relay, if that has not taken it already."""
        with suppress(OSError):
            if os.path.samestat(self._file, Path(self._path).stat()):
                Path(self._path).unlink()
        self._bell.close()


class Notifications:
    """Rung by PostgreSQL, whichever host commits. The connection is psycopg 3's.

    All raise `DatabaseError` where it is lost.
    """

    def __init__(self, using: str) -> None:
        with connections[using].cursor() as cursor:
            cursor.execute(f"LISTEN {_CHANNEL}")
        self._errors = connections[using].wrap_database_errors
        self._connection: Any = connections[using].connection

    def fileno(self) -> int:
        with self._errors:
            return int(self._connection.fileno())

    def rang(self) -> bool:
        # Those that came with the answer to a query wait here too, not on the socket.
        with self._errors:
            return bool(list(self._connection.notifies(timeout=0)))

    def close(self) -> None:
        """Nothing: it ends with the connection."""


def sleep(seconds: float, sources: Sequence[Source]) -> None:
    """Sleep until the time is over or a source rings; one that rang already ends it at once.

    Raises as the sources.
    """
    if any(source.rang() for source in sources):
        return
    select.select(sources, [], [], seconds)
