"""What the tests of the durable logs share: a disk that fails when told to, Valkey, and events."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Gate
from typing import Any

import apsw
import pytest

from sio_server.contract.events import Event
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.sqlite import writer as sqlite_writer
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.eventlog.valkey import follower as valkey_tail
from sio_server.eventlog.valkey import sessions as valkey_sessions
from sio_server.eventlog.valkey import writer as valkey_writer
from sio_server.eventlog.valkey.log import ValkeyLog
from tests.support.valkey import Valkey

numbers = itertools.count()


@dataclass
class Disk:
    """A disk that can be told to fail. Only the log's journal and database are on it.

    Attributes:
        vfs: the name to open files through.
        full: nothing more can be written.
        refused: how many writes were refused because it is full.
        sync_errors: how many of the journal's next syncs fail.
        forgetful: where a sync fails, what was written since the last one is lost.
        open_errors: how many of the next opens fail.
        kill_thread: the journal's next sync ends the thread that asks for it.
        database_errors: how many of the next writes to the database itself fail: checkpoints'.
        syncs: how many syncs of the journal were asked for.
        gate: syncs of the journal wait until it is set.
        waiting: set once a sync waits.
    """

    vfs: str
    full: bool = False
    refused: int = 0
    sync_errors: int = 0
    forgetful: bool = False
    open_errors: int = 0
    kill_thread: bool = False
    database_errors: int = 0
    syncs: int = 0
    gate: Gate = field(default_factory=Gate)
    waiting: Gate = field(default_factory=Gate)


class DiskFile(apsw.VFSFile):
    """A file on it."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk
        self.is_journal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        self.synced_size = self.xFileSize()

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        """Write, if the disk does."""
        if self.disk.full:
            self.disk.refused += 1
            raise apsw.FullError("no space left")
        if self.disk.database_errors and not self.is_journal:
            self.disk.database_errors -= 1
            raise apsw.IOError("the disk failed")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Sync, if the disk does."""
        if self.is_journal:
            self.disk.syncs += 1
            self.disk.waiting.set()
            self.disk.gate.wait()
            if self.disk.kill_thread:
                raise SystemExit
            if self.disk.sync_errors:
                self.disk.sync_errors -= 1
                if self.disk.forgetful:
                    self.xTruncate(self.synced_size)
                raise apsw.IOError("the disk failed")
        super().xSync(flags)
        self.synced_size = self.xFileSize()


class DiskVfs(apsw.VFS):
    """How SQLite reaches it."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.vfs, "")
        self.disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> DiskFile:  # noqa: N802
        """Open a file, if the disk does."""
        if self.disk.open_errors:
            self.disk.open_errors -= 1
            raise apsw.CantOpenError("the disk is gone")
        return DiskFile(self.disk, name, flags)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Make a disk that works, until the test says otherwise."""
    disk = Disk(f"disk-{next(numbers)}")
    disk.gate.set()
    vfs = DiskVfs(disk)
    yield disk
    disk.gate.set()
    vfs.unregister()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the log's file is to be."""
    return tmp_path / "events.db"


MakeLog = Callable[..., Awaitable[SqliteLog]]


@pytest.fixture
async def open_log(path: Path) -> AsyncIterator[MakeLog]:
    """Open a log at ``path``; it is closed after the test."""
    logs = []

    async def make(retention: Retention | None = None, **options: Any) -> SqliteLog:
        options.setdefault("sweep_seconds", 0.01)
        log = SqliteLog(path, retention or Retention(), **options)
        logs.append(log)
        await log.open()
        return log

    yield make
    for log in logs:
        await log.close()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Start a Valkey server of the test's own, which keeps everything."""
    server = Valkey(tmp_path / "valkey", appendonly="yes", appendfsync="always")
    server.start()
    yield server
    server.stop()


MakeValkeyLog = Callable[..., Awaitable[ValkeyLog]]


@pytest.fixture
async def open_valkey_log() -> AsyncIterator[MakeValkeyLog]:
    """Open logs at a URL; they are closed after the test."""
    logs = []

    async def make(url: str, retention: Retention | None = None, **options: Any) -> ValkeyLog:
        options.setdefault("sweep_seconds", 0.01)
        log = ValkeyLog(url, retention or Retention(), **options)
        logs.append(log)
        await log.open()
        return log

    yield make
    for log in logs:
        await log.close()


@pytest.fixture
def event() -> Callable[..., Event]:
    """Make valid events."""

    def make(id: str | None = None, **fields: Any) -> Event:
        furniture = {
            "furniture_id": "mesa",
            "nombre": "Mesa",
            "descripcion": "",
            "altura": 75,
            "ancho": 120,
            "material": "roble",
            "autor_username": "Juan",
            **fields,
        }
        return Event("furniture_created", furniture, id or f"id-{next(numbers)}")

    return make


@pytest.fixture
def ids() -> Callable[[EventLog], Awaitable[list[str]]]:
    """Return the ids of all that a log holds."""

    async def read(log: EventLog) -> list[str]:
        found: list[str] = []
        page = await log.read(None, None, 1_000)
        while True:
            found += [json.loads(record.body)["id"] for record in page.records]
            if page.at_end:
                return found
            page = await log.read(page.position, None, 1_000)

    return read


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """A folder of the user as whom the test runs, who is not root even where pytest is."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a log in trouble try again at once."""
    for module in (sqlite_writer, valkey_writer, valkey_tail, valkey_sessions):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
