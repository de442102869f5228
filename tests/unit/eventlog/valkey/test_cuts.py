"""The Valkey event log over a network that cuts connections, and with other nodes beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sio_server.contract.errors import IdConflict, LogUnavailable
from sio_server.contract.events import Event, Receipt
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.valkey import writer as valkey_writer
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.test_log import Follower, append
from tests.unit.eventlog.waiting import append_when_possible, eventually, until

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]
Ids = Callable[[EventLog], Awaitable[list[str]]]

APPEND = b"\r\nappend\r\n"


@pytest.fixture
async def proxy(own_valkey: Valkey) -> AsyncIterator[LossyProxy]:
    """Run a proxy before the server."""
    running = LossyProxy(own_valkey.port)
    await running.start()
    yield running
    await running.stop()


def url(proxy: LossyProxy) -> str:
    """Return the log's URL by way of the proxy."""
    return f"redis://127.0.0.1:{proxy.port}/0"


# Cuts.


@pytest.mark.parametrize("losses", [1, 5])
@pytest.mark.parametrize("what", ["requests", "answers"])
async def test_a_cut_between_request_and_answer_is_nobodys_business(
    proxy: LossyProxy,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    ids: Ids,
    what: str,
    losses: int,
) -> None:
    """Neither an error nor a duplicate: the log asks again, whichever of the two was lost."""
    log = await open_valkey_log(url(proxy))
    follower = Follower(log)
    await append(log, event("before"))
    proxy.losses = losses
    setattr(proxy, what, APPEND)
    first, second, again = await log.append([event("a"), event("b"), event("before")])
    assert proxy.lost == losses
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (first.offset.seq, first.duplicate) == (2, False)
    assert (second.offset.seq, second.duplicate) == (3, False)
    assert isinstance(again, Receipt)
    assert again.duplicate
    assert await ids(log) == follower.ids == ["before", "a", "b"]
    assert follower.breaks == []


