"""The SQLite log when a commit fails of which nobody knows whether it was done: the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Receipt
from sio_server.eventlog.sqlite import writer as sqlite_writer
from sio_server.eventlog.sqlite.log import SqliteLog
from tests.unit.eventlog.waiting import append_when_possible, until

MakeEvent = Callable[..., Event]
OpenLog = Callable[..., Awaitable[SqliteLog]]
Ids = Callable[[SqliteLog], Awaitable[list[str]]]


async def test_a_failed_sync_of_what_was_written_is_answered_with_ok(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """The file shows that the commit is there, so it is synced again and acknowledged."""
    log = await open_log(vfs=disk.vfs)
    tail = log.tail()
    disk.sync_errors = 1
    first, _ = await asyncio.gather(log.append([event("a")]), log.append([event("b")]))
    assert isinstance(first[0], Receipt)
    assert first[0].duplicate is False
    assert await ids(log) == ["a", "b"]
    await log.close()
    assert [record.offset.seq async for batch in tail for record in batch] == [1, 2]
    assert await ids(await open_log()) == ["a", "b"]


async def test_a_failed_sync_that_lost_what_was_written_is_refused(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """The file shows that the commit is not there, so nothing was appended."""
    log = await open_log(vfs=disk.vfs)
    await log.append([event("a")])
    tail = log.tail()
    disk.sync_errors, disk.forgetful = 1, True
    with pytest.raises(LogUnavailable):
        await log.append([event("b")])
    receipt = await append_when_possible(log, event("c"))
    assert receipt.offset.seq == 2
    assert await ids(log) == ["a", "c"]
    await log.close()
    assert [record.offset.seq async for batch in tail for record in batch] == [2]
    assert await ids(await open_log()) == ["a", "c"]


@pytest.mark.parametrize("trouble", ["sync_errors", "open_errors"])
async def test_an_outcome_is_awaited_for_as_long_as_it_is_unknown(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids, trouble: str
) -> None:
    """The append in doubt waits, others are refused, and in the end the truth is told."""
    log = await open_log(vfs=disk.vfs)
    disk.sync_errors = 1
    setattr(disk, trouble, 1_000_000)
    doubtful = asyncio.create_task(log.append([event("a")]))
    await until(lambda: getattr(disk, trouble) < 999_995)
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await log.append([event("b")])
        with pytest.raises(LogUnavailable):
            await log.bounds()
        with pytest.raises(LogUnavailable):
            await log.read(None, None, 10)
    assert not doubtful.done()
    setattr(disk, trouble, 0)
    (receipt,) = await doubtful
    assert isinstance(receipt, Receipt)
    assert (receipt.offset.seq, receipt.duplicate) == (1, False)
    assert (await append_when_possible(log, event("b"))).offset.seq == 2
    assert await ids(log) == ["a", "b"]


async def test_closing_in_doubt_gives_no_answer(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits a while for the truth; then the append is cancelled, not refused."""
    monkeypatch.setattr(sqlite_writer, "CLOSE_TIMEOUT_SECONDS", 0.05)
    log = await open_log(vfs=disk.vfs)
    disk.sync_errors = 1_000_000
    doubtful = asyncio.create_task(log.append([event("a")]))
    await until(lambda: disk.sync_errors < 999_999)
    await log.close()
    with pytest.raises(asyncio.CancelledError):
        await doubtful
    disk.sync_errors = 0
    assert await ids(await open_log(vfs=disk.vfs)) == ["a"]


async def test_closing_waits_for_the_truth(disk: Any, open_log: OpenLog, event: MakeEvent) -> None:
    """A disk that comes back while the log closes still gives the append its receipt."""
    log = await open_log(vfs=disk.vfs)
    disk.sync_errors, disk.open_errors = 1, 1_000_000
    doubtful = asyncio.create_task(log.append([event("a")]))
    await until(lambda: disk.open_errors < 999_995)
    closing = asyncio.create_task(log.close())
    await asyncio.sleep(0)
    disk.open_errors = 0
    await closing
    assert isinstance((await doubtful)[0], Receipt)


async def test_another_file_in_its_place_is_not_taken(
    disk: Any, path: Path, open_log: OpenLog, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log whose file was replaced stays unavailable: another epoch's events are not its own."""
    monkeypatch.setattr(sqlite_writer, "CLOSE_TIMEOUT_SECONDS", 0.05)
    log = await open_log(vfs=disk.vfs)
    await log.append([event("a")])
    disk.sync_errors, disk.open_errors = 1, 1_000_000
    doubtful = asyncio.create_task(log.append([event("b")]))
    await until(lambda: disk.open_errors < 999_999)
    for file in path.parent.iterdir():
        file.unlink()
    other = await open_log()
    await other.append([event("a")])
    await other.close()
    disk.open_errors = 0
    seen = disk.syncs
    for _ in range(20):
        with pytest.raises(LogUnavailable):
            await log.append([event("c")])
        await asyncio.sleep(0.002)
    assert (seen, doubtful.done()) == (disk.syncs, False)
    doubtful.cancel()
