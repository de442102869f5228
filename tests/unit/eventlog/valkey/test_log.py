"""The Valkey event log: its server's restarts, losses and absences."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sio_server.contract.errors import LogUnavailable, StartError
from sio_server.contract.events import Event, Offset, Receipt, Record
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.valkey import connection as valkey_link
from sio_server.eventlog.valkey import follower as valkey_tail
from sio_server.eventlog.valkey import log as valkey
from sio_server.eventlog.valkey import script as valkey_store
from sio_server.eventlog.valkey import writer as valkey_writer
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.server import ROOT
from tests.support.valkey import Valkey
from tests.unit.eventlog.waiting import append_when_possible, eventually, until

CERTIFICATES = ROOT / "tests" / "certificates"

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]
Ids = Callable[[EventLog], Awaitable[list[str]]]


class Follower:
    """Follows a log's tail from now on, and hears of its breaks.

    Attributes:
        ids: of what has come, in order; a break begins it anew.
        offsets: likewise.
        breaks: where the tail went on.
    """

    def __init__(self, log: EventLog) -> None:
        self.ids: list[str] = []
        self.offsets: list[Offset] = []
        self.breaks: list[Offset] = []
        log.on_break = self._break
        self._task = asyncio.create_task(self._follow(log.tail()))

    def _break(self, position: Offset) -> None:
        self.breaks.append(position)
        self.ids.clear()
        self.offsets.clear()

    async def _follow(self, tail: AsyncIterator[list[Record]]) -> None:
        async for records in tail:
            self.ids += [json.loads(record.body)["id"] for record in records]
            self.offsets += [record.offset for record in records]


async def append(log: EventLog, *events: Event) -> list[Receipt]:
    """Append events none of which is refused."""
    answers = await log.append(events)
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    assert len(receipts) == len(events)
    return receipts


# Restarts.


async def test_a_restart_loses_nothing_and_the_tail_goes_on(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """The same epoch, ids, states and numbers; whoever follows needs do nothing."""
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
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
    await until(lambda: follower.ids == ["a", "b"])
    assert follower.breaks == []


async def test_killed_in_the_middle_of_appends_it_has_each_acknowledged_one_once(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """An append is answered once it is known what became of it, and never with a wrong answer."""
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
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
        enough = len(acknowledged) + 50
        await until(lambda enough=enough: len(acknowledged) > enough)
        own_valkey.kill()
        await until(lambda: log._follower._failing)
        own_valkey.start()
    enough = len(acknowledged) + 50
    await until(lambda: len(acknowledged) > enough)
    stop.set()
    await asyncio.gather(*producers)
    kept = await ids(log)
    assert sorted(kept) == sorted(acknowledged)
    assert not set(kept) & set(refused)
    await until(lambda: follower.ids == kept)
    assert follower.breaks == []
    assert [offset.seq for offset in follower.offsets] == list(range(1, len(kept) + 1))


async def test_an_append_during_a_stall_is_waited_for(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that does not answer for long is asked again; what it did meanwhile counts once."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, event("before"))
    monkeypatch.setattr(valkey_link, "ANSWER_TIMEOUT_SECONDS", 0.05)
    assert own_valkey.process is not None
    own_valkey.process.send_signal(signal.SIGSTOP)
    appending = asyncio.create_task(append(log, event("a"), event("b")))
    await until(lambda: log._writer._connection._connection is None)
    own_valkey.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    assert [receipt.duplicate for receipt in await appending] == [False, False]
    assert await ids(log) == ["before", "a", "b"]


async def test_it_is_not_reached_before_it_is_there(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Opening is no failure; the log is unavailable, and goes on by itself once it is there."""
    own_valkey.stop()
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
    for call in (
        log.append([event("refused")]),
        log.read(None, None, 1),
        log.bounds(),
        log.sessions.create("key", "owner", "data"),
    ):
        with pytest.raises(LogUnavailable):
            await call
    own_valkey.start()
    receipt = await append_when_possible(log, event("a"))
    await until(lambda: follower.ids == ["a"])
    assert follower.breaks == [receipt.offset._replace(seq=0)]
    lost = log.sessions.superseded()
    await log.sessions.create("key", "owner", "data")
    await eventually(lambda: is_subscribed(own_valkey))
    await log.sessions.claim("key", "new")
    async with asyncio.timeout(20):
        assert await anext(lost) == [("key", "new")]


