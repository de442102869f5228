"""The summaries by which a search of the Valkey log skips events. They change no answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from unittest.mock import patch

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sio_server.contract.events import Event, Offset, Record
from sio_server.eventlog import reading, summaries
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.valkey import blocks as valkey_blocks
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import append
from tests.unit.eventlog.waiting import eventually

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]

NOBODY = ["author:nobody"]
MATERIALS = ["roble", "pino", 'un "olmo"', "haya\\", "nogal\ncedro", "ébano"]
HOUR = 3_600
prefixes = (f"{{blocks-{number}}}" for number in itertools.count())


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "BLOCK_EVENTS", 3)


@pytest.fixture
def client(own_valkey: Valkey) -> Iterator[redis.Redis]:
    """Return a client that sees the data as bytes."""
    with redis.Redis(port=own_valkey.port) as connected:
        yield connected


@pytest.fixture
async def log(
    own_valkey: Valkey, open_valkey_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> ValkeyLog:
    """Return a log; it and all others of the test sweep only if the test lets them."""

    async def wait(_: ValkeyLog) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ValkeyLog, "_sweep", wait)
    return await open_valkey_log(own_valkey.url)


async def sweep(*logs: ValkeyLog) -> None:
    """Let all nodes sweep at once, until there is nothing to do."""
    while True in await asyncio.gather(*(log._sweep_once() for log in logs)):
        pass


def blocks(client: redis.Redis) -> list[tuple[int, int]]:
    """Return the first and the last seq of each block."""
    return [
        (int(fields[b"first"]), int(entry_id.partition(b"-")[0]))
        for entry_id, fields in client.xrange(f"{PREFIX}:blocks")  # type: ignore[union-attr]
    ]


async def positions(log: EventLog, *rooms: str, limit: int = 10) -> list[int]:
    """Read all events of some rooms; return the position of each page."""
    found = [await log.read(None, rooms, limit)]
    while not found[-1].at_end:
        found.append(await log.read(found[-1].position, rooms, limit))
    return [page.position.seq for page in found]


async def read_all(log: EventLog, rooms: list[str] | None, after: Offset) -> list[Record]:
    """Read all events after an offset, in small pages."""
    records: list[Record] = []
    while True:
        page = await log.read(after, rooms, 2)
        assert not page.gap
        records += page.records
        if page.at_end:
            return records
        after = page.position


STEPS = st.one_of(
    st.lists(st.sampled_from(MATERIALS), min_size=2, max_size=8),
    st.sampled_from(["sweep once", "sweep", "start again"]),
)


@settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(STEPS, min_size=8, max_size=25), st.integers(5, 50), st.data())
async def test_summaries_change_no_answer(
    valkey: Valkey, event: MakeEvent, steps: list[list[str] | str], kept: int, data: st.DataObject
) -> None:
    """Whatever is appended, summarised and deleted by two nodes at once, and in which order."""
    prefix = next(prefixes)
    pieces = map(str, itertools.count())

    async def start() -> list[ValkeyLog]:
        nodes = [
            ValkeyLog(valkey.url, Retention(events=kept), sweep_seconds=HOUR, prefix=prefix)
            for _ in range(2)
        ]
        for node in nodes:
            await node.open()
        return nodes

    with patch.object(summaries, "MAX_COMPARISONS", 4):
        nodes = await start()
        for step in steps:
            if isinstance(step, list):
                new = [event(furniture_id=next(pieces), material=name) for name in step]
                await asyncio.gather(nodes[0].append(new[:2]), nodes[1].append(new[2:]))
                await nodes[0]._sweep_once()
            elif step == "sweep":
                await sweep(*nodes)
            elif step == "sweep once":
                await asyncio.gather(*(node._sweep_once() for node in nodes))
            else:
                for node in nodes:
                    await node.close()
                nodes = await start()
        wanted = data.draw(st.frozensets(st.sampled_from(MATERIALS), min_size=1))
        rooms = [f"material:{name}" for name in wanted]
        bounds = await nodes[0].bounds()
        after = bounds.oldest._replace(
            seq=data.draw(st.integers(bounds.oldest.seq, bounds.position.seq))
        )
        everything = await read_all(nodes[0], None, after)
        expected = [each for each in everything if {*rooms} & {*each.rooms}]
        assert await read_all(nodes[1], rooms, after) == expected
        for node in nodes:
            await node.close()


async def test_a_search_reads_no_event_of_a_block_without_its_rooms(
    log: ValkeyLog, event: MakeEvent
) -> None:
    """One read skips a bounded number of blocks. The last events have no summary yet."""
    materials = ["roble"] * 20 + ["pino"] + ["roble"] * 9 + ["roble"] * 2
    await append(
        log, *(event(furniture_id=f"{n}", material=name) for n, name in enumerate(materials))
    )
    await sweep(log)
    with patch.object(summaries, "MAX_COMPARISONS", 4):
        assert await positions(log, *NOBODY) == [12, 24, 30, 32]
        assert await positions(log, "material:pino") == [12, 18, 32]
        assert await positions(log, *NOBODY, "author:no one") == [6, 12, 18, 24, 30, 32]
        # Very many rooms are compared with none, so that the time of a read stays bounded.
        assert await positions(log, *(f"author:{n}" for n in range(5))) == [32]


async def test_two_nodes_write_each_block_once(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    log: ValkeyLog,
    event: MakeEvent,
    client: redis.Redis,
) -> None:
    """Both offer it; the second one is refused."""
    other = await open_valkey_log(own_valkey.url)
    await append(log, *(event() for _ in range(20)))
    await sweep(log, other)
    assert blocks(client) == [(n, n + 2) for n in range(1, 19, 3)]


async def test_a_node_makes_the_blocks_that_no_node_has_followed(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    log: ValkeyLog,
    event: MakeEvent,
    client: redis.Redis,
) -> None:
    """It reads their events. The events of a node's start may be in no block until then."""
    await append(log, *(event(furniture_id=f"{n}") for n in range(10)))
    await log.close()
    other = await open_valkey_log(own_valkey.url)
    await sweep(other)
    assert blocks(client) == [(1, 3), (4, 6)]
    await append(other, *(event(furniture_id=f"{n}") for n in range(8)))
    await sweep(other)
    assert blocks(client) == [(n, n + 2) for n in range(1, 19, 3)]
    assert await positions(other, "furniture:9") == [9, 18]


