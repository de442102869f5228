"""The tail of one node: it continues after cuts and restarts, and breaks if events are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Record
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.valkey import follower as valkey_follower
from sio_server.eventlog.valkey.connection import CutOffError
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import HeldTail, TailObserver, append, url_through
from tests.unit.eventlog.waiting import append_when_possible, eventually, until

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]
Ids = Callable[[EventLog], Awaitable[list[str]]]

# Cuts.


async def test_a_node_that_was_cut_off_misses_no_event(
    own_valkey: Valkey, proxy: LossyProxy, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The log is unavailable during the cut. Then the tail gets the events of other nodes."""
    log = await open_valkey_log(url_through(proxy))
    other = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
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
    await until(lambda: observer.ids == ["a", *(f"{number}" for number in range(1_200))])
    assert observer.breaks == []


# A log that was lost.


async def is_at(log: EventLog, seq: int, *, not_in: str) -> bool:
    """Tell whether a log ends at a seq, in another epoch than before."""
    with suppress(LogUnavailable):
        position = (await log.bounds()).position
        return position.seq == seq and position.epoch != not_in
    return False


@pytest.mark.parametrize("lost", ["everything", "the log", "its events"])
async def test_a_lost_log_starts_again_in_another_epoch(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids, lost: str
) -> None:
    """Every offset from before the loss is a gap; the tail breaks and continues."""
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    receipts = await append(log, event("a"), event("b"))
    old = receipts[-1].offset
    with own_valkey.client as client:
        if lost == "everything":
            client.flushall()
        else:
            client.delete(f"{PREFIX}:{'log' if lost == 'the log' else 'events'}")
    (receipt,) = await append(log, event("a"))
    assert receipt.offset.epoch != old.epoch
    assert (receipt.offset.seq, receipt.duplicate) == (1, False)
    assert observer.breaks == [receipt.offset._replace(seq=0)]
    assert observer.ids == ["a"]
    for offset in (old, old._replace(seq=1), old._replace(seq=0)):
        page = await log.read(offset, None, 10)
        assert page.gap
        assert page.position == receipt.offset
    assert await ids(log) == ["a"]