async def test_its_own_append_is_known_though_its_events_are_gone(
    own_valkey: Valkey, proxy: LossyProxy, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """An append whose answer was lost is not done again, whatever the retention did meanwhile."""
    log = await open_valkey_log(url(proxy))
    await append(log, event("before"))
    proxy.losses = 3
    proxy.answers = APPEND
    appending = asyncio.create_task(append(log, event("a")))
    await until(lambda: proxy.lost > 0)
    with own_valkey.client as client:  # as a sweep would
        client.hdel(f"{PREFIX}:ids", "a")
    ((receipt,), (later,)) = await appending, await append(log, event("b"))
    assert (receipt.offset.seq, receipt.duplicate) == (2, False)
    assert later.offset.seq == 3


async def test_cuts_at_any_moment_lose_and_double_nothing(
    proxy: LossyProxy, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """However often every connection is cut, appends are answered right and the tail has all."""
    log = await open_valkey_log(url(proxy))
    follower = Follower(log)
    acknowledged: list[str] = []

    async def produce(name: str) -> None:
        for number in range(100):
            receipt = await append_when_possible(log, event(f"{name}-{number}"))
            assert not receipt.duplicate
            acknowledged.append(receipt.id)

    producers = [asyncio.create_task(produce(f"p{number}")) for number in range(4)]
    for enough in range(20, 400, 20):
        await until(lambda enough=enough: len(acknowledged) >= enough)
        proxy.cut()
    await asyncio.gather(*producers)
    kept = await ids(log)
    assert sorted(kept) == sorted(acknowledged)
    assert len(kept) == 400
    await until(lambda: follower.ids == kept)
    assert follower.breaks == []


async def test_while_it_is_cut_off_it_is_unavailable_and_then_has_missed_nothing(
    own_valkey: Valkey, proxy: LossyProxy, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """What other nodes append meanwhile reaches the tail once it is back."""
    log = await open_valkey_log(url(proxy))
    other = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
    await append(log, event("a"))
    proxy.open = False
    proxy.cut()
    await until(lambda: log._follower._failing)
    with pytest.raises(LogUnavailable):
        await log.append([event("refused")])
    with pytest.raises(LogUnavailable):
        await log.read(None, None, 10)
    for number in range(1_200):
        await append(other, event(f"{number}"))
    proxy.open = True
    await until(lambda: follower.ids == ["a", *(f"{number}" for number in range(1_200))])
    assert follower.breaks == []


async def test_an_outcome_that_can_t_be_learnt_is_no_answer(
    own_valkey: Valkey,
    proxy: LossyProxy,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Closing cancels it after a while; what was not sent is refused."""
    monkeypatch.setattr(valkey_writer, "CLOSE_TIMEOUT_SECONDS", 0.2)
    log = await open_valkey_log(url(proxy))
    await append(log, event("before"))
    proxy.losses = 1_000_000
    proxy.answers = APPEND
    doubtful = asyncio.create_task(log.append([event("a")]))
    await until(lambda: proxy.lost > 0)
    waiting = asyncio.create_task(log.append([event("b")]))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(asyncio.CancelledError):
        await doubtful
    with pytest.raises(LogUnavailable):
        await waiting
    assert await ids(await open_valkey_log(own_valkey.url)) == ["before", "a"]


# Several nodes.


async def test_nodes_share_one_order(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """Appends of all of them at once: every tail has every event, in the log's order, once."""
    logs = [await open_valkey_log(own_valkey.url) for _ in range(3)]
    followers = [Follower(log) for log in logs]

    async def produce(log: EventLog, name: str) -> None:
        for number in range(50):
            first, second = await append(log, event(f"{name}-{number}"), event(f"{name}+{number}"))
            assert second.offset.seq == first.offset.seq + 1

    await asyncio.gather(*(produce(log, f"{n}{m}") for n, log in enumerate(logs) for m in range(3)))
    kept = await ids(logs[0])
    assert len(set(kept)) == len(kept) == 900
    for follower in followers:
        await until(lambda follower=follower: follower.ids == kept)
        assert [offset.seq for offset in follower.offsets] == list(range(1, 901))


async def test_an_id_is_known_on_every_node(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Of appends of one id at the same time, one is the first; another event with it a conflict."""
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
    """Though their clocks differ."""
    logs = [
        await open_valkey_log(own_valkey.url, clock=lambda now=now: now)
        for now in (1_700_000_100.0, 1_700_000_000.0, 1_700_000_200.0)
    ]
    order = [logs[1], logs[0], logs[1], logs[2], logs[0]]
    receipts = [(await append(log, event()))[0] for log in order]
    stamps = [receipt.timestamp for receipt in receipts]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 3


async def test_every_node_hears_of_a_loss(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """All go on in the same new epoch, from its start."""
    logs = [await open_valkey_log(own_valkey.url) for _ in range(3)]
    followers = [Follower(log) for log in logs]
    await append(logs[0], event("a"))
    with own_valkey.client as client:
        client.flushall()
    receipts = await asyncio.gather(*(append(log, event(f"{n}")) for n, log in enumerate(logs)))
    (epoch,) = {receipt.offset.epoch for (receipt,) in receipts}
    for follower in followers:
        await until(lambda follower=follower: len(follower.ids) == 3)
        assert follower.breaks == [(epoch, 0)]
        assert follower.ids == followers[0].ids


async def test_what_comes_of_a_new_epoch_is_never_taken_for_the_old(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Though its numbers go on where those of the old one ended."""
    log, other = [await open_valkey_log(own_valkey.url) for _ in range(2)]
    follower = Follower(log)
    await append(log, event("a"), event("b"))
    with own_valkey.client as client:
        client.flushall()
    receipts = await append(other, *(event(f"{number}") for number in range(10)))
    await until(lambda: follower.ids == [f"{number}" for number in range(10)])
    assert follower.offsets == [receipt.offset for receipt in receipts]
    assert follower.breaks == [receipts[0].offset._replace(seq=0)]


# A tail that is late.


class Held:
    """Holds up a log's tail: after what it waits for now, it asks for nothing more."""

    def __init__(self, log: ValkeyLog) -> None:
        self.gate = asyncio.Event()
        self.asked = False
        self._link = log._follower._connection
        self._ask = self._link.request
        self._link.request = self._wait  # type: ignore[method-assign]

    async def _wait(self, *commands: Any, **options: Any) -> Any:
        self.asked = True
        await self.gate.wait()
        return await self._ask(*commands, **options)


async def test_a_late_tail_that_the_retention_has_overtaken_breaks(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Though its connection was there all the time."""
    log = await open_valkey_log(own_valkey.url)
    other = await open_valkey_log(own_valkey.url, Retention(events=5))
    follower = Follower(log)
    await append(log, event("first"))
    held = Held(log)
    await append(other, event("second"))
    await until(lambda: held.asked)
    for number in range(20):
        await append(other, event(f"{number}"))

    async def is_trimmed() -> bool:
        return (await other.bounds()).oldest.seq == 17

    await eventually(is_trimmed)
    held.gate.set()
    await until(lambda: follower.ids == [f"{number}" for number in range(15, 20)])
    assert [position.seq for position in follower.breaks] == [17]


async def test_an_append_that_the_tail_will_never_pass_is_answered(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """It was appended, and then lost with the log."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, event("first"))
    held = Held(log)
    await append(log, event("a"))
    await until(lambda: held.asked)
    appending = asyncio.create_task(append(log, event("b")))
    with own_valkey.client as client:
        await until(lambda: client.xlen(f"{PREFIX}:events") == 3)
        await asyncio.sleep(0)
        assert not appending.done()
        client.flushall()
    held.gate.set()
    async with asyncio.timeout(20):
        (receipt,) = await appending
    assert (receipt.offset.seq, receipt.duplicate) == (3, False)


async def test_a_node_trims_what_others_appended(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Any of them sweeps; each knows the same bounds."""
    now = [1_700_000_000.0]
    logs = [await open_valkey_log(own_valkey.url, clock=lambda: now[0]) for _ in range(2)]
    await append(logs[0], *(event() for _ in range(1_000)))
    await logs[0].close()
    now[0] += 86_401

    async def is_empty() -> bool:
        return (await logs[1].bounds()).oldest.seq == 1_000

    await eventually(is_empty)
