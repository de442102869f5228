"""Opening the SQLite log: what it creates, what it refuses, and with which message."""
# ruff: noqa: ASYNC240 - a test may block

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from sio_server.contract.errors import StartError
from sio_server.contract.events import Event
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite.log import SqliteLog

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
    connection.execute("PRAGMA user_version=3")
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


async def test_a_log_of_schema_1_gets_the_table_of_sessions(
    path: Path, open_log: OpenLog, event: MakeEvent
) -> None:
    """Its events stay."""
    log = await open_log()
    await log.append([event()])
    await log.close()
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE session; PRAGMA user_version=1")
    connection.close()
    log = await open_log()
    await log.sessions.create("key", "owner", "data")
    assert await log.sessions.claim("key", "another") == "data"
    assert (await log.bounds()).position.seq == 1
