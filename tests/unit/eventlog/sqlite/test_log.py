"""The SQLite log beyond the common contract: restarts, groups, kills, the file's size."""
# ruff: noqa: ASYNC240 - a test may block

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from sio_server.contract.events import Event, Receipt, Record
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite.log import SqliteLog
from tests.unit.eventlog.waiting import eventually

MakeEvent = Callable[..., Event]
OpenLog = Callable[..., Awaitable[SqliteLog]]
Ids = Callable[[SqliteLog], Awaitable[list[str]]]


async def test_a_restart_keeps_everything(open_log: OpenLog, event: MakeEvent) -> None:
    """Records, ids, states, epoch and numbering are the same after a restart."""
    log = await open_log()
    first = await log.append([event("a", material="roble"), event("b", piece="silla")])
    page = await log.read(None, None, 10)
    await log.close()

    log = await open_log()
    assert await log.read(None, None, 10) == page
    again, new = await log.append([event("a", material="roble"), event("c", material="pino")])
    assert isinstance(first[0], Receipt)
    assert again == Receipt("a", first[0].offset, first[0].timestamp, duplicate=True)
    assert isinstance(new, Receipt)
    assert new.offset == page.position._replace(seq=3)
    assert "material:roble" in (await log.read(page.position, None, 1)).records[0].rooms


async def test_numbers_and_time_continue_after_all_events_were_trimmed(
    open_log: OpenLog, event: MakeEvent
) -> None:
    """A log without events still knows its last seq and its last timestamp."""
    log = await open_log(clock=lambda: 2_000_000.0)
    await log.append([event("a"), event("b")])
    await log.close()

    log = await open_log(Retention(seconds=60), clock=lambda: 3_000_000.0)
    await eventually(lambda: is_trimmed(log))
    position = (await log.bounds()).position
    await log.close()

    log = await open_log(clock=lambda: 1_000_000.0)
    assert (await log.bounds()).oldest == position
    (receipt,) = await log.append([event("a")])
    assert receipt == Receipt("a", position._replace(seq=3), "1970-01-24T03:33:20.000Z")


async def is_trimmed(log: SqliteLog) -> bool:
    """Tell whether a log holds no events."""
    bounds = await log.bounds()
    return bounds.oldest == bounds.position


