"""The Valkey event log as a whole: restarts and absences of its server, retention, closing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Event, Receipt
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.valkey import log as valkey_log
from sio_server.eventlog.valkey import script as valkey_script
from sio_server.eventlog.valkey import writer as valkey_writer
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.server import ROOT
from tests.support.stores import change, claim, create, leave
from tests.support.valkey import COMMANDS, Valkey
from tests.unit.eventlog.valkey.observing import TailObserver, append, is_subscribed
from tests.unit.eventlog.waiting import append_when_possible, eventually, until

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]
Ids = Callable[[EventLog], Awaitable[list[str]]]

# Restarts.


async def test_a_restart_of_the_server_loses_nothing(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """Epoch, ids, states and numbering are the same, and the tail continues without a break."""
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    (first,) = await append(log, event("a", material="roble"))
    own_valkey.stop()
    with pytest.raises(LogUnavailable):
        await log.bounds()
    with pytest.raises(LogUnavailable):
        await log.append([event("refused")])
    own_valkey.start()
    second = await append_when_possible(log, event("b", material="pino"))
    assert second.offset == first.offset._replace(seq=2)
    (again,) = await append(log, event("a", material="roble"))
    assert again == Receipt("a", first.offset, first.timestamp, duplicate=True)
    assert await ids(log) == ["a", "b"]
    page = await log.read(first.offset, ["material:roble"], 10)
    assert [record.offset for record in page.records] == [second.offset]
    await until(lambda: observer.ids == ["a", "b"])
    assert observer.breaks == []


async def test_a_killed_server_has_every_acknowledged_event_once(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """Appends during the kill wait until their outcome is known; no answer is wrong."""
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    acknowledged: list[str] = []
    refused: list[str] = []
    stop = asyncio.Event()

    async def produce(name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            one, other = f"{name}-{number}", f"{name}-{number}'"
            try:
                receipts = await append(log, event(one), event(other))
            except LogUnavailable:
                refused.extend((one, other))
                await asyncio.sleep(0.001)
            else:
                assert not any(receipt.duplicate for receipt in receipts)
                acknowledged.extend((one, other))

    producers = [asyncio.create_task(produce(f"p{number}")) for number in range(5)]
    for _ in range(3):
        target = len(acknowledged) + 50
        await until(lambda target=target: len(acknowledged) > target)
        own_valkey.kill()
        await until(lambda: log._follower._failing)
        own_valkey.start()
    target = len(acknowledged) + 50
    await until(lambda: len(acknowledged) > target)
    stop.set()
    await asyncio.gather(*producers)
    stored = await ids(log)
    assert sorted(stored) == sorted(acknowledged)
    assert not set(stored) & set(refused)
    await until(lambda: observer.ids == stored)
    assert observer.breaks == []
    assert [offset.seq for offset in observer.offsets] == list(range(1, len(stored) + 1))


async def test_a_log_opens_before_its_server_runs(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The log is unavailable until it reaches the server, and then works without a restart."""
    own_valkey.stop()
    log = await open_valkey_log(own_valkey.url)
    observer = TailObserver(log)
    for call in (
        log.append([event("refused")]),
        log.read(None, None, 1),
        log.bounds(),
        create(log.sessions, "key", "owner", "data"),
    ):
        with pytest.raises(LogUnavailable):
            await call
    own_valkey.start()
    receipt = await append_when_possible(log, event("a"))
    await until(lambda: observer.ids == ["a"])
    assert observer.breaks == [receipt.offset._replace(seq=0)]
    superseded = log.sessions.superseded()
    await create(log.sessions, "key", "owner", "data")
    await eventually(lambda: is_subscribed(own_valkey))
    await claim(log.sessions, "key", "new")
    async with asyncio.timeout(20):
        # The claim's message and the new lease of the late start may both tell of it.
        assert set(await anext(superseded)) == {("key", "new")}


