"""Opening the SQLite log: what it creates, what it refuses, and with which message."""
# ruff: noqa: ASYNC240 - a test may block

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from sio_server.contract.errors import StartError
from sio_server.contract.events import Event, Offset
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import SessionContent, session_bytes
from sio_server.eventlog.sqlite import session_schema
from sio_server.eventlog.sqlite.file import APPLICATION_ID, SCHEMA_VERSION
from sio_server.eventlog.sqlite.log import SqliteLog
from tests.support.stores import claim, create, leave

MakeEvent = Callable[..., Event]
OpenLog = Callable[..., Awaitable[SqliteLog]]

IN_ANOTHER_PROCESS = """
import asyncio, sys
from sio_server.contract.errors import StartError
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite.log import SqliteLog

async def main():
    log = SqliteLog(sys.argv[1], Retention())
    try:
        await log.open()
    except StartError as error:
        print(error)
    else:
        print("open", flush=True)
        sys.stdin.read()
        await log.close()

asyncio.run(main())
"""


async def refusal(path: Path, **options: Any) -> str:
    """Open a log that cannot be opened and return the message of the error."""
    log = SqliteLog(path, Retention(), **options)
    with pytest.raises(StartError) as caught:
        await log.open()
    await log.close()
    message = str(caught.value)
    assert "\n" not in message
    return message


async def test_the_file_and_its_folders_are_created(tmp_path: Path, event: MakeEvent) -> None:
    """A new server needs no preparation, and leaves one file when it is closed."""
    path = tmp_path / "var" / "log" / "events.db"
    log = SqliteLog(path, Retention())
    await log.open()
    await log.append([event()])
    await log.close()
    assert [file.name for file in path.parent.iterdir()] == ["events.db"]


async def test_an_empty_file_becomes_a_log(path: Path, open_log: OpenLog) -> None:
    """An interrupted first start leaves an empty file; the next start uses it."""
    path.touch()
    await open_log()


async def test_a_file_that_is_not_a_database_is_refused(path: Path) -> None:
    """The message names the file; the file does not change."""
    path.write_text("Furniture!\n" * 1_000)
    message = await refusal(path)
    assert re.search(f"{path} is not an SQLite database.*move it away", message)
    assert path.read_text() == "Furniture!\n" * 1_000


async def test_a_damaged_log_is_refused(path: Path, open_log: OpenLog) -> None:
    """A log whose pages were overwritten stops the start."""
    await (await open_log()).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4_000)
    assert f"{path} is not an SQLite database, or is damaged" in await refusal(path)


@pytest.mark.parametrize(
    "mark", ["CREATE TABLE tree (leaf)", "PRAGMA application_id=7", "PRAGMA user_version=3"]
)
async def test_another_programs_database_is_refused(path: Path, mark: str) -> None:
    """A database with the tables or the ids of another program does not change by a byte."""
    connection = apsw.Connection(str(path))
    connection.execute(mark)
    connection.close()
    before = path.read_bytes()
    assert f"{path} is an SQLite database of another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused(path: Path, open_log: OpenLog) -> None:
    """After a downgrade, the message says that the server is too old for the file."""
    await (await open_log()).close()
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    assert re.search(f"{path} .*newer version.*upgrade the server", await refusal(path))


@pytest.mark.parametrize("table", ["log", "event"])
async def test_a_log_without_its_tables_is_refused(
    path: Path, open_log: OpenLog, table: str
) -> None:
    """A file with the log's application id but without its tables is not a log."""
    await (await open_log()).close()
    connection = apsw.Connection(str(path))
    connection.execute(f"DROP TABLE {table}")
    connection.close()
    assert f"no such table: {table}" in await refusal(path)


async def test_a_folder_is_refused(path: Path) -> None:
    """The message says that the path is a folder."""
    path.mkdir()
    assert f"{path} is a folder" in await refusal(path)


async def test_a_folder_under_a_file_is_refused(tmp_path: Path) -> None:
    """If a file has the name of the folder, the message names the folder."""
    (tmp_path / "var").touch()
    message = await refusal(tmp_path / "var" / "events.db")
    assert f"the folder {tmp_path / 'var'} of the event log cannot be created" in message


async def test_a_folder_that_cannot_be_created_is_refused() -> None:
    """The system creates no folder in ``/proc``, not even for root."""
    message = await refusal(Path("/proc/nowhere/events.db"))
    assert "the folder /proc/nowhere of the event log cannot be created" in message