async def test_a_break_drops_the_records_that_no_consumer_has_taken(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The tail yields no record of the old epoch after the break."""
    log = await open_valkey_log(own_valkey.url)
    tail = log.tail()
    await append(log, event("a"))
    with own_valkey.client as client:
        client.flushall()
    (receipt,) = await append(log, event("b"))
    assert [record.offset for record in await anext(tail)] == [receipt.offset]


async def test_a_node_notices_a_loss_although_no_call_comes(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Live consumers must not wait for events of a lost log."""
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    await append(log, event("a"))
    with own_valkey.client as client:
        client.flushall()
    await until(lambda: len(observer.breaks) == 1)
    assert observer.breaks == [(await log.bounds()).position]


@pytest.mark.parametrize("first", ["append", "read", "bounds"])
async def test_every_answer_from_another_epoch_wakes_the_tail(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    """The tail checks the log at once, although its read blocks for a long time."""
    monkeypatch.setattr(valkey_follower, "BLOCK_SECONDS", 60.0)
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    await append(log, event("a"))
    with own_valkey.client as client:
        client.flushall()
    if first == "append":
        await append(log, event("b"))
    elif first == "read":
        await log.read(None, None, 0)
    else:
        await log.bounds()
    await until(lambda: len(observer.breaks) == 1)


async def test_the_tail_checks_the_epoch_although_no_request_is_under_way(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer from another epoch may arrive when there is no request to cancel."""
    monkeypatch.setattr(valkey_follower, "BLOCK_SECONDS", 60.0)
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    publish = log._follower._on_records

    def lose(records: Sequence[Record]) -> None:
        publish(records)
        with own_valkey.client as client:
            client.flushall()
        log._follower.check_epoch("another")

    monkeypatch.setattr(log._follower, "_on_records", lose)
    await append(log, event("a"))
    await until(lambda: len(observer.breaks) == 1)


async def test_a_restart_without_persistence_is_a_loss(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The log starts again in another epoch."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    try:
        log = await open_valkey_log(server.url)
        observer = TailObserver(log)
        (first,) = await append(log, event("a"))
        server.kill()
        server.start()
        receipt = await append_when_possible(log, event("b"))
        assert receipt.offset.epoch != first.offset.epoch
        assert receipt.offset.seq == 1
        await until(lambda: observer.ids == ["b"])
        assert len(observer.breaks) == 1
        await log.close()
    finally:
        server.stop()


@pytest.mark.parametrize("first", ["append", "bounds", "tail"])
async def test_a_restored_older_state_continues_in_another_epoch(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids, first: str
) -> None:
    """No offset names two events: new events have another epoch, whichever call notices first.

    The restored events stay.
    """
    server = Valkey(tmp_path / "valkey")
    server.start()
    try:
        log = await open_valkey_log(server.url)
        observer = TailObserver(log)
        restored = await append(log, event("a"), event("b"))
        with server.client as client:
            client.save()
        lost = await append(log, event("c"), event("d"))
        server.kill()
        server.start()
        if first == "append":
            receipt = await append_when_possible(log, event("e"))
        elif first == "bounds":
            await eventually(lambda: is_at(log, 2, not_in=restored[0].offset.epoch))
            (receipt,) = await append(log, event("e"))
        else:
            await until(lambda: len(observer.breaks) == 1)
            (receipt,) = await append(log, event("e"))
        assert receipt.offset.seq == 3
        assert receipt.offset.epoch != restored[0].offset.epoch
        assert observer.breaks == [receipt.offset._replace(seq=2)]
        assert observer.ids == ["e"]
        assert await ids(log) == ["a", "b", "e"]
        for old in (*restored, *lost):
            assert (await log.read(old.offset, None, 10)).gap
        (again,) = await append(log, event("c"))
        assert not again.duplicate
        (again,) = await append(log, event("a"))
        assert again.duplicate
        await log.close()
    finally:
        server.stop()


async def test_events_of_a_new_epoch_are_not_taken_for_the_old_one(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """This holds although their seqs continue after the last seq of the old epoch."""
    log, other = [await open_valkey_log(own_valkey.url) for _ in range(2)]
    observer = TailObserver(log)
    await append(log, event("a"), event("b"))
    with own_valkey.client as client:
        client.flushall()
    receipts = await append(other, *(event(f"{number}") for number in range(10)))
    await until(lambda: observer.ids == [f"{number}" for number in range(10)])
    assert observer.offsets == [receipt.offset for receipt in receipts]
    assert observer.breaks == [receipts[0].offset._replace(seq=0)]


# A tail behind the retention.


async def test_the_tail_breaks_if_events_were_trimmed_during_a_cut(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tail continues with the remaining events, in the same epoch."""
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    other = await open_valkey_log(own_valkey.url, Retention(events=5))
    (first,) = await append(log, event("first"))

    async def fail(*commands: Any, **options: Any) -> Any:
        raise CutOffError("cut")

    with monkeypatch.context() as context:
        context.setattr(log._follower._connection, "request", fail)
        log._follower.check_epoch("another")
        for number in range(20):
            await append(other, event(f"e{number}"))
        bounds = await other.bounds()
        assert bounds.oldest.seq == 16
    await until(lambda: len(observer.ids) == 5)
    assert observer.breaks == [first.offset._replace(seq=16)]
    assert observer.ids == [f"e{number}" for number in range(15, 20)]


async def test_a_slow_tail_breaks_if_its_next_events_were_trimmed(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The tail notices it without a cut, from the seqs of the events."""
    log = await open_valkey_log(own_valkey.url)
    other = await open_valkey_log(own_valkey.url, Retention(events=5))
    observer = TailObserver(log)
    await append(log, event("first"))
    held = HeldTail(log)
    await append(other, event("second"))
    await until(lambda: held.waiting)
    for number in range(20):
        await append(other, event(f"{number}"))

    async def is_trimmed() -> bool:
        return (await other.bounds()).oldest.seq == 17

    await eventually(is_trimmed)
    held.gate.set()
    await until(lambda: observer.ids == [f"{number}" for number in range(15, 20)])
    assert [position.seq for position in observer.breaks] == [17]
