"""Open the file of the SQLite event log: check it, create it, or say in one sentence why not.

The file belongs to one server. ``locking_mode=EXCLUSIVE`` keeps it locked from the first access
until the connection closes. The lock is the operating system's: it ends with the process, however
the process ends, and leaves nothing to clean up. It also spares SQLite the shared-memory file.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

import apsw

from sio_server.contract.errors import StartError
from sio_server.eventlog import reading
from sio_server.eventlog.sqlite import blocks, pieces, revocation_table, session_schema

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x53494F4C
SCHEMA_VERSION = 4

BUSY_TIMEOUT_MILLISECONDS = 1_000
"""How long a server that starts waits for the lock of a server that is ending."""

IDLE_JOURNAL_BYTES = 16 * 1024 * 1024
"""SQLite cuts the journal file to this size when it starts to reuse the file."""

FILE_MODE = 0o600
FOLDER_MODE = 0o700
"""Only the owner may read the events, and the sessions beside them."""

OTHER_USERS = 0o077
"""The rights of the group and of all other users."""

_SCHEMA = """
    CREATE TABLE log (epoch TEXT NOT NULL, seq INTEGER NOT NULL, milliseconds INTEGER NOT NULL)
        STRICT;
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        milliseconds INTEGER NOT NULL,
        id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        rooms TEXT NOT NULL,
        body TEXT NOT NULL,
        former TEXT
    ) STRICT;
"""
_PROBE_SCHEMA = """
    CREATE TABLE probe (milliseconds INTEGER NOT NULL, filler BLOB NOT NULL) STRICT;
    INSERT INTO probe VALUES (0, x'');
"""
"""A row that only shows whether the file takes writes."""

_OR_ANOTHER_PATH = "or choose another path in SIO_EVENT_LOG"


def open_file(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the log's file when the server starts; create the file and its folder if missing.

    Raises:
        StartError: the file cannot be used. The message names the cause and the remedy.
    """
    created = False
    try:
        created = _create_file(path)
        connection = _connect(path, vfs)
        try:
            _check_or_create_schema(connection, path)
            _narrow_permissions(path)
            _configure(connection)
            _test_write(connection)
        except BaseException:
            connection.close(True)
            raise
    except (apsw.Error, OSError, StartError) as error:
        if created and not isinstance(error, apsw.BusyError):  # busy: another server has it now
            _remove(path)
        raise start_error(path, error) from error
    return connection