async def test_a_block_that_is_read_ends_early_if_its_events_are_long(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    log: ValkeyLog,
    event: MakeEvent,
    client: redis.Redis,
) -> None:
    """So the time of one step stays bounded, too."""
    await append(log, *(event(descripcion="x" * 45_000) for _ in range(20)))
    await log.close()
    with patch.object(summaries, "BLOCK_EVENTS", 10):
        await sweep(await open_valkey_log(own_valkey.url))
    assert blocks(client) == [(1, 6), (7, 10)]


async def test_a_node_offers_a_bounded_number_of_blocks(
    log: ValkeyLog, event: MakeEvent, client: redis.Redis
) -> None:
    """If very many wait, the oldest are dropped, and read again."""
    with patch.object(valkey_blocks, "MAX_OFFERED", 2):
        await append(log, *(event() for _ in range(12)))
        await log._sweep_once()
        assert blocks(client) == [(1, 3), (4, 6)]
        log._blocks._waiting.popleft()
        log._blocks._waiting.popleft()
        await append(log, *(event() for _ in range(6)))
        await sweep(log)
        await sweep(log)
    assert blocks(client) == [(n, n + 2) for n in range(1, 19, 3)]


async def test_trimming_deletes_the_summaries_of_deleted_events(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    log: ValkeyLog,
    event: MakeEvent,
    client: redis.Redis,
) -> None:
    """A summary stays while one of its events stays."""
    await append(log, *(event() for _ in range(9)))
    await sweep(log)
    await log.close()
    log = await open_valkey_log(own_valkey.url, Retention(events=4))
    await sweep(log)
    assert blocks(client) == [(4, 6), (7, 9)]


