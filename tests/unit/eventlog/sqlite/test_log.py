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
    """Records, ids, states, epoch and numbering are the same in the next process."""
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


async def test_numbers_and_time_go_on_though_everything_was_trimmed(
    open_log: OpenLog, event: MakeEvent
) -> None:
    """An empty file still knows how far it had counted, and when that was."""
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
    """Tell whether a log holds no event any more."""
    bounds = await log.bounds()
    return bounds.oldest == bounds.position


async def test_what_waits_is_committed_in_one_group(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """While one commit syncs, sixty-three appends come; one more commit takes them all."""
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
    """However much waits, a commit takes some thousand events and the next one goes on."""
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


async def test_the_rooms_asked_for_are_those_of_the_call(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """A caller may change its rooms while a read waits for its turn."""
    log = await open_log(vfs=disk.vfs)
    await log.append([event()])
    disk.gate.clear()
    disk.waiting.clear()
    append = asyncio.create_task(log.append([event()]))
    await asyncio.to_thread(disk.waiting.wait)
    rooms = {"material:roble": 0}
    read = asyncio.create_task(log.read(None, rooms.keys(), 10))
    await asyncio.sleep(0)
    rooms.clear()
    disk.gate.set()
    assert len((await read).records) == 2
    await append


async def test_no_answer_comes_before_its_commit(
    disk: Any, open_log: OpenLog, event: MakeEvent
) -> None:
    """While the sync of its commit runs, an append has no answer and no tail has its record."""
    log = await open_log(vfs=disk.vfs)
    tail = log.tail()
    disk.gate.clear()
    disk.waiting.clear()
    append = asyncio.create_task(log.append([event()]))
    follower = asyncio.create_task(take(tail))
    await asyncio.to_thread(disk.waiting.wait)
    assert not append.done()
    assert not follower.done()
    disk.gate.set()
    await append
    assert follower.done()


async def take(tail: AsyncIterator[list[Record]]) -> list[Record]:
    """Wait for a tail's next batch."""
    return await anext(tail)


KILLED = """
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
    """Whatever was answered before a kill is in the log after it, each append whole."""
    acknowledged: list[str] = []
    for run, lines in enumerate((10, 700, 3_000)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, str(path), str(run), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        acknowledged += [(await process.stdout.readline()).decode() for _ in range(lines)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += (await process.stdout.read()).decode().splitlines(keepends=True)
        assert await process.wait() == -signal.SIGKILL
    log = await open_log()
    kept = await ids(log)
    assert {line.strip() for line in acknowledged if line.endswith("\n")} <= set(kept)
    assert (await log.bounds()).position.seq == len(kept) == len(set(kept))
    pairs = zip(kept[::2], kept[1::2], strict=True)
    assert all(first[:-1] == second[:-1] for first, second in pairs)


async def test_a_smaller_retention_takes_hold_after_a_restart(
    open_log: OpenLog, event: MakeEvent, ids: Ids
) -> None:
    """A log with too much is trimmed step by step, one after the other, while it appends."""
    log = await open_log()
    for _ in range(4):
        await log.append([event() for _ in range(1_000)])
    await log.close()

    log = await open_log(Retention(events=10), sweep_seconds=3_600)
    await log.append([event("a")])
    await eventually(lambda: keeps(log, 10))
    assert (await ids(log))[-1] == "a"


async def keeps(log: SqliteLog, events: int) -> bool:
    """Tell whether a log holds so many events."""
    bounds = await log.bounds()
    return bounds.position.seq - bounds.oldest.seq == events


async def test_the_file_stays_small(path: Path, open_log: OpenLog, event: MakeEvent) -> None:
    """In the steady state the pages of what is trimmed are used again."""
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
    """Space that is no longer needed goes back to the disk."""
    now = 1_000_000.0
    log = await open_log(Retention(seconds=60), clock=lambda: now)
    for _ in range(10):
        await log.append([event(descripcion="x" * 5_000) for _ in range(500)])
    burst = 5_000 * 5_000
    now += 61
    await eventually(lambda: is_trimmed(log))
    await eventually(lambda: is_smaller(path, burst // 3))


async def is_smaller(path: Path, size: int) -> bool:
    """Tell whether a file has shrunk below a size."""
    return path.stat().st_size < size