async def test_waiting_appends_are_committed_in_one_group(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """While one commit syncs, 63 appends arrive; one more commit stores all of them."""
    log = await open_log(vfs=disk.vfs)
    disk.gate.clear()
    disk.waiting.clear()
    disk.syncs = 0
    first = asyncio.create_task(log.append([event()]))
    await asyncio.to_thread(disk.waiting.wait)
    others = [asyncio.create_task(log.append([event()])) for _ in range(63)]
    await asyncio.sleep(0)
    assert not first.done()
    disk.gate.set()
    await asyncio.gather(first, *others)
    assert disk.syncs == 2


async def test_a_group_is_bounded(disk: Any, open_log: OpenLog, event: MakeEvent) -> None:
    """Four appends of 600 events need two commits: a group holds about a thousand events."""
    log = await open_log(vfs=disk.vfs)
    disk.gate.clear()
    disk.waiting.clear()
    disk.syncs = 0
    first = asyncio.create_task(log.append([event()]))
    await asyncio.to_thread(disk.waiting.wait)
    others = [asyncio.create_task(log.append([event() for _ in range(600)])) for _ in range(4)]
    await asyncio.sleep(0)
    disk.gate.set()
    await asyncio.gather(first, *others)
    assert disk.syncs == 3


async def test_a_read_uses_the_rooms_at_the_time_of_the_call(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """The caller may change its rooms while the read waits for its turn."""
    log = await open_log(vfs=disk.vfs)
    await log.append([event()])
    disk.gate.clear()
    disk.waiting.clear()
    appending = asyncio.create_task(log.append([event()]))
    await asyncio.to_thread(disk.waiting.wait)
    rooms = {"material:roble": 0}
    reading = asyncio.create_task(log.read(None, rooms.keys(), 10))
    await asyncio.sleep(0)
    rooms.clear()
    disk.gate.set()
    assert len((await reading).records) == 2
    await appending


async def test_no_answer_comes_before_its_commit(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """While its commit syncs, an append has no answer and its record has reached no tail."""
    log = await open_log(vfs=disk.vfs)
    tail = log.tail()
    disk.gate.clear()
    disk.waiting.clear()
    appending = asyncio.create_task(log.append([event()]))
    following = asyncio.create_task(next_batch(tail))
    await asyncio.to_thread(disk.waiting.wait)
    assert not appending.done()
    assert not following.done()
    disk.gate.set()
    await appending
    assert following.done()


async def next_batch(tail: AsyncIterator[list[Record]]) -> list[Record]:
    """Wait for a tail's next batch."""
    return await anext(tail)


PUBLISHER = """
import asyncio, os, sys
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.contract.events import Event

path, run = sys.argv[1:]
furniture = dict(furniture_id="m", nombre="M", descripcion="x" * 500, altura=1, ancho=1,
                 material="r", autor_username="j")

async def publish(log, task):
    n = 0
    while True:
        ids = [f"{run}.{task}.{n}.{part}" for part in range(2)]
        await log.append([Event("furniture_created", furniture, id) for id in ids])
        os.write(1, "".join(f"{id}\\n" for id in ids).encode())
        n += 1

async def main():
    log = SqliteLog(path, Retention())
    await log.open()
    await asyncio.gather(*(publish(log, task) for task in range(16)))

asyncio.run(main())
"""


async def test_kill_9_loses_no_acknowledged_event(path: Path, open_log: OpenLog, ids: Ids) -> None:
    """After a kill the log holds all acknowledged events, and no append incompletely."""
    acknowledged: list[str] = []
    for run, lines in enumerate((10, 700, 3_000)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PUBLISHER, str(path), str(run), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        acknowledged += [(await process.stdout.readline()).decode() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += (await process.stdout.read()).decode().splitlines(keepends=True)
        assert await process.wait() == -signal.SIGKILL
    log = await open_log()
    stored = await ids(log)
    assert {line.strip() for line in acknowledged if line.endswith("\n")} <= set(stored)
    assert (await log.bounds()).position.seq == len(stored) == len(set(stored))
    pairs = zip(stored[::2], stored[1::2], strict=True)
    assert all(first[:-1] == second[:-1] for first, second in pairs)


async def test_a_smaller_retention_applies_after_a_restart(
    open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """The log removes the events beyond it in steps, while it appends."""
    log = await open_log()
    for _ in range(4):
        await log.append([event() for _ in range(1_000)])
    await log.close()

    log = await open_log(Retention(events=10), sweep_seconds=3_600)
    await log.append([event("a")])
    await eventually(lambda: holds(log, 10))
    assert (await ids(log))[-1] == "a"


async def holds(log: SqliteLog, events: int) -> bool:
    """Tell whether a log holds this number of events."""
    bounds = await log.bounds()
    return bounds.position.seq - bounds.oldest.seq == events


async def test_the_file_stays_small(path: Path, open_log: OpenLog, event: MakeEvent) -> None:
    """New events use the pages of the trimmed ones again."""
    log = await open_log(Retention(events=500))
    sizes = []
    for _ in range(6):
        for _ in range(10):
            await log.append([event(descripcion="x" * 2_000) for _ in range(100)])
        sizes.append(sum(file.stat().st_size for file in path.parent.iterdir()))
    assert max(sizes[2:]) <= sizes[1] * 1.1


async def test_the_file_shrinks_after_a_burst(
    path: Path, open_log: OpenLog, event: MakeEvent
) -> None:
    """The log gives space that it no longer needs back to the disk."""
    now = 1_000_000.0
    log = await open_log(Retention(seconds=60), clock=lambda: now)
    for _ in range(10):
        await log.append([event(descripcion="x" * 5_000) for _ in range(500)])
    burst = 5_000 * 5_000
    now += 61
    await eventually(lambda: is_trimmed(log))
    await eventually(lambda: is_smaller(path, burst // 3))


async def is_smaller(path: Path, size: int) -> bool:
    """Tell whether a file is smaller than a size."""
    return path.stat().st_size < size
