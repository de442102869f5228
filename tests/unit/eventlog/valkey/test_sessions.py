"""The Valkey session store: several nodes, cuts, leases, totals, and late requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sio_server.contract.errors import LogUnavailable, SessionsFull
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import Superseded, session_bytes
from sio_server.eventlog.valkey import sessions as valkey_sessions
from sio_server.eventlog.valkey.log import ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.stores import DATA, IDENTITY, ROOMS, change, claim, create, leave
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import is_subscribed, url_through
from tests.unit.eventlog.valkey.session_keys import (
    INDEXES,
    LEASES,
    SESSION,
    TOTALS,
    end_leases,
    groups,
)
from tests.unit.eventlog.waiting import eventually, until

MakeLog = Callable[..., Awaitable[ValkeyLog]]


class SupersededObserver:
    """Records the superseded sessions of which a node learns."""

    def __init__(self, log: ValkeyLog) -> None:
        self.superseded: list[Superseded] = []
        self._task = asyncio.create_task(self._follow(log.sessions.superseded()))

    async def _follow(self, batches: AsyncIterator[list[Superseded]]) -> None:
        async for batch in batches:
            self.superseded += batch


def check_totals(server: Valkey) -> dict[str, int]:
    """Compare the totals with the indexes and the sessions, and return them."""
    with server.client as client:
        totals = {name: int(value) for name, value in client.hgetall(TOTALS).items()}
        indexed = groups(server)
        stored = [key.removeprefix(SESSION) for key in client.scan_iter(f"{SESSION}*", count=1_000)]
        assert sorted(indexed) == sorted(stored)
        lengths = {"connected": 0, "left": 0}
        for key, group in indexed.items():
            fields = client.hgetall(SESSION + key)
            rooms = [name[1:] for name in fields if name.startswith("/")]
            length = session_bytes(fields["identity"], fields["data"], rooms)
            assert (fields["group"], fields["bytes"]) == (group, str(length))
            lengths["connected" if group == "connected" else "left"] += length
        assert {"connected": 0, "left": 0} | totals == lengths
        return lengths


async def test_the_totals_follow_from_the_sessions(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """This holds after every kind of call, and after every kind of drop."""
    sessions = (await open_valkey_log(own_valkey.url, Retention(100_000, sessions=3))).sessions
    for key in "abcdefg":
        await create(sessions, key)
    await change(sessions, "a", "first", "ñ", "catalog", removed=["material:roble", "unknown"])
    await sessions.end("b", "first")
    assert check_totals(own_valkey)["left"] == 0
    for key in "cdefg":
        await leave(sessions, key, data="shorter" if key == "e" else "")
    for _ in range(2):
        await leave(sessions, "g")
    assert check_totals(own_valkey)["left"] > 0
    await claim(sessions, "e", "second")
    await claim(sessions, "f", "second", "key")
    await sessions.leave("e", "second", "", {"a": 1}, ["catalog"])
    check_totals(own_valkey)
    await sessions.end("f", "first")
    end_leases(own_valkey)
    other = (await open_valkey_log(own_valkey.url, Retention(100_000, sessions=3))).sessions
    await create(other, "h")
    assert check_totals(own_valkey)["connected"] > 0
    with own_valkey.client as client:
        assert client.zrange(INDEXES["brief"], 0, -1) == ["a", "g", "e"]
        for index in (LEASES, INDEXES["brief"], INDEXES["long"]):
            for member in client.zrange(index, 0, -1):
                client.zincrby(index, -200_000e6, member)
    await sessions.end("unknown", "first")
    assert check_totals(own_valkey) == {"connected": 0, "left": 0}


async def test_a_restored_older_state_has_its_own_totals(
    tmp_path: Path, open_valkey_log: MakeLog
) -> None:
    """The sessions, the indexes and the totals are all as old as each other."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    log = await open_valkey_log(server.url, Retention(100))
    sessions = log.sessions
    for key in "abc":
        await create(sessions, key)
    await leave(sessions, "a")
    with server.client as client:
        client.save()
    old = check_totals(server)
    await sessions.end("a", "first")
    await change(sessions, "b", "first", "more")
    await leave(sessions, "c")
    await create(sessions, "d")
    assert check_totals(server) != old
    server.kill()
    server.start()
    assert check_totals(server) == old
    assert await change(sessions, "b", "first", "again")
    assert await leave(sessions, "c")
    assert await claim(sessions, "a", "second") is not None
    assert not await change(sessions, "d", "first", "lost")
    check_totals(server)
    await log.close()
    server.stop()


