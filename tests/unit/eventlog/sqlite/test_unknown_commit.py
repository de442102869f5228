"""The SQLite log after a commit with an unknown outcome: it reads the outcome from the file."""

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


async def test_an_append_is_acknowledged_if_the_file_holds_its_failed_commit(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """The sync of the commit failed, but its pages were written: the log syncs them again."""
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


async def test_an_append_is_refused_if_the_file_lacks_its_failed_commit(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """The failed sync lost the commit's pages, so that nothing was appended."""
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
async def test_an_append_waits_while_its_outcome_is_unknown(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids, trouble: str
) -> None:
    """The log refuses other calls meanwhile, and answers the append when the disk recovers."""
    log = await open_log(vfs=disk.vfs)
    disk.sync_errors = 1
    setattr(disk, trouble, 1_000_000)
    pending = asyncio.create_task(log.append([event("a")]))
    await until(lambda: getattr(disk, trouble) < 999_995)
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await log.append([event("b")])
        with pytest.raises(LogUnavailable):
            await log.bounds()
        with pytest.raises(LogUnavailable):
            await log.read(None, None, 10)
    assert not pending.done()
    setattr(disk, trouble, 0)
    (receipt,) = await pending
    assert isinstance(receipt, Receipt)
    assert (receipt.offset.seq, receipt.duplicate) == (1, False)
    assert (await append_when_possible(log, event("b"))).offset.seq == 2
    assert await ids(log) == ["a", "b"]


async def test_closing_cancels_an_append_whose_outcome_stays_unknown(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits for the outcome a while. Then the append is cancelled instead of refused."""
    monkeypatch.setattr(sqlite_writer, "CLOSE_TIMEOUT_SECONDS", 0.05)
    log = await open_log(vfs=disk.vfs)
    disk.sync_errors = 1_000_000
    pending = asyncio.create_task(log.append([event("a")]))
    await until(lambda: disk.sync_errors < 999_999)
    await log.close()
    with pytest.raises(asyncio.CancelledError):
        await pending
    disk.sync_errors = 0
    assert await ids(await open_log(vfs=disk.vfs)) == ["a"]


async def test_closing_waits_for_an_unknown_outcome(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """If the disk recovers while the log closes, the append still gets its receipt."""
    log = await open_log(vfs=disk.vfs)
    disk.sync_errors, disk.open_errors = 1, 1_000_000
    pending = asyncio.create_task(log.append([event("a")]))
    await until(lambda: disk.open_errors < 999_995)
    closing = asyncio.create_task(log.close())
    await asyncio.sleep(0)
    disk.open_errors = 0
    await closing
    assert isinstance((await pending)[0], Receipt)


async def test_a_replaced_file_is_not_used(
    disk: Any, path: Path, open_log: OpenLog, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log stays unavailable, because the events of the new file have another epoch."""
    monkeypatch.setattr(sqlite_writer, "CLOSE_TIMEOUT_SECONDS", 0.05)
    log = await open_log(vfs=disk.vfs)
    await log.append([event("a")])
    disk.sync_errors, disk.open_errors = 1, 1_000_000
    pending = asyncio.create_task(log.append([event("b")]))
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
    assert (seen, pending.done()) == (disk.syncs, False)
    pending.cancel()
