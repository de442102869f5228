"""The SQLite log's thread when something fails: what it refuses, and how it recovers."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite import writer as sqlite_writer
from sio_server.eventlog.sqlite.file import open_file, reopen_file
from sio_server.eventlog.sqlite.jobs import QueryJob
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.eventlog.sqlite.store import MAX_TRIMMED_EVENTS, SqliteStore
from sio_server.eventlog.sqlite.writer import SqliteWriter
from tests.unit.eventlog.waiting import append_when_possible, eventually, until

MakeEvent = Callable[..., Event]
OpenLog = Callable[..., Awaitable[SqliteLog]]
Ids = Callable[[SqliteLog], Awaitable[list[str]]]


async def test_a_full_disk_refuses_appends_until_it_has_space(
    disk: Any, open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """No event of a refused append is in the log; reads work meanwhile."""
    log = await open_log(vfs=disk.vfs)
    tail = log.tail()
    await log.append([event("a")])
    disk.full = True
    for _ in range(3):
        with pytest.raises(LogUnavailable):
            await log.append([event("b"), event("c")])
    assert await ids(log) == ["a"]
    disk.full = False
    receipt = await append_when_possible(log, event("d"))
    assert (receipt.offset.seq, receipt.duplicate) == (2, False)
    assert await ids(log) == ["a", "d"]
    await log.close()
    assert [record.offset.seq async for batch in tail for record in batch] == [1, 2]
    assert await ids(await open_log()) == ["a", "d"]


async def test_all_appends_of_a_failed_group_are_refused(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """Appends that share a transaction fail together, each with its own error object."""
    log = await open_log(vfs=disk.vfs)
    disk.full = True
    calls = [log.append([event()]) for _ in range(20)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [LogUnavailable] * 20
    assert len(set(map(id, answers))) == 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_file_system_refuses_appends_until_it_has_space(
    small_disk: Path, event: MakeEvent, ids: Ids
) -> None:
    """A real full disk has the same effect as the simulated one."""
    log = SqliteLog(small_disk / "events.db", Retention(events=100), sweep_seconds=0.01)
    await log.open()
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2_000_000))
    calls = (log.append([event(f"full-{n}", descripcion="x" * 9_000)]) for n in range(100))
    answers = [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
    assert isinstance(answers[-1], LogUnavailable)
    acknowledged = [f"full-{n}" for n, answer in enumerate(answers) if isinstance(answer, list)]
    filler.unlink()
    await append_when_possible(log, event("after"))
    assert await ids(log) == [*acknowledged, "after"]
    await log.close()


async def test_a_log_on_a_full_disk_is_not_writable(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """It says so without an append, and is writable as soon as the disk has space."""
    log = await open_log(vfs=disk.vfs)
    await log.check_writable()
    disk.full = True
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await log.check_writable()
    disk.full = False
    await eventually(lambda: is_writable(log))
    assert (await append_when_possible(log, event())).offset.seq == 1


async def is_writable(log: SqliteLog) -> bool:
    """Tell whether a log takes appends."""
    try:
        await log.check_writable()
    except LogUnavailable:
        return False
    return True


async def test_a_log_is_not_writable_while_its_disk_has_room_for_small_writes_only(
    small_disk: Path, event: MakeEvent
) -> None:
    """After a refused append, a probe needs as much room as an event."""
    log = SqliteLog(small_disk / "events.db", Retention(), sweep_seconds=0.01)
    await log.open()
    try:
        filler = small_disk / "filler"
        filler.write_bytes(bytes(750_000))
        with pytest.raises(LogUnavailable):
            for _ in range(100):
                await log.append([event(descripcion="x" * 9_000)])
        assert not any([await is_writable(log) for _ in range(20)])
        filler.unlink()
        await eventually(lambda: is_writable(log))
        await log.append([event(descripcion="x" * 9_000)])
    finally:
        await log.close()


async def test_a_probe_shares_no_transaction_with_an_append(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """A probe that fails must not refuse the appends that come at the same time."""
    log = await open_log(vfs=disk.vfs)
    disk.gate.clear()
    disk.waiting.clear()
    disk.syncs = 0
    first = asyncio.create_task(log.append([event()]))
    await asyncio.to_thread(disk.waiting.wait)
    others = [asyncio.create_task(call) for call in (log.check_writable(), log.append([event()]))]
    await asyncio.sleep(0)
    disk.gate.set()
    await asyncio.gather(first, *others)
    assert disk.syncs == 3


# Other failures.


async def test_failed_trimming_is_tried_again(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """Trimming fails while the disk is full, and succeeds afterwards."""
    now = 1_000_000.0
    log = await open_log(Retention(seconds=60), clock=lambda: now, vfs=disk.vfs)
    await log.append([event(), event()])
    disk.full = True
    now += 61
    await until(lambda: disk.refused > 1)
    disk.full = False

    async def is_trimmed() -> bool:
        return (await log.bounds()).oldest.seq == 2

    await eventually(is_trimmed)


async def test_failed_trimming_waits_for_the_next_sweep(
    path: Path, disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """Otherwise a full disk would keep a core busy."""
    log = await open_log(vfs=disk.vfs)
    await log.append([event(), event()])
    await log.close()
    retention = Retention(events=1)

    def reopen() -> SqliteStore:
        return SqliteStore(reopen_file(path, disk.vfs), retention, lambda: 0.0)

    writer = SqliteWriter(SimpleQueue(), lambda records, results: None, reopen, 3_600)
    writer._store = reopen()
    disk.full = True
    refused = []
    for _ in range(3):
        assert writer._ensure_file_open()
        writer._maintain_file()
        refused.append(disk.refused)
    assert refused[0] == refused[2] > 0
    assert writer._store is not None
    writer._store.discard()


async def test_a_failed_checkpoint_costs_no_append(
    disk: Any,
    open_log: OpenLog,
    event: MakeEvent,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The commit is acknowledged, and the thread tries the checkpoint again."""
    monkeypatch.setattr(sqlite_writer, "CHECKPOINT_PAGES", 1)
    log = await open_log(vfs=disk.vfs)
    disk.database_errors = 3
    await log.append([event("a")])
    await until(lambda: disk.database_errors < 3)
    await log.append([event("b")])
    await until(lambda: disk.database_errors == 0)
    await log.append([event("c")])
    assert await ids(log) == ["a", "b", "c"]
    assert {record.message.split()[0] for record in caplog.records} == {
        "event_log_checkpoint_failed"
    }


