"""The appends of one node over a network that cuts connections: each has exactly one outcome."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Receipt
from sio_server.eventlog.contract import EventLog
from sio_server.eventlog.valkey import connection as valkey_connection
from sio_server.eventlog.valkey import writer as valkey_writer
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import (
    HeldTail,
    TailObserver,
    append,
    url_through,
)
from tests.unit.eventlog.waiting import append_when_possible, until

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]
Ids = Callable[[EventLog], Awaitable[list[str]]]

APPEND = b"\r\nappend\r\n"
"""The part of a request by which the proxy recognises an append."""


@pytest.mark.parametrize("losses", [1, 5])
@pytest.mark.parametrize("lost", ["requests", "answers"])
async def test_a_cut_between_request_and_answer_is_invisible_to_the_caller(
    proxy: LossyProxy,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    ids: Ids,
    lost: str,
    losses: int,
) -> None:
    """The writer repeats the request: the caller gets neither an error nor a duplicate."""
    log = await open_valkey_log(url_through(proxy))
    observer = TailObserver(log)
    await append(log, event("before"))
    proxy.losses = losses
    setattr(proxy, lost, APPEND)
    first, second, again = await log.append([event("a"), event("b"), event("before")])
    assert proxy.lost == losses
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (first.offset.seq, first.duplicate) == (2, False)
    assert (second.offset.seq, second.duplicate) == (3, False)
    assert isinstance(again, Receipt)
    assert again.duplicate
    assert await ids(log) == observer.ids == ["before", "a", "b"]
    assert observer.breaks == []


async def test_an_append_is_not_repeated_although_its_events_were_trimmed(
    own_valkey: Valkey, proxy: LossyProxy, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The script remembers an append by its number, even after the retention removed its events."""
    log = await open_valkey_log(url_through(proxy))
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


async def test_cuts_at_any_moment_lose_and_duplicate_no_event(
    proxy: LossyProxy, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """Every append gets the right answer, and the tail has every event once."""
    log = await open_valkey_log(url_through(proxy))
    observer = TailObserver(log)
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
    stored = await ids(log)
    assert sorted(stored) == sorted(acknowledged)
    assert len(stored) == 400
    await until(lambda: observer.ids == stored)
    assert observer.breaks == []


async def test_an_append_during_a_stall_waits_for_its_answer(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The writer asks a stalled server again; the append happens once."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, event("before"))
    monkeypatch.setattr(valkey_connection, "ANSWER_TIMEOUT_SECONDS", 0.05)
    assert own_valkey.process is not None
    own_valkey.process.send_signal(signal.SIGSTOP)
    appending = asyncio.create_task(append(log, event("a"), event("b")))
    await until(lambda: log._writer._connection._connection is None)
    own_valkey.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    assert [receipt.duplicate for receipt in await appending] == [False, False]
    assert await ids(log) == ["before", "a", "b"]


async def test_closing_cancels_an_append_whose_outcome_stays_unknown(
    own_valkey: Valkey,
    proxy: LossyProxy,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Closing waits for the outcome a while. It refuses an append that was not sent."""
    monkeypatch.setattr(valkey_writer, "CLOSE_TIMEOUT_SECONDS", 0.2)
    log = await open_valkey_log(url_through(proxy))
    await append(log, event("before"))
    proxy.losses = 1_000_000
    proxy.answers = APPEND
    unknown = asyncio.create_task(log.append([event("a")]))
    await until(lambda: proxy.lost > 0)
    waiting = asyncio.create_task(log.append([event("b")]))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(asyncio.CancelledError):
        await unknown
    with pytest.raises(LogUnavailable):
        await waiting
    assert await ids(await open_valkey_log(own_valkey.url)) == ["before", "a"]


async def test_an_append_that_the_tail_will_never_pass_is_answered(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """It was stored and then lost with the log, and the tail continues in another epoch."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, event("first"))
    held = HeldTail(log)
    await append(log, event("a"))
    await until(lambda: held.waiting)
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
