"""Open the SQLite event log's file: recognise it, create it, or say in one sentence why not.

The file is one server's alone: ``locking_mode=EXCLUSIVE`` keeps it locked from the first look at
it until the connection closes. The lock is the operating system's, so it ends with the process,
however that ends, and leaves nothing to clean up; and it spares SQLite the shared-memory file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import apsw

from sio_server.contract.errors import StartError
from sio_server.eventlog import reading
from sio_server.eventlog.sqlite import sessions as sqlite_sessions

APPLICATION_ID = 0x53494F4C
SCHEMA_VERSION = 2

BUSY_MILLISECONDS = 1_000
"""How long a server that starts waits for one that is just ending."""

KEPT_JOURNAL_BYTES = 16 * 1024 * 1024

_SCHEMA = """
    CREATE TABLE log (epoch TEXT NOT NULL, seq INTEGER NOT NULL, milliseconds INTEGER NOT NULL)
        STRICT;
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        milliseconds INTEGER NOT NULL,
        id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        rooms TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE piece (furniture_id TEXT NOT NULL PRIMARY KEY, rooms TEXT NOT NULL)
        STRICT, WITHOUT ROWID;
"""

_ELSEWHERE = "or choose another path in SIO_EVENT_LOG"


def open_file(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the log's file for a server that starts; make it, and its folder, where missing.

    Raises:
        StartError: it can't be used; the message says why and what to do.
    """
    made = False
    try:
        made = _make_file(path)
        connection = _connect(path, vfs)
        try:
            _recognise(connection, path)
            _configure(connection)
            _write_once(connection)
        except BaseException:
            connection.close(True)
            raise
    except (apsw.Error, OSError, StartError) as error:
        if made and not isinstance(error, apsw.BusyError):  # busy: it is another server's by now
            _remove(path)
        raise start_error(path, error) from error
    return connection


def reopen_file(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the file of a running log again after a failure. Makes nothing.

    Raises:
        apsw.Error: it can't be opened now.
    """
    connection = _connect(path, vfs)
    try:
        _configure(connection)
    except BaseException:
        connection.close(True)
        raise
    return connection


def _make_file(path: Path) -> bool:
    """Make an empty file; False where there is something already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"the folder {path.parent} of the event log can't be made ({error.strerror}): "
            f"make it, {_ELSEWHERE}"
        ) from error
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except FileExistsError:
        return False
    return True


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-journal"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    _pragma(connection, "locking_mode=EXCLUSIVE")
    return connection


def _recognise(connection: apsw.Connection, path: Path) -> None:
    """Refuse what is no log of ours, before anything is written to it."""
    if connection.readonly("main"):
        raise apsw.ReadOnlyError("the file is read-only")
    application_id = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    blank = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if application_id != APPLICATION_ID and (application_id or version or not blank):
        raise StartError(
            f"{path} is an SQLite database of another program: move it away, {_ELSEWHERE}"
        )
    if version > SCHEMA_VERSION:
        raise StartError(
            f"{path} was written by a newer version of this server (its schema is {version}, "
            f"this server knows {SCHEMA_VERSION}): upgrade the server, {_ELSEWHERE}"
        )
    if blank:
        _create(connection)
    elif version == 1:  # it knew no sessions
        with connection:
            connection.execute(sqlite_sessions.SCHEMA)
            _pragma(connection, f"user_version={SCHEMA_VERSION}")


def _create(connection: apsw.Connection) -> None:
    _pragma(connection, "auto_vacuum=INCREMENTAL")  # only a blank database can be told
    _use_journal(connection)
    with connection:
        connection.execute(_SCHEMA)
        connection.execute(sqlite_sessions.SCHEMA)
        connection.execute("INSERT INTO log VALUES (?, 0, 0)", (reading.new_epoch(),))
        _pragma(connection, f"application_id={APPLICATION_ID}")
        _pragma(connection, f"user_version={SCHEMA_VERSION}")


def _use_journal(connection: apsw.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").get
    if mode != "wal":
        raise apsw.CantOpenError(f"its journal mode stays {mode}")


def _configure(connection: apsw.Connection) -> None:
    _use_journal(connection)
    _pragma(connection, "synchronous=FULL")  # each commit is synced before it returns
    _pragma(connection, "wal_autocheckpoint=0")  # the log does it, where no commit waits for it
    _pragma(connection, f"journal_size_limit={KEPT_JOURNAL_BYTES}")


def _write_once(connection: apsw.Connection) -> None:
    """Show that the disk takes what is written."""
    _pragma(connection, f"user_version={SCHEMA_VERSION}")


def _pragma(connection: apsw.Connection, pragma: str) -> int:
    answer = connection.execute(f"PRAGMA {pragma}").get
    return answer if isinstance(answer, int) else 0


def start_error(path: Path, error: Exception) -> StartError:
    """Say in one sentence why the file can't be used, and what to do."""
    match error:
        case StartError():
            return error
        case apsw.NotADBError() | apsw.CorruptError():
            trouble = "is no SQLite database, or a damaged one", "move it away"
        case apsw.BusyError() | apsw.LockedError():
            trouble = (
                "is in use by another process, perhaps another server",
                "stop that one",
            )
        case apsw.FullError():
            trouble = "can't be written because its disk is full", "free some space"
        case _ if path.is_dir():
            trouble = "is a folder", "name a file in it"
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError() | OSError():
            trouble = (
                f"can't be opened for writing ({_reason(error)})",
                "give the server's user the right to write the file and its folder",
            )
        case _:
            trouble = f"can't be used ({_reason(error)})", "check the disk and its free space"
    return StartError(f"the event log {path} {trouble[0]}: {trouble[1]}, {_ELSEWHERE}")


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
