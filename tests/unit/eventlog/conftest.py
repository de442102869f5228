"""Fixtures for the tests of the event logs: a disk that fails on command, Valkey, and events."""

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
from sio_server.eventlog.valkey import follower as valkey_follower
from sio_server.eventlog.valkey import sessions as valkey_sessions
from sio_server.eventlog.valkey import writer as valkey_writer
from sio_server.eventlog.valkey.log import ValkeyLog
from tests.support.valkey import Valkey

numbers = itertools.count()


@dataclass
class Disk:
    """A disk that fails on command. It holds the log's journal and database, and nothing else.

    Attributes:
        vfs: the name of the VFS that opens files on the disk.
        full: whether the disk refuses every write.
        refused: how many writes the full disk has refused.
        sync_errors: how many of the journal's next syncs fail.
        forgetful: whether a failed sync loses the writes since the last successful sync.
        open_errors: how many of the next opens fail.
        kill_thread: whether the journal's next sync ends the thread that requests it.
        database_errors: how many of the next writes to the database fail. Checkpoints write to it.
        syncs: how many syncs of the journal were requested.
        gate: syncs of the journal wait until it is set.
        waiting: set when a sync waits.
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
    """A file on the disk."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk
        self.is_journal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        self.synced_size = self.xFileSize()

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        """Write, unless the disk fails."""
        if self.disk.full:
            self.disk.refused += 1
            raise apsw.FullError("no space left")
        if self.disk.database_errors and not self.is_journal:
            self.disk.database_errors -= 1
            raise apsw.IOError("the disk failed")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Sync, unless the disk fails."""
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
    """The VFS by which SQLite accesses the disk."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.vfs, "")
        self.disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> DiskFile:  # noqa: N802
        """Open a file, unless the disk fails."""
        if self.disk.open_errors:
            self.disk.open_errors -= 1
            raise apsw.CantOpenError("the disk is gone")
        return DiskFile(self.disk, name, flags)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Make a disk that works until the test lets it fail."""
    disk = Disk(f"disk-{next(numbers)}")
    disk.gate.set()
    vfs = DiskVfs(disk)
    yield disk
    disk.gate.set()
    vfs.unregister()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the log's file, which does not exist yet."""
    return tmp_path / "events.db"


MakeLog = Callable[..., Awaitable[SqliteLog]]


@pytest.fixture
async def open_log(path: Path) -> AsyncIterator[MakeLog]:
    """Return a function that opens a log at ``path``; the log is closed after the test."""
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
    """Start a Valkey server for one test, which syncs every write to disk."""
    server = Valkey(tmp_path / "valkey", appendonly="yes", appendfsync="always")
    server.start()
    yield server
    server.stop()


MakeValkeyLog = Callable[..., Awaitable[ValkeyLog]]


@pytest.fixture
async def open_valkey_log() -> AsyncIterator[MakeValkeyLog]:
    """Return a function that opens a log at a URL; the logs are closed after the test."""
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
    """Return a function that makes valid events."""

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
    """Return a function that reads the ids of all events of a log."""

    async def read(log: EventLog) -> list[str]:
        ids: list[str] = []
        page = await log.read(None, None, 1_000)
        while True:
            ids += [json.loads(record.body)["id"] for record in page.records]
            if page.at_end:
                return ids
            page = await log.read(page.position, None, 1_000)

    return read


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """Make a folder; if pytest runs as root, the test runs as another user, which owns it."""
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
    """Let a failed log try again at once."""
    for module in (sqlite_writer, valkey_writer, valkey_follower, valkey_sessions):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