async def test_a_read_only_folder_is_refused(unprivileged_folder: Path) -> None:
    """The message says that the server's user needs the right to write the folder."""
    path = unprivileged_folder / "events.db"
    unprivileged_folder.chmod(0o500)
    message = await refusal(path)
    assert re.search(f"{path} cannot be opened for writing.*the right to write", message)


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o400, 0o700), (0o600, 0o500)])
async def test_a_log_that_cannot_be_written_is_refused(
    unprivileged_folder: Path, file_mode: int, folder_mode: int
) -> None:
    """If the file or the folder has become read-only, the start fails; the log does not change."""
    path = unprivileged_folder / "events.db"
    log = SqliteLog(path, Retention())
    await log.open()
    await log.close()
    before = path.read_bytes()
    path.chmod(file_mode)
    unprivileged_folder.chmod(folder_mode)
    assert re.search(f"{path} cannot be opened for writing", await refusal(path))
    assert path.read_bytes() == before


async def test_a_full_disk_stops_the_first_start(path: Path, disk: Any) -> None:
    """If the disk has no space for an empty log, the start leaves no file behind."""
    disk.full = True
    assert re.search(f"{path} .*disk is full: free some space", await refusal(path, vfs=disk.vfs))
    assert list(path.parent.iterdir()) == []


async def test_a_full_disk_stops_a_later_start(
    path: Path, disk: Any, open_log: OpenLog, event: MakeEvent, ids: Callable[..., Any]
) -> None:
    """A log on a full disk cannot start; it keeps its events."""
    log = await open_log()
    await log.append([event("a")])
    await log.close()
    disk.full = True
    assert "disk is full" in await refusal(path, vfs=disk.vfs)
    disk.full = False
    assert await ids(await open_log(vfs=disk.vfs)) == ["a"]


async def test_a_second_process_is_refused(path: Path, open_log: OpenLog) -> None:
    """The file belongs to one server until that server ends."""
    log = await open_log()
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, input="")  # noqa: ASYNC221
    assert re.match(f"the event log {path} is in use by another process.*: stop", output.stdout)
    await log.close()
    output = subprocess.run(command, check=True, capture_output=True, text=True, input="")  # noqa: ASYNC221
    assert output.stdout == "open\n"


async def test_a_refused_process_leaves_the_other_one_alone(
    path: Path, open_log: OpenLog, event: MakeEvent
) -> None:
    """Two logs of one process on one file exclude each other too; the first continues."""
    log = await open_log()
    assert "is in use by another process" in await refusal(path)
    assert len(await log.append([event()])) == 1


async def test_a_refused_log_can_be_opened_later(path: Path, event: MakeEvent) -> None:
    """When the cause is removed, the same object opens."""
    path.mkdir()
    log = SqliteLog(path, Retention())
    with pytest.raises(StartError):
        await log.open()
    path.rmdir()
    await log.open()
    assert len(await log.append([event()])) == 1
    await log.close()


def write_old_log(path: Path, version: int) -> None:
    """Write a log of an earlier schema, with two pieces and one event."""
    connection = apsw.Connection(str(path))
    connection.execute(
        f"""
        PRAGMA auto_vacuum=INCREMENTAL;
        PRAGMA journal_mode=WAL;
        CREATE TABLE log (epoch TEXT NOT NULL, seq INTEGER NOT NULL,
            milliseconds INTEGER NOT NULL) STRICT;
        CREATE TABLE event (seq INTEGER PRIMARY KEY, milliseconds INTEGER NOT NULL,
            id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, rooms TEXT NOT NULL, body TEXT NOT NULL
        ) STRICT;
        CREATE TABLE piece (furniture_id TEXT NOT NULL PRIMARY KEY, rooms TEXT NOT NULL)
            STRICT, WITHOUT ROWID;
        INSERT INTO log VALUES ('epoch', 7, 0);
        PRAGMA application_id={APPLICATION_ID};
        PRAGMA user_version={version};
        """
    ).fetchall()
    if version == 2:
        connection.execute(
            """
            CREATE TABLE session (key TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL,
                data TEXT NOT NULL, gone INTEGER) STRICT, WITHOUT ROWID;
            CREATE INDEX session_gone ON session (gone) WHERE gone IS NOT NULL;
            """
        )
    if version == 3:
        connection.execute(session_schema.SCHEMA)
        connection.execute(
            """
            ALTER TABLE piece ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
            CREATE INDEX piece_seq ON piece (seq);
            CREATE TABLE probe (milliseconds INTEGER NOT NULL, filler BLOB NOT NULL) STRICT;
            INSERT INTO probe VALUES (0, x'');
            """
        )
    # Until schema 2, each name had its own line, and other characters than ASCII were escaped.
    rooms = '[\n"catalog"\n,\n"material:\\u00e9bano"\n]'
    connection.execute("INSERT INTO event VALUES (7, 0, 'a', 't', ?, '{}')", (rooms,))
    for piece in ("mesa", "silla"):
        connection.execute("INSERT INTO piece (furniture_id, rooms) VALUES (?, ?)", (piece, rooms))
    connection.close()


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_an_older_log_is_upgraded(
    path: Path, open_log: OpenLog, event: MakeEvent, version: int
) -> None:
    """Its events and its pieces stay; its pieces count as the longest unchanged."""
    write_old_log(path, version)
    retention = Retention(seconds=1e12, pieces=2)
    log = await open_log(retention)
    page = await log.read(None, ["material:ébano"], 10)
    assert [record.rooms for record in page.records] == [("catalog", "material:ébano")]
    assert (await log.bounds()).position == Offset("epoch", 7)
    await create(log.sessions, "key")
    assert await claim(log.sessions, "key", "another") is not None
    await log.append([event(furniture_id="mesa"), event(furniture_id="new")])
    await log.check_writable()
    await log.close()
    log = await open_log(retention)
    moved = [event(furniture_id=piece, material="pino") for piece in ("mesa", "silla")]
    await log.append(moved)
    mesa, silla = (await log.read(Offset("epoch", 9), None, 10)).records
    assert "material:roble" in mesa.rooms
    assert mesa.former == event(furniture_id="mesa").furniture_json
    assert "material:ébano" not in silla.rooms  # forgotten, because it was unchanged the longest