async def test_a_node_that_was_away_needs_space_for_its_sessions(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """Until there is space, they stay among the left sessions."""
    length = session_bytes(IDENTITY, DATA, ROOMS)
    retention = Retention(100_000, session_bytes=length)
    log, other = [await open_valkey_log(own_valkey.url, retention) for _ in range(2)]
    await create(log.sessions, "away")
    end_leases(own_valkey, log._sessions._lease.number)
    await log._sessions._run("sweep")
    assert await create(other.sessions, "new")
    await log._sessions._lease.extend()
    for removed in ((), ("catalog",)):
        with pytest.raises(SessionsFull):
            await change(log.sessions, "away", "first", "room", removed=removed)
    with own_valkey.client as client:
        assert client.zrange(INDEXES["brief"], 0, -1) == ["away"]
        await other.sessions.end("new", "first")
        await log._sessions._lease.renew()
        assert client.zrange(INDEXES["connected"], 0, -1) == ["away"]
    check_totals(own_valkey)


async def test_one_request_settles_a_bounded_number_of_sessions(
    own_valkey: Valkey, open_valkey_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next ones settle the others. Meanwhile all sessions together stay within both bounds."""
    monkeypatch.setattr(valkey_sessions, "MAX_SETTLED_SESSIONS", 10)
    monkeypatch.setattr(valkey_sessions, "EXTENSION_SECONDS", 3_600)
    length = session_bytes(IDENTITY, DATA, ROOMS)
    log = await open_valkey_log(own_valkey.url, Retention(100_000, session_bytes=30 * length))
    for number in range(60):
        await create(log.sessions, f"{number:02}")
        if number < 30:
            await leave(log.sessions, f"{number:02}")
    assert check_totals(own_valkey) == {"connected": 30 * length, "left": 30 * length}
    end_leases(own_valkey)
    with own_valkey.client as client:
        for moved in (10, 20, 30):
            assert await log._sessions._run("sweep") == 10
            left = 30 * length
            assert check_totals(own_valkey) == {"connected": left - moved * length, "left": left}
            assert client.zcard(INDEXES["brief"]) == 30
        assert await log._sessions._run("sweep") == 0
        fewer = await open_valkey_log(own_valkey.url, Retention(100_000, sessions=5))
        await until(lambda: client.zcard(INDEXES["brief"]) == 5)
        await fewer.close()
        many = [create(log.sessions, f"more {number}") for number in range(25)]
        assert all(await asyncio.gather(*many))
        end_leases(own_valkey)
        retention = Retention(100_000, session_bytes=15 * length)
        smaller = await open_valkey_log(own_valkey.url, retention)
        await until(lambda: check_totals(own_valkey) == {"connected": 0, "left": 15 * length})
        assert await create(smaller.sessions, "fits")
    check_totals(own_valkey)


async def test_new_sessions_wait_until_left_ones_are_dropped(
    own_valkey: Valkey, open_valkey_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise all sessions together could exceed both bounds."""
    monkeypatch.setattr(valkey_sessions, "MAX_SETTLED_SESSIONS", 1)
    monkeypatch.setattr(valkey_sessions, "EXTENSION_SECONDS", 3_600)
    length = session_bytes(IDENTITY, DATA, {})
    log = await open_valkey_log(own_valkey.url, Retention(100_000, session_bytes=20 * length))
    for number in range(20):
        await create(log.sessions, f"{number:02}", rooms={})
        await leave(log.sessions, f"{number:02}")
    room = "r" * (10 * length - session_bytes(IDENTITY, DATA, [""]))
    for key in "ab":
        assert await create(log.sessions, key, rooms={room: 0})
    await leave(log.sessions, "a")
    await leave(log.sessions, "b")
    assert check_totals(own_valkey) == {"connected": 0, "left": 38 * length}
    assert not await create(log.sessions, "c", rooms={room: 0})
    while check_totals(own_valkey)["left"] > 30 * length:
        assert not await create(log.sessions, "c", rooms={room: 0})
    assert await create(log.sessions, "c", rooms={room: 0})
    check_totals(own_valkey)


async def test_a_claim_during_a_cut_is_noticed_after_it(
    own_valkey: Valkey,
    proxy: LossyProxy,
    open_valkey_log: MakeLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message is lost, but the node compares its sessions' owners when it reconnects."""
    monkeypatch.setattr(valkey_sessions, "EXTENSION_SECONDS", 3_600)
    log = await open_valkey_log(url_through(proxy))
    other = await open_valkey_log(own_valkey.url)
    observed = SupersededObserver(log)
    await create(log.sessions, "key", "first")
    await create(log.sessions, "other", "first")
    proxy.open = False
    proxy.cut()
    await until(lambda: log._sessions._connection._connection is None)
    with pytest.raises(LogUnavailable):
        await change(log.sessions, "key", "first", "room")
    assert await claim(other.sessions, "key", "second") is not None
    proxy.open = True
    await until(lambda: observed.superseded == [Superseded("key", "second")])
    await claim(other.sessions, "other", "third")
    await until(lambda: observed.superseded[1:] == [Superseded("other", "third")])


async def test_a_silent_channel_is_opened_again(
    own_valkey: Valkey, open_valkey_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim is noticed even if the connection is open but silent."""
    monkeypatch.setattr(valkey_sessions, "PING_SECONDS", 0.02)
    monkeypatch.setattr(valkey_sessions, "EXTENSION_SECONDS", 3_600)
    proxy = LossyProxy(own_valkey.port)
    await proxy.start()
    log = await open_valkey_log(url_through(proxy))
    other = await open_valkey_log(own_valkey.url)
    observed = SupersededObserver(log)
    await create(log.sessions, "key", "first")
    proxy.silence()
    await claim(other.sessions, "key", "second")
    await until(lambda: Superseded("key", "second") in observed.superseded)
    await log.close()
    await proxy.stop()


async def test_a_late_create_does_not_undo_a_claim(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The server may execute a request of a broken connection after the session was claimed."""
    log = await open_valkey_log(own_valkey.url)
    await create(log.sessions, "key", "first")
    await claim(log.sessions, "key", "second")
    await create(log.sessions, "key", "first", "old")
    assert await change(log.sessions, "key", "second", "new")


async def test_sessions_survive_a_restart_of_the_server(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The node subscribes again and learns of the next claim, maybe twice: also by a touch."""
    log = await open_valkey_log(own_valkey.url)
    await create(log.sessions, "key", "first")
    own_valkey.kill()
    own_valkey.start()
    observed = SupersededObserver(log)

    await eventually(lambda: is_subscribed(own_valkey))
    assert await claim(log.sessions, "key", "second") is not None
    await until(lambda: set(observed.superseded) == {Superseded("key", "second")})