def reopen_file(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the file of a running log again after a failure. This creates nothing.

    Raises:
        apsw.Error: the file cannot be opened now.
    """
    connection = _connect(path, vfs)
    try:
        _configure(connection)
    except BaseException:
        connection.close(True)
        raise
    return connection


def _create_file(path: Path) -> bool:
    """Create an empty file; return False if the path exists already."""
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"the folder {path.parent} of the event log cannot be created ({error.strerror}): "
            f"create it, {_OR_ANOTHER_PATH}"
        ) from error
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    except FileExistsError:
        return False
    return True


def _narrow_permissions(path: Path) -> None:
    """Take the rights to the files of a log from everyone but the owner, if that is this user."""
    if os.name != "posix":
        return
    narrowed = False
    for file in _files(path):
        with suppress(FileNotFoundError):
            status = file.stat()
            mode = stat.S_IMODE(status.st_mode)
            if mode & OTHER_USERS and status.st_uid == os.geteuid():
                file.chmod(mode & ~OTHER_USERS)
                narrowed = True
    if narrowed:
        logger.warning("event_log_was_readable_by_others path=%s now=owner_only", path)


def _remove(path: Path) -> None:
    for file in _files(path):
        with suppress(OSError):
            file.unlink()


def _files(path: Path) -> list[Path]:
    """Return the paths of the database and of its journals."""
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-journal")]


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MILLISECONDS)
    _pragma(connection, "locking_mode=EXCLUSIVE")
    return connection


def _check_or_create_schema(connection: apsw.Connection, path: Path) -> None:
    """Refuse the database of another program before the first write; fill an empty file."""
    if connection.readonly("main"):
        raise apsw.ReadOnlyError("the file is read-only")
    application_id = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if application_id != APPLICATION_ID and (application_id or version or not is_empty):
        raise StartError(
            f"{path} is an SQLite database of another program: move it away, {_OR_ANOTHER_PATH}"
        )
    if version > SCHEMA_VERSION:
        raise StartError(
            f"{path} was written by a newer version of this server (its schema is {version}, "
            f"this server knows {SCHEMA_VERSION}): upgrade the server, {_OR_ANOTHER_PATH}"
        )
    if is_empty:
        _create_schema(connection)
    elif version < SCHEMA_VERSION:
        _upgrade_schema(connection, version)
    connection.execute(blocks.SCHEMA)


def _create_schema(connection: apsw.Connection) -> None:
    _pragma(connection, "auto_vacuum=INCREMENTAL")  # SQLite accepts this in an empty file only
    _use_journal(connection)
    with connection:
        connection.execute(_SCHEMA)
        connection.execute(pieces.SCHEMA)
        connection.execute(_PROBE_SCHEMA)
        connection.execute(session_schema.SCHEMA)
        connection.execute(revocation_table.SCHEMA)
        connection.execute("INSERT INTO log VALUES (?, 0, 0)", (reading.new_epoch(),))
        _pragma(connection, f"application_id={APPLICATION_ID}")
        _pragma(connection, f"user_version={SCHEMA_VERSION}")


def _upgrade_schema(connection: apsw.Connection, version: int) -> None:
    with connection:
        if version == 1:  # it had no sessions
            connection.execute(session_schema.SCHEMA)
        elif version == 2:
            session_schema.upgrade_from_2(connection)
        if version <= 2:
            connection.execute(pieces.UPGRADE_FROM_2)
            connection.execute(_PROBE_SCHEMA)
        connection.execute(pieces.UPGRADE_FROM_3)
        connection.execute(revocation_table.SCHEMA)
        _pragma(connection, f"user_version={SCHEMA_VERSION}")


def _use_journal(connection: apsw.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").get
    if mode != "wal":
        raise apsw.CantOpenError(f"its journal mode stays {mode}")


def _configure(connection: apsw.Connection) -> None:
    _use_journal(connection)
    _pragma(connection, "synchronous=FULL")  # each commit is synced before it returns
    _pragma(connection, "wal_autocheckpoint=0")  # the writer does it, so that no commit waits
    _pragma(connection, f"journal_size_limit={IDLE_JOURNAL_BYTES}")


def _test_write(connection: apsw.Connection) -> None:
    """Write a value that is there already, to see that the disk accepts writes."""
    _pragma(connection, f"user_version={SCHEMA_VERSION}")


def _pragma(connection: apsw.Connection, pragma: str) -> int:
    answer = connection.execute(f"PRAGMA {pragma}").get
    return answer if isinstance(answer, int) else 0


def start_error(path: Path, error: Exception) -> StartError:
    """Describe in one sentence why the file cannot be used, and the remedy."""
    match error:
        case StartError():
            return error
        case apsw.NotADBError() | apsw.CorruptError():
            cause, remedy = "is not an SQLite database, or is damaged", "move it away"
        case apsw.BusyError() | apsw.LockedError():
            cause, remedy = (
                "is in use by another process, perhaps another server",
                "stop that process",
            )
        case apsw.FullError():
            cause, remedy = "cannot be written because its disk is full", "free some space"
        case _ if path.is_dir():
            cause, remedy = "is a folder", "name a file in it"
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError() | OSError():
            cause, remedy = (
                f"cannot be opened for writing ({_reason(error)})",
                "give the server's user the right to write the file and its folder",
            )
        case _:
            cause, remedy = (
                f"cannot be used ({_reason(error)})",
                "check the disk and its free space",
            )
    return StartError(f"the event log {path} {cause}: {remedy}, {_OR_ANOTHER_PATH}")


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
