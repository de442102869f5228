"""Wake-ups, which end the relay's sleep early: a commit, or a signal to stop.

A commit wakes the relay through a socket on the same host, or through PostgreSQL. A wake-up has no
content and may get lost: the relay looks into the outbox every ``POLL_SECONDS`` in any case.
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

__all__ = [
    "StopSignal",
    "WakeNotifications",
    "WakeSocket",
    "WakeSource",
    "can_listen",
    "sleep",
    "wake_relay",
]

_CHANNEL = "furniture_events"


def wake_relay(using: str) -> None:
    """Wake the relay, once, when the transaction open on the database ``using`` commits."""
    connection = connections[using]
    match config().wake:
        case "socket":
            callback = _commit_callback(_wake_by_socket, using)
        case "listen" if can_listen(connection):
            callback = _commit_callback(_wake_by_notify, using)
        case _:
            return
    # Django has no public way to read the callbacks. If one of ours is there already, a second one
    # would change nothing: a rollback that drops the first would drop the second, too.
    if all(registered is not callback for _, registered, *_ in connection.run_on_commit):
        transaction.on_commit(callback, using=using, robust=True)


@cache
def _commit_callback(wake: Callable[[str], None], using: str) -> Callable[[], None]:
    def callback() -> None:  # no partial: Django logs the name of a callback that raises
        wake(using)

    return callback


def can_listen(connection: Any) -> bool:
    """Tell whether a database connection can notify and listen: PostgreSQL, with psycopg 3.2."""
    if connection.vendor != "postgresql":
        return False
    major, minor = connection.Database.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (3, 2)


def _wake_by_socket(using: str) -> None:
    with suppress(OSError), _unix_socket() as sender:  # no relay listens, or its buffer is full
        sender.sendto(b"", _socket_path(using))


def _wake_by_notify(using: str) -> None:
    # After the commit: a NOTIFY inside the transaction would make all commits wait for each other.
    with connections[using].cursor() as cursor:
        cursor.execute(f"NOTIFY {_CHANNEL}")


def _unix_socket() -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this system has no Unix sockets")
    unix_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    unix_socket.setblocking(False)
    return unix_socket


def _socket_path(using: str) -> str:
    """Return the setting's path, or a path for this database and this user of the machine."""
    if path := config().wake_socket:
        return path
    database = connections[using].settings_dict
    names = [str(database[name]) for name in ("ENGINE", "NAME", "HOST", "PORT")]
    user = os.getuid() if hasattr(os, "getuid") else 0
    name = hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]
    return str(Path(tempfile.gettempdir()) / f"furniture-events-{user}-{name}.sock")


class WakeSource(Protocol):
    """A file descriptor that becomes readable at a wake-up."""

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""

    def was_woken(self) -> bool:
        """Tell whether a wake-up came since the last call."""


class StopSignal:
    """Set by this process itself, from a signal handler. Once set, it stays set."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._is_set = False

    def set(self) -> None:
        """End the current sleep and every later one."""
        self._is_set = True
        with suppress(OSError):  # closed: nothing sleeps any more
            self._sender.send(b"\0")

    def is_set(self) -> bool:
        """Tell whether ``set`` was called."""
        return self._is_set

    def fileno(self) -> int:
        return self._receiver.fileno()

    def was_woken(self) -> bool:
        return self._is_set

    def close(self) -> None:
        """Close the pair of sockets."""
        self._receiver.close()
        self._sender.close()


class WakeSocket:
    """A Unix socket, through which sites on this host wake the relay.

    Raises:
        OSError: the path cannot be listened on.
    """

    def __init__(self, using: str) -> None:
        self._path = _socket_path(using)
        self._socket = _unix_socket()
        try:
            if Path(self._path).is_socket():  # left by a relay that died or is no longer active
                Path(self._path).unlink(missing_ok=True)
            self._socket.bind(self._path)
            self._file = Path(self._path).stat()
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def was_woken(self) -> bool:
        woken = False
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1)
                woken = True
        return woken

    def close(self) -> None:
        """Remove the path, unless the next relay has taken it already."""
        with suppress(OSError):
            if os.path.samestat(self._file, Path(self._path).stat()):
                Path(self._path).unlink()
        self._socket.close()


class WakeNotifications:
    """PostgreSQL's notifications, which wake the relay from any host, on a psycopg 3 connection.

    Raises:
        DatabaseError: the connection is lost. All methods raise it.
    """

    def __init__(self, using: str) -> None:
        with connections[using].cursor() as cursor:
            cursor.execute(f"LISTEN {_CHANNEL}")
        self._errors = connections[using].wrap_database_errors
        self._connection: Any = connections[using].connection

    def fileno(self) -> int:
        with self._errors:
            return int(self._connection.fileno())

    def was_woken(self) -> bool:
        # psycopg also has notifications that came with a query's answer. The socket has not.
        with self._errors:
            return bool(list(self._connection.notifies(timeout=0)))

    def close(self) -> None:
        """Do nothing: listening ends with the connection."""


def sleep(seconds: float, sources: Sequence[WakeSource]) -> None:
    """Sleep until the time is over or a wake-up comes. An earlier wake-up ends it at once.

    Raises:
        DatabaseError: a source's database connection is lost.
    """
    if any(source.was_woken() for source in sources):
        return
    select.select(sources, [], [], seconds)