async def is_subscribed(server: Valkey) -> bool:
    """Tell whether a node listens to the server's channel."""
    with server.client as client:
        return bool(client.pubsub_numsub(f"{PREFIX}:superseded")[0][1])


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


# What is wrong for good.


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1", "redis://127.0.0.1:port", "redis://127.0.0.1?no_such_option=hunter2"],
)
async def test_a_url_that_can_t_be_used_stops_the_start(url: str) -> None:
    """And is not shown: it may hold a password."""
    with pytest.raises(StartError, match="SIO_EVENT_LOG") as caught:
        await ValkeyLog(url, Retention()).open()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("credentials", ["", ":hunter3@", "nobody:hunter3@"])
async def test_a_refused_password_stops_the_start(
    tmp_path: Path, open_valkey_log: MakeLog, credentials: str
) -> None:
    """None, a wrong one, or a wrong user; the right one doesn't."""
    server = Valkey(tmp_path / "valkey", requirepass="hunter2")
    server.start()
    try:
        with pytest.raises(StartError, match=r"SIO_EVENT_LOG.*refuses") as caught:
            await open_valkey_log(f"redis://{credentials}127.0.0.1:{server.port}/0")
        assert "hunter" not in str(caught.value)
        right = await open_valkey_log(f"valkey://:hunter2@127.0.0.1:{server.port}/0")
        await right.bounds()
        await right.close()
    finally:
        server.stop()