async def test_a_log_that_was_never_reached_closes_at_once(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """Its tails end."""
    own_valkey.stop()
    log = await open_valkey_log(own_valkey.url)
    tail = log.tail()
    async with asyncio.timeout(valkey_writer.CLOSE_TIMEOUT_SECONDS):
        await log.close()
    assert [records async for records in tail] == []


# The server's limits.


def contents(client: redis.Redis) -> dict[str, bytes]:
    """Return the value of every key, as the server would write it to a snapshot."""
    binary = redis.Redis(port=client.connection_pool.connection_kwargs["port"])
    with binary:
        return {str(key): binary.dump(key) for key in client.scan_iter()}


async def test_a_full_server_refuses_appends_and_loses_nothing(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """If the server has no memory, no key changes. Reads still work."""
    retention = Retention(events=3, pieces=2)
    log = await open_valkey_log(own_valkey.url, retention, sweep_seconds=3_600)
    await append(log, *(event(f"{number}", furniture_id=f"{number}") for number in range(3)))
    deletion = Event("furniture_deleted", event(furniture_id="2").furniture, "deletion")
    with own_valkey.client as client:
        client.config_set("maxmemory", "1mb")
        before = contents(client)
        for call in ([event(), event()], [deletion], [event("2", furniture_id="2"), event()]):
            with pytest.raises(LogUnavailable):
                await log.append(call)
        with pytest.raises(LogUnavailable):
            await log.check_writable()
        assert contents(client) == before
        assert await ids(log) == ["0", "1", "2"]
        assert (await log.bounds()).position.seq == 3
        client.config_set("maxmemory", "0")
    await log.check_writable()
    (receipt,) = await append(log, event("c"))
    assert (receipt.offset.seq, receipt.duplicate) == (4, False)


async def test_a_full_server_is_trimmed_and_not_writable(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Old events are removed, which frees memory; a check removes none and so shows the truth."""
    now = 1_700_000_000.0
    log = await open_valkey_log(own_valkey.url, clock=lambda: now, sweep_seconds=3_600)
    await append(log, *(event() for _ in range(10)))
    with own_valkey.client as client:
        client.config_set("maxmemory", "1mb")
        now += 100_000
        with pytest.raises(LogUnavailable):
            await log.check_writable()
        await log._sweep_once()
        assert (await log.bounds()).oldest.seq == 10


async def test_a_restored_older_state_is_noticed_on_a_full_server(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Reads get a new epoch, although the server has no memory for new data."""
    log = await open_valkey_log(own_valkey.url)
    receipts = await append(log, event("a"), event("b"))
    epoch = receipts[0].offset.epoch
    with own_valkey.client as client:
        client.config_set("maxmemory", "1mb")
        client.eval(
            "redis.call('XDEL', KEYS[1], '2-0'); redis.call('HINCRBY', KEYS[2], 'last', -1)",
            2,
            f"{PREFIX}:events",
            f"{PREFIX}:log",
        )
        await until(lambda: client.hget(f"{PREFIX}:log", "epoch") != epoch)
    bounds = await log.bounds()
    assert bounds.position.epoch != epoch
    assert (await log.read(receipts[1].offset, None, 10)).gap


# Reads.


async def test_a_node_sends_one_read_at_a_time(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So an append waits for one of them at most, however many consumers catch up."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, *(event() for _ in range(10)))
    run_script, running, most = log._pool.run_script, 0, 0

    async def count(*arguments: Any) -> Any:
        nonlocal running, most
        if "read" not in arguments:
            return await run_script(*arguments)
        running += 1
        most = max(most, running)
        answer = await run_script(*arguments)
        running -= 1
        return answer

    monkeypatch.setattr(log._pool, "run_script", count)
    pages = await asyncio.gather(*(log.read(None, None, 10) for _ in range(20)))
    assert [len(page.records) for page in pages] == [10] * 20
    assert most == 1


async def test_a_read_examines_a_bounded_number_of_bytes(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Valkey copies whole events, so that large ones of other rooms count too."""
    log = await open_valkey_log(own_valkey.url)
    small = [event(descripcion="") for _ in range(8)]
    await append(log, *small, *(event(descripcion="x" * 60_000) for _ in range(100)))
    page = await log.read(None, ["material:pino"], 100)
    assert page.records == []
    # A mebibyte, and at most one request that was estimated by small events.
    assert 8 < page.position.seq <= 8 + 32


async def test_the_documented_rights_suffice(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """Without the right to its keys, the server refuses the appends."""
    page = (ROOT / "docs" / "valkey.md").read_text()
    assert all(f"`{command.upper()}`" in page for command in COMMANDS.split())
    scripts = "".join(path.read_text() for path in Path(valkey_log.__file__).parent.glob("*.lua"))
    called = set(re.findall(r"redis\.p?call\(\s*'(\w+)'", scripts))
    assert called <= {command.upper() for command in COMMANDS.split()}
    own_valkey.add_user("few", "hunter2")
    with own_valkey.client as client:
        log = await open_valkey_log(
            f"redis://few:hunter2@127.0.0.1:{own_valkey.port}/0", Retention(events=2, pieces=1)
        )
        observer = TailObserver(log)
        client.hset(f"{PREFIX}:pieces", "of an earlier version", "")
        await append(log, event("a"), event("b", furniture_id="silla"), event("c"))
        await log.check_writable()
        await until(lambda: client.xlen(f"{PREFIX}:events") == 2)
        assert await ids(log) == observer.ids[1:] == ["b", "c"]
        superseded = log.sessions.superseded()
        await create(log.sessions, "key", "first", "data")
        await claim(log.sessions, "key", "second")
        async with asyncio.timeout(20):
            assert await anext(superseded) == [("key", "second")]
        await change(log.sessions, "key", "second", "data")
        await log._sessions._lease.renew()
        await leave(log.sessions, "key", "second", "data")
        assert await log._sessions._run("sweep") == 0
        await log.sessions.end("key", "second")
        await log.append([Event("furniture_deleted", event().furniture, "gone")])
        client.execute_command("ACL", "SETUSER", "few", "resetkeys")
        with pytest.raises(LogUnavailable):
            await log.append([event("refused")])


# Retention.


async def test_the_pieces_of_an_earlier_version_are_forgotten_first(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """It stored them without their last events. They are known until they exceed the bound."""
    log = await open_valkey_log(own_valkey.url, Retention(pieces=10), sweep_seconds=3_600)
    state = '"material:roble"\n"author:Juan"'
    with own_valkey.client as client:
        client.hset(f"{PREFIX}:pieces", mapping={f"old {number}": state for number in range(10)})
        (receipt,) = await append(log, event(furniture_id="old 0", material="pino"))
        (record,) = (await log.read(receipt.offset._replace(seq=0), None, 1)).records
        assert "material:roble" in record.rooms
        assert record.former is None
        await append(log, *(event(furniture_id=f"{number}") for number in range(4)))
        known = client.hkeys(f"{PREFIX}:pieces")
        assert len(known) == 10
        assert {"old 0", "0", "1", "2", "3"} <= set(known)
        await append(log, *(event(furniture_id=f"{number}") for number in range(4, 11)))
        expected = {f"{number}" for number in range(1, 11)}
        assert set(client.hkeys(f"{PREFIX}:pieces")) == expected
        assert set(client.zrange(f"{PREFIX}:piece_seqs", 0, -1)) == expected
        assert set(client.hkeys(f"{PREFIX}:states")) == expected


async def test_a_state_that_an_earlier_version_has_changed_is_unknown(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """A node of that version stores the rooms and the seq of a state, but not the furniture."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, event())
    with own_valkey.client as client:
        client.hset(f"{PREFIX}:pieces", "mesa", '"material:roble"\n"author:Ana"')
        client.zadd(f"{PREFIX}:piece_seqs", {"mesa": 2})
    await append(log, event(), event(material="pino"))
    first, second = (await log.read(None, ["material:pino", "author:Ana"], 10)).records
    assert first.former is None
    assert second.former == event().furniture_json


async def test_a_sweep_forgets_pieces_in_steps(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """A log whose bound became smaller forgets the rest without an append."""
    log = await open_valkey_log(own_valkey.url, sweep_seconds=3_600)
    for start in (0, 400):
        await append(log, *(event(furniture_id=f"{start + n}") for n in range(400)))
    log._script._retention = Retention(pieces=10)
    known = []
    with own_valkey.client as client:
        for _ in range(2):
            may_have_more = await log._sweep_once()
            known.append((client.hlen(f"{PREFIX}:pieces"), may_have_more))
        assert known == [(800 - valkey_script.MAX_SWEPT, 1), (10, 0)]
        assert set(client.hkeys(f"{PREFIX}:pieces")) == {f"{n}" for n in range(790, 800)}


async def test_large_events_are_trimmed_in_small_steps(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """A step is bounded in bytes too; its answer says that there may be more."""
    now = 1_700_000_000.0
    log = await open_valkey_log(own_valkey.url, clock=lambda: now, sweep_seconds=3_600)
    await append(log, *(event(descripcion="x" * 60_000) for _ in range(100)))
    now += 100_000
    assert await log._sweep_once()
    assert 0 < (await log.bounds()).oldest.seq < 40
    while await log._sweep_once():
        pass
    assert (await log.bounds()).oldest.seq == 100


async def test_trimmed_events_leave_nothing_behind(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Events and their ids go; the state of a piece stays until the piece is deleted."""
    log = await open_valkey_log(own_valkey.url, Retention(events=10))
    for number in range(30):
        await append(log, *(event(furniture_id=f"{number}") for _ in range(10)))
    with own_valkey.client as client:
        await until(lambda: client.xlen(f"{PREFIX}:events") == 10)
        assert client.hlen(f"{PREFIX}:ids") == 10
        pieces = f"{PREFIX}:pieces", f"{PREFIX}:piece_seqs", f"{PREFIX}:states"
        assert client.hlen(pieces[0]) == client.zcard(pieces[1]) == client.hlen(pieces[2]) == 30
        (appended,) = client.scan_iter(f"{PREFIX}:appended:*")
        assert 0 < client.pttl(appended) <= 86_400_000
        deletions = [
            Event(
                "furniture_deleted", event(furniture_id=f"{number}").furniture, f"deletion-{number}"
            )
            for number in range(30)
        ]
        await append(log, *deletions)
        assert not client.exists(*pieces)
        await log.close()
        tag = PREFIX[: PREFIX.index("}") + 1]
        assert all(str(key).startswith(f"{tag}:") for key in client.scan_iter())


async def test_an_append_longer_than_the_retention_reaches_the_tail_whole(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The log removes no event that the tail has not passed."""
    log = await open_valkey_log(own_valkey.url, Retention(events=1))
    observer = TailObserver(log)
    for call in range(20):
        await append(log, *(event(f"{call}-{number}") for number in range(10)))
    assert observer.ids == [f"{call}-{number}" for call in range(20) for number in range(10)]
    assert observer.breaks == []


async def test_an_append_trims_few_more_events_than_it_adds(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """So no append waits until a long log is trimmed; sweeps remove the rest."""
    now = [1_700_000_000.0]
    log = await open_valkey_log(own_valkey.url, clock=lambda: now[0], sweep_seconds=3_600)
    await append(log, *(event() for _ in range(1_000)))
    now[0] += 100_000
    await append(log, event(), event())
    assert (await log.bounds()).oldest.seq == valkey_script.MAX_EXTRA_TRIMMED_EVENTS + 2
    assert await log._sweep_once()  # there may be more
    trimmed = valkey_script.MAX_EXTRA_TRIMMED_EVENTS + 2 + valkey_script.MAX_SWEPT
    assert (await log.bounds()).oldest.seq == trimmed


async def test_reading_large_events_takes_several_pages(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """A page is bounded in bytes too."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, *(event(f"{number}", descripcion="x" * 10_000) for number in range(250)))
    page = await log.read(None, None, 1_000)
    assert not page.at_end
    assert 1 < len(page.records) < 250
    assert page.position == page.records[-1].offset
    assert await ids(log) == [f"{number}" for number in range(250)]


async def test_a_long_sweep_pauses_between_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is four times as long as the step before it, so that appends continue."""
    log = ValkeyLog("redis://127.0.0.1", Retention(events=1), sweep_seconds=3_600)  # never opened
    loop, pauses, steps = asyncio.get_running_loop(), list[float](), list[float]()

    async def run_step() -> bool:
        began = loop.time()
        while loop.time() < began + 0.01:
            await asyncio.sleep(0)
        steps.append(loop.time() - began)
        return len(steps) < 3

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(log, "_sweep_once", run_step)
    monkeypatch.setattr(valkey_log, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": pause}))
    with pytest.raises(asyncio.CancelledError):
        await log._sweep()
    assert pauses[0] >= 4 * steps[0]
    assert pauses[1] >= 4 * steps[1]
    assert pauses[2] == 3_600