async def test_a_log_of_schema_2_keeps_its_last_sessions(
    path: Path, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their content stays. They count as left in the order in which their owners left."""
    monkeypatch.setattr(session_schema, "MAX_UPGRADED_SESSIONS", 4)
    write_old_log(path, 2)
    connection = apsw.Connection(str(path))
    rooms = {"catalog": 0, 'author:"\\ñ\U0001fa91\n': 9}
    old = {
        "sid": "s",
        "identity": "anonymous",
        "start": ["e", 3],
        "rooms": rooms,
        "last_seen": None,
    }
    sessions = [("a", 999_000), ("b", 997_000), ("c", 996_000), ("d", 998_000), ("connected", None)]
    for key, gone in sessions:
        row = (key, f"owner of {key}", json.dumps(old), gone)
        connection.execute("INSERT INTO session VALUES (?, ?, ?, ?)", row)
    connection.close()
    data = '{"sid":"s","start":["e",3],"last_seen":null}'
    length = session_bytes("anonymous", data, rooms)
    retention = Retention(session_bytes=2 * length)
    log = await open_log(retention, clock=lambda: 1_000.0)
    await create(log.sessions, "brief")
    await leave(log.sessions, "brief")  # it is dropped, and so is all that exceeds the bound
    assert await claim(log.sessions, "brief", "another") is None
    for key in ("connected", "a"):
        assert await claim(log.sessions, key, "another") == SessionContent(data, rooms)
    for key in "bcd":
        assert await claim(log.sessions, key, "another") is None
    await log.sessions.end("a", "another")
    await log.sessions.end("connected", "another")
    await log.close()
    connection = apsw.Connection(str(path))
    for table in ("session", "session_room"):
        assert connection.execute(f"SELECT count(*) FROM {table}").get == 0
    connection.close()


# Who may read the file.


def modes(folder: Path) -> dict[str, int]:
    """Return the rights to each file of a folder."""
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.fixture
def _open_umask() -> Iterator[None]:
    """Let new files have all the rights that their program asks for."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_open_umask")
async def test_only_its_owner_may_read_a_new_log(
    tmp_path: Path, event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    """This holds for its journal and for a folder that the server creates, from the beginning."""
    folder = tmp_path / "var"
    log = SqliteLog(folder / "events.db", Retention())
    await log.open()
    await log.append([event()])
    assert modes(folder) == {"events.db": 0o600, "events.db-wal": 0o600}
    assert modes(tmp_path) == {"var": 0o700}
    await log.close()
    assert modes(folder) == {"events.db": 0o600}
    assert caplog.records == []  # there was nothing to change


@pytest.mark.usefixtures("_open_umask")
async def test_a_log_that_others_could_read_becomes_its_owners(
    path: Path, open_log: OpenLog, event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so once. The rights to a folder that exists stay."""
    path.parent.chmod(0o755)
    write_old_log(path, 2)
    for name, mode in (("events.db", 0o644), ("events.db-wal", 0o664)):
        path.with_name(name).touch()
        path.with_name(name).chmod(mode)
    for _ in range(2):
        log = await open_log()
        await log.append([event()])
        assert set(modes(path.parent).values()) == {0o600}
        await log.close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert [record.message.split()[0] for record in caplog.records] == [
        "event_log_was_readable_by_others"
    ]


@pytest.mark.usefixtures("_open_umask")
async def test_the_rights_to_another_programs_file_stay(path: Path) -> None:
    """A mistaken path in the settings must not lock others out of their database."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE tree (leaf)")
    connection.close()
    path.chmod(0o664)
    await refusal(path)
    assert modes(path.parent) == {"events.db": 0o664}