async def test_a_database_that_is_not_there_stops_the_start(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """It has 16."""
    with pytest.raises(StartError, match="SIO_EVENT_LOG"):
        await open_valkey_log(own_valkey.url.replace("/0", "/16"))


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_throws_keys_away_stops_the_start(
    own_valkey: Valkey, open_valkey_log: MakeLog, policy: str
) -> None:
    """Where its memory is bounded; the message says what to set."""
    with own_valkey.client as client:
        client.config_set("maxmemory-policy", policy)
        await (await open_valkey_log(own_valkey.url)).close()
        client.config_set("maxmemory", "100mb")
        with pytest.raises(StartError, match="maxmemory-policy noeviction"):
            await open_valkey_log(own_valkey.url)
        client.config_set("maxmemory-policy", "noeviction")
    await open_valkey_log(own_valkey.url)


async def test_a_full_server_refuses_and_loses_nothing(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """An append that finds no memory is not in the log, whole; reading goes on."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, event("a"))
    with own_valkey.client as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(LogUnavailable):
            await log.append([event("b"), event("c")])
        assert await ids(log) == ["a"]
        client.config_set("maxmemory", "0")
    (receipt,) = await append(log, event("c"))
    assert (receipt.offset.seq, receipt.duplicate) == (2, False)


COMMANDS = (
    "eval evalsha info ping subscribe publish del exists hdel hget hmget hset pexpire unlink xadd "
    "xlen xrange xread xtrim"
)
"""What docs/valkey.md says that a user needs."""


async def test_a_user_with_few_rights_suffices(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """Those that are documented; without one to a key the start stops or the append is refused."""
    page = (ROOT / "docs" / "valkey.md").read_text()
    assert all(f"`{command.upper()}`" in page for command in COMMANDS.split())
    rights = [f"+{command}" for command in COMMANDS.split()]
    with own_valkey.client as client:
        client.execute_command(
            *("ACL", "SETUSER", "few", "on", ">hunter2", f"~{PREFIX}:*", f"&{PREFIX}:superseded"),
            *("-@all", *rights),
        )
        log = await open_valkey_log(
            f"redis://few:hunter2@127.0.0.1:{own_valkey.port}/0", Retention(events=2)
        )
        follower = Follower(log)
        await append(log, event("a"), event("b"), event("c"))
        await until(lambda: client.xlen(f"{PREFIX}:events") == 2)
        assert await ids(log) == follower.ids[1:] == ["b", "c"]
        lost = log.sessions.superseded()
        await log.sessions.create("key", "first", "data")
        await log.sessions.claim("key", "second")
        async with asyncio.timeout(20):
            assert await anext(lost) == [("key", "second")]
        await log.sessions.change("key", "second", "data")
        await log._sessions._touch()
        await log.sessions.leave("key", "second", "data")
        await log.sessions.end("key", "second")
        await log.append([Event("furniture_deleted", event().furniture, "gone")])
        client.execute_command("ACL", "SETUSER", "few", "resetkeys")
        with pytest.raises(LogUnavailable):
            await log.append([event("refused")])


# A log that was lost.


async def is_at(log: EventLog, seq: int, *, not_of: str) -> bool:
    """Tell whether the log ends there, in another epoch."""
    with suppress(LogUnavailable):
        position = (await log.bounds()).position
        return position.seq == seq and position.epoch != not_of
    return False


@pytest.mark.parametrize("lost", ["everything", "the log", "its events"])
async def test_a_lost_log_begins_anew(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids, lost: str
) -> None:
    """With another epoch, so that offsets of before are a gap; the tail breaks and goes on."""
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
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
    assert follower.breaks == [receipt.offset._replace(seq=0)]
    assert follower.ids == ["a"]
    for offset in (old, old._replace(seq=1), old._replace(seq=0)):
        page = await log.read(offset, None, 10)
        assert page.gap
        assert page.position == receipt.offset
    assert await ids(log) == ["a"]


async def test_a_break_comes_before_what_follows_it_and_after_nothing(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """What a consumer had not taken yet of the old epoch does not come after the break."""
    log = await open_valkey_log(own_valkey.url)
    tail = log.tail()
    await append(log, event("a"))
    with own_valkey.client as client:
        client.flushall()
    (receipt,) = await append(log, event("b"))
    assert [record.offset for record in await anext(tail)] == [receipt.offset]


async def test_a_lost_log_is_noticed_while_nobody_appends(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Whoever is live must not believe for long that nothing happens."""
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
    await append(log, event("a"))
    with own_valkey.client as client:
        client.flushall()
    await until(lambda: len(follower.breaks) == 1)
    assert follower.breaks == [(await log.bounds()).position]


@pytest.mark.parametrize("first", ["append", "read", "bounds"])
async def test_whoever_sees_a_loss_tells_the_tail(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    event: MakeEvent,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    """However long that waits for events at a time."""
    monkeypatch.setattr(valkey_tail, "BLOCK_SECONDS", 60.0)
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
    await append(log, event("a"))
    with own_valkey.client as client:
        client.flushall()
    if first == "append":
        await append(log, event("b"))
    elif first == "read":
        await log.read(None, None, 0)
    else:
        await log.bounds()
    await until(lambda: len(follower.breaks) == 1)


async def test_a_doubt_is_kept_until_the_tail_has_looked(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come when the tail asks for nothing that could be broken off."""
    monkeypatch.setattr(valkey_tail, "BLOCK_SECONDS", 60.0)
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
    publish = log._follower._publish

    def lose(records: Sequence[Record]) -> None:
        publish(records)
        with own_valkey.client as client:
            client.flushall()
        log._follower.check_epoch("another")

    monkeypatch.setattr(log._follower, "_publish", lose)
    await append(log, event("a"))
    await until(lambda: len(follower.breaks) == 1)


async def test_a_restart_without_persistence_is_a_loss(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """The log begins anew."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    try:
        log = await open_valkey_log(server.url)
        follower = Follower(log)
        (first,) = await append(log, event("a"))
        server.kill()
        server.start()
        receipt = await append_when_possible(log, event("b"))
        assert receipt.offset.epoch != first.offset.epoch
        assert receipt.offset.seq == 1
        await until(lambda: follower.ids == ["b"])
        assert len(follower.breaks) == 1
        await log.close()
    finally:
        server.stop()


@pytest.mark.parametrize("first", ["append", "bounds", "tail"])
async def test_an_older_state_that_is_restored_is_another_epoch(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids, first: str
) -> None:
    """No offset names two events: those after the restored ones are of another epoch.

    What is there stays, whoever notices first.
    """
    server = Valkey(tmp_path / "valkey")
    server.start()
    try:
        log = await open_valkey_log(server.url)
        follower = Follower(log)
        kept = await append(log, event("a"), event("b"))
        with server.client as client:
            client.save()
        lost = await append(log, event("c"), event("d"))
        server.kill()
        server.start()
        if first == "append":
            receipt = await append_when_possible(log, event("e"))
        elif first == "bounds":
            await eventually(lambda: is_at(log, 2, not_of=kept[0].offset.epoch))
            (receipt,) = await append(log, event("e"))
        else:
            await until(lambda: len(follower.breaks) == 1)
            (receipt,) = await append(log, event("e"))
        assert receipt.offset.seq == 3
        assert receipt.offset.epoch != kept[0].offset.epoch
        assert follower.breaks == [receipt.offset._replace(seq=2)]
        assert follower.ids == ["e"]
        assert await ids(log) == ["a", "b", "e"]
        for old in (*kept, *lost):
            assert (await log.read(old.offset, None, 10)).gap
        (again,) = await append(log, event("c"))
        assert not again.duplicate
        (again,) = await append(log, event("a"))
        assert again.duplicate
        await log.close()
    finally:
        server.stop()


async def test_a_tail_that_the_retention_has_overtaken_breaks(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on with what is kept; the epoch is the same."""
    log = await open_valkey_log(own_valkey.url)
    follower = Follower(log)
    other = await open_valkey_log(own_valkey.url, Retention(events=5))
    (first,) = await append(log, event("first"))

    async def fail(*commands: Any, **options: Any) -> Any:
        raise valkey_writer.CutOffError("cut")

    with monkeypatch.context() as context:
        context.setattr(log._follower._connection, "request", fail)
        log._follower.check_epoch("look")
        for number in range(20):
            await append(other, event(f"e{number}"))
        bounds = await other.bounds()
        assert bounds.oldest.seq == 16
    await until(lambda: len(follower.ids) == 5)
    assert follower.breaks == [first.offset._replace(seq=16)]
    assert follower.ids == [f"e{number}" for number in range(15, 20)]


# What it keeps.


async def test_what_is_beyond_the_retention_leaves_nothing(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Neither events nor their ids; a state stays until its piece is deleted."""
    log = await open_valkey_log(own_valkey.url, Retention(events=10))
    for number in range(30):
        await append(log, *(event(furniture_id=f"{number}") for _ in range(10)))
    with own_valkey.client as client:
        await until(lambda: client.xlen(f"{PREFIX}:events") == 10)
        assert client.hlen(f"{PREFIX}:ids") == 10
        assert client.hlen(f"{PREFIX}:pieces") == 30
        (appended,) = client.scan_iter(f"{PREFIX}:appended:*")
        assert 0 < client.pttl(appended) <= 86_400_000
        gone = [
            Event("furniture_deleted", event(furniture_id=f"{number}").furniture, f"gone-{number}")
            for number in range(30)
        ]
        await append(log, *gone)
        assert client.hlen(f"{PREFIX}:pieces") == 0
        await log.close()
        tag = PREFIX[: PREFIX.index("}") + 1]
        assert all(str(key).startswith(f"{tag}:") for key in client.scan_iter())


async def test_an_append_that_is_longer_than_the_retention_reaches_the_tail(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """Whole: nothing goes that the tail has not passed."""
    log = await open_valkey_log(own_valkey.url, Retention(events=1))
    follower = Follower(log)
    for call in range(20):
        await append(log, *(event(f"{call}-{number}") for number in range(10)))
    assert follower.ids == [f"{call}-{number}" for call in range(20) for number in range(10)]
    assert follower.breaks == []


async def test_an_append_trims_no_more_than_a_little_beside_as_many_as_come(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """So that none waits for a log that shrinks; the rest goes in steps of its own."""
    now = [1_700_000_000.0]
    log = await open_valkey_log(own_valkey.url, clock=lambda: now[0], sweep_seconds=3_600)
    await append(log, *(event() for _ in range(1_000)))
    now[0] += 100_000
    await append(log, event(), event())
    assert (await log.bounds()).oldest.seq == valkey_store.MAX_EXTRA_TRIMMED_EVENTS + 2
    assert int(await log._call(log._script.sweep_call())) == valkey_store.MAX_SWEPT_EVENTS


async def test_reading_large_events_takes_several_pages(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, ids: Ids
) -> None:
    """A page has a bound in bytes too."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, *(event(f"{number}", descripcion="x" * 10_000) for number in range(250)))
    page = await log.read(None, None, 1_000)
    assert not page.at_end
    assert 1 < len(page.records) < 250
    assert page.position == page.records[-1].offset
    assert await ids(log) == [f"{number}" for number in range(250)]


# Ways to reach it.


@pytest.mark.parametrize("trusted", [True, False])
async def test_it_is_reached_over_tls(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent, trusted: bool
) -> None:
    """Where its certificate is trusted; else it counts as not reached."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "localhost.pem", CERTIFICATES / "localhost.key")
    pipes: set[asyncio.Task[None]] = set()

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
        sink.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", own_valkey.port)
        for source, sink in ((reader, to_writer), (to_reader, writer)):
            pipes.add(asyncio.create_task(pass_on(source, sink)))

    front = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    port = front.sockets[0].getsockname()[1]
    trust = f"?ssl_ca_certs={CERTIFICATES / 'localhost.pem'}" if trusted else ""
    log = await open_valkey_log(f"valkeys://localhost:{port}/0{trust}")
    if trusted:
        (receipt,) = await append(log, event("a"))
        assert receipt.offset.seq == 1
    else:
        with pytest.raises(LogUnavailable):
            await log.bounds()
    await log.close()
    front.close()
    await asyncio.gather(*pipes)


async def test_it_is_reached_through_a_socket(
    tmp_path: Path, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """And in another database, which is another log."""
    folder = Path(tempfile.mkdtemp())  # pytest's own are too long for a socket's name
    server = Valkey(tmp_path / "valkey", unixsocket=str(folder / "valkey.sock"))
    server.start()
    try:
        logs = [
            await open_valkey_log(f"unix://{folder}/valkey.sock?db={number}") for number in (0, 1)
        ]
        first, second = [(await append(log, event("a")))[0] for log in logs]
        assert first.offset.seq == second.offset.seq == 1
        assert first.offset.epoch != second.offset.epoch
        for log in logs:
            await log.close()
    finally:
        server.stop()
        shutil.rmtree(folder)


async def test_a_long_sweep_rests_between_its_steps(
    own_valkey: Valkey,
    open_valkey_log: MakeLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four times as long as each took, so that appends go on."""
    log = await open_valkey_log(own_valkey.url, Retention(events=1), sweep_seconds=3_600)
    loop, pauses, steps = asyncio.get_running_loop(), list[float](), list[float]()

    async def ask(request: object) -> str:
        began = loop.time()
        while loop.time() < began + 0.01:
            await asyncio.sleep(0)
        steps.append(loop.time() - began)
        return str(valkey_store.MAX_SWEPT_EVENTS if len(steps) < 3 else 0)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(log, "_call", ask)
    monkeypatch.setattr(valkey, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": pause}))
    with pytest.raises(asyncio.CancelledError):
        await log._sweep()
    assert [it >= 4 * step for it, step in zip(pauses[:2], steps[:2], strict=True)] == [True, True]
    assert pauses[2] == 3_600