async def test_an_event_that_cannot_be_encoded_harms_no_other(
    open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """A lone surrogate is refused before it reaches the file, which stays readable."""
    log = await open_log()
    with pytest.raises(LogUnavailable):
        await log.append([event(nombre="\ud800")])
    await append_when_possible(log, event("a"))
    assert await ids(log) == ["a"]


async def test_a_group_that_cannot_be_written_is_refused(
    open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """A failure before the commit refuses every append, each with its own error object."""
    seconds = 1.0
    log = await open_log(clock=lambda: 1 / seconds)
    await log.append([event("a")])
    seconds = 0.0
    calls = [log.append([event()]) for _ in range(20)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [LogUnavailable] * 20
    assert len(set(map(id, answers))) == 20
    seconds = 1.0
    await append_when_possible(log, event("b"))
    assert await ids(log) == ["a", "b"]


class DeadlyClock:
    """A clock that can end the thread that reads it."""

    def __init__(self) -> None:
        self.deadly = False

    def __call__(self) -> float:
        """Return the time, or end the thread."""
        if self.deadly:
            raise SystemExit
        return 1_000_000.0


async def test_every_waiting_call_is_refused_when_the_thread_dies(
    open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """The tails end, and later calls are refused too."""
    clock = DeadlyClock()
    log = await open_log(clock=clock)
    tail = log.tail()
    await log.append([event("a")])
    clock.deadly = True
    calls = [log.append([event()]) for _ in range(5)]
    answers = await asyncio.gather(*calls, log.bounds(), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LogUnavailable] * 6
    with pytest.raises(LogUnavailable):
        await log.append([event()])
    assert len([batch async for batch in tail]) == 1
    await log.close()
    clock.deadly = False
    assert await ids(await open_log(clock=clock)) == ["a"]


async def test_an_append_is_cancelled_when_the_thread_dies_in_its_commit(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """Its events may be in the log, so that it is neither acknowledged nor refused."""
    log = await open_log(vfs=disk.vfs)
    disk.kill_thread = True
    pending = asyncio.create_task(log.append([event("a")]))
    with pytest.raises(asyncio.CancelledError):
        await pending
    disk.kill_thread = False
    await log.close()


async def test_trimming_leaves_most_of_the_time_to_appends(
    path: Path, open_log: OpenLog, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trimming step that took one second is followed by a pause of four."""
    log = await open_log()
    await log.append([event() for _ in range(3 * MAX_TRIMMED_EVENTS)])
    await log.close()
    store = SqliteStore(open_file(path), Retention(events=1), lambda: 0.0)
    writer = SqliteWriter(SimpleQueue(), lambda records, results: None, lambda: store, 1.0)
    writer._store = store
    seconds = itertools.count()
    monkeypatch.setattr(sqlite_writer, "monotonic", lambda: next(seconds))
    oldest = []
    for _ in range(5):
        writer._maintain_file()  # it reads the clock before and after a step
        oldest.append(store.bounds().oldest.seq)
    store.close()
    assert oldest == [MAX_TRIMMED_EVENTS] * 4 + [2 * MAX_TRIMMED_EVENTS]


async def test_queries_leave_most_of_the_time_to_appends(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two groups the thread answers queries for 1 ms, but at least one, however long."""
    store = SqliteStore(open_file(path), Retention(), lambda: 0.0)
    writer = SqliteWriter(SimpleQueue(), lambda records, results: None, lambda: store, 1.0)
    writer._store = store
    now = 0.0
    monkeypatch.setattr(sqlite_writer, "monotonic", lambda: now)
    loop = asyncio.get_running_loop()

    def take(seconds: float) -> None:
        nonlocal now
        now += seconds

    for seconds, answered in ((0.0003, 4), (0.001, 1), (5.0, 1)):
        writer._waiting.queries.clear()
        for _ in range(100):
            job = QueryJob(lambda store, seconds=seconds: take(seconds), loop.create_future())
            writer._waiting.add(job)
        writer._answer_queries()
        assert 100 - len(writer._waiting.queries) == answered
    store.close()