def test_a_break_within_a_block_leaves_it_unknown() -> None:
    """The node has not seen all of its events. Blocks from before the break are void."""
    blocks = valkey_blocks.Blocks()

    def follow(*seqs: int) -> None:
        blocks.follow([Record(Offset("e", seq), "t", ("catalog",), "") for seq in seqs])

    blocks.start_after(Offset("e", 0))
    follow(1, 2, 3, 4)
    assert [block[:2] for block in blocks.offered()] == [(1, 3)]
    blocks.start_after(Offset("e", 5))
    follow(6, 7, 8, 9)
    assert [block[:2] for block in blocks.offered()] == [(7, 9)]


async def test_a_search_reads_the_events_of_a_missing_summary(
    log: ValkeyLog, event: MakeEvent, client: redis.Redis
) -> None:
    """It does not skip them with the blocks beside them."""
    materials = ["roble"] * 4 + ["pino"] + ["roble"] * 7
    await append(
        log, *(event(furniture_id=f"{n}", material=name) for n, name in enumerate(materials))
    )
    await sweep(log)
    client.xdel(f"{PREFIX}:blocks", "6-0")
    start = (await log.bounds()).oldest
    (record,) = await read_all(log, ["material:pino"], start)
    assert record.offset.seq == 5
    client.delete(f"{PREFIX}:blocks")
    assert await read_all(log, ["material:pino"], start) == [record]


async def test_an_earlier_version_may_begin_a_new_log_beside_old_blocks(
    log: ValkeyLog, event: MakeEvent, client: redis.Redis
) -> None:
    """It does not delete them. They skip nothing in the new epoch, and are written again."""
    await append(log, *(event(furniture_id=f"{n}") for n in range(12)))
    await sweep(log)
    old = client.dump(f"{PREFIX}:blocks")
    named = client.hmget(f"{PREFIX}:log", "summarised", "summarised_in")
    client.delete(f"{PREFIX}:log")
    pine = [event(furniture_id=f"{n}", material="pino") for n in range(9)]
    await append(log, *pine)
    assert isinstance(old, bytes)
    client.restore(f"{PREFIX}:blocks", 0, old)
    client.hset(
        f"{PREFIX}:log", mapping=dict(zip(("summarised", "summarised_in"), named, strict=True))
    )
    start = (await log.bounds()).oldest
    assert len(await read_all(log, ["material:pino"], start)) == 9
    await sweep(log)
    assert await positions(log, "material:roble") == [9]
    assert blocks(client) == [(1, 3), (4, 6), (7, 9)]


async def test_a_full_server_gets_no_further_summaries(
    log: ValkeyLog, event: MakeEvent, client: redis.Redis
) -> None:
    """The sweep does not fail, and a search reads the events."""
    await append(log, *(event(furniture_id=f"{n}") for n in range(3)))
    await sweep(log)
    await append(log, *(event(furniture_id=f"{n}") for n in range(4)))
    client.config_set("maxmemory", "1mb")
    assert not await log._sweep_once()
    assert blocks(client) == [(1, 3)]
    assert await positions(log, *NOBODY) == [3, 7]
    client.config_set("maxmemory", "0")
    await sweep(log)
    assert blocks(client) == [(1, 3), (4, 6)]


async def test_the_log_writes_its_summaries_by_itself(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """In the background."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, *(event() for _ in range(60)))

    async def is_summarised() -> bool:
        return (await log.read(None, NOBODY, 10)).position.seq == 60

    with patch.object(reading, "MAX_EXAMINED_EVENTS", 10):
        await eventually(is_summarised)
