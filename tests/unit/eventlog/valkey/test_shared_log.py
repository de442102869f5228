"""Several nodes on one Valkey event log: one order, one set of ids, one epoch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sio_server.contract.errors import IdConflict
from sio_server.contract.events import Event
from sio_server.eventlog.contract import EventLog
from sio_server.eventlog.valkey.log import ValkeyLog
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import TailObserver, append
from tests.unit.eventlog.waiting import eventually, until

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]
Ids = Callable[[EventLog], Awaitable[list[str]]]


async def test_nodes_share_one_order(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """When all nodes append at once, every tail has every event once, in the log's order."""
    logs = [await open_valkey_log(own_valkey.url) for _ in range(3)]
    observers = [TailObserver(log) for log in logs]

    async def produce(log: EventLog, name: str) -> None:
        for number in range(50):
            first, second = await append(log, event(f"{name}-{number}"), event(f"{name}+{number}"))
            assert second.offset.seq == first.offset.seq + 1

    await asyncio.gather(*(produce(log, f"{n}{m}") for n, log in enumerate(logs) for m in range(3)))
    stored = await ids(logs[0])
    assert len(set(stored)) == len(stored) == 900
    for observer in observers:
        await until(lambda observer=observer: observer.ids == stored)
        assert [offset.seq for offset in observer.offsets] == list(range(1, 901))


async def test_an_id_is_known_on_every_node(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Of concurrent appends of one id, one is the first; another event with it is a conflict."""
    logs = [await open_valkey_log(own_valkey.url) for _ in range(3)]
    receipts = await asyncio.gather(*(append(log, event("a")) for log in logs * 10))
    assert [receipt.duplicate for (receipt,) in receipts].count(False) == 1
    assert {receipt.offset.seq for (receipt,) in receipts} == {1}
    for log in logs:
        (answer,) = await log.append([event("a", nombre="Silla")])
        assert isinstance(answer, IdConflict)


async def test_timestamps_never_decrease_between_nodes(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """This holds although the clocks of the nodes differ."""
    logs = [
        await open_valkey_log(own_valkey.url, clock=lambda now=now: now)
        for now in (1_700_000_100.0, 1_700_000_000.0, 1_700_000_200.0)
    ]
    order = [logs[1], logs[0], logs[1], logs[2], logs[0]]
    receipts = [(await append(log, event()))[0] for log in order]
    stamps = [receipt.timestamp for receipt in receipts]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 3


async def test_every_node_notices_a_loss(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """All nodes continue in the same new epoch, from its start."""
    logs = [await open_valkey_log(own_valkey.url) for _ in range(3)]
    observers = [TailObserver(log) for log in logs]
    await append(logs[0], event("a"))
    with own_valkey.client as client:
        client.flushall()
    receipts = await asyncio.gather(*(append(log, event(f"{n}")) for n, log in enumerate(logs)))
    (epoch,) = {receipt.offset.epoch for (receipt,) in receipts}
    for observer in observers:
        await until(lambda observer=observer: len(observer.ids) == 3)
        assert observer.breaks == [(epoch, 0)]
        assert observer.ids == observers[0].ids


async def test_a_node_trims_the_events_of_other_nodes(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Every node sweeps the whole log, and knows its bounds."""
    now = [1_700_000_000.0]
    logs = [await open_valkey_log(own_valkey.url, clock=lambda: now[0]) for _ in range(2)]
    await append(logs[0], *(event() for _ in range(1_000)))
    await logs[0].close()
    now[0] += 86_401

    async def is_empty() -> bool:
        return (await logs[1].bounds()).oldest.seq == 1_000

    await eventually(is_empty)
