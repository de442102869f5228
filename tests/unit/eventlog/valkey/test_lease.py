"""A node's lease in Valkey: which sessions count as connected, and when the others were left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.valkey import lease as valkey_lease
from sio_server.eventlog.valkey import sessions as valkey_sessions
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.proxy import proxied
from tests.support.stores import change, claim, create, leave
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import url_through
from tests.unit.eventlog.valkey.session_keys import (
    INDEXES,
    LEASES,
    SESSION,
    end_leases,
    groups,
    leases,
)
from tests.unit.eventlog.waiting import eventually, until

MakeLog = Callable[..., Awaitable[ValkeyLog]]


@pytest.fixture(autouse=True)
def no_extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is extended only when a test says so."""
    monkeypatch.setattr(valkey_sessions, "EXTENSION_SECONDS", 3_600)


def scripts_run(server: Valkey) -> int:
    """Return how many scripts the server has run."""
    with server.client as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


async def end_and_sweep(log: ValkeyLog, server: Valkey, *ended: int) -> None:
    """End some leases, or all of them, and let a node notice it."""
    end_leases(server, *ended)
    await log._sessions._run("sweep")


async def test_a_session_lives_while_its_node_lives(
    own_valkey: Valkey, open_valkey_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node extends its lease, however short the retention. Sessions outlive it briefly."""
    monkeypatch.setattr(valkey_lease, "MAX_EXTENSIONS", 3)
    log = await open_valkey_log(own_valkey.url, Retention(0.8))
    await open_valkey_log(own_valkey.url, Retention(0.8))
    for number in range(500):  # more than are touched at a time
        await create(log.sessions, f"key{number}")
    with own_valkey.client as client:
        name = f"{PREFIX}:passed"
        client.set(name, "", px=2_000)  # the server's own time: longer than a lease and a lifetime
        await until(lambda: not client.exists(name))
        assert list(groups(own_valkey).values()) == ["connected"] * 500
        await log.close()
        await until(lambda: not client.keys(f"{SESSION}*"))
    assert groups(own_valkey) == {}


async def test_one_request_extends_the_lease_of_all_sessions(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """Only after some extensions, the node takes a new lease and touches its sessions."""
    log = await open_valkey_log(own_valkey.url, sweep_seconds=3_600)
    lease = log._sessions._lease
    for number in range(300):
        await create(log.sessions, f"{number}")
    first, before, ends = lease.number, scripts_run(own_valkey), leases(own_valkey)
    for _ in range(valkey_lease.MAX_EXTENSIONS):
        await lease.extend()
    assert scripts_run(own_valkey) - before == valkey_lease.MAX_EXTENSIONS
    assert leases(own_valkey).keys() == ends.keys() == {first}
    assert leases(own_valkey)[first] > ends[first]
    await lease.extend()
    assert lease.number != first
    assert leases(own_valkey).keys() == {first, lease.number}
    await end_and_sweep(log, own_valkey, first)
    assert list(groups(own_valkey).values()) == ["connected"] * 300
    assert leases(own_valkey).keys() == {lease.number}


async def test_the_sessions_of_a_node_without_a_lease_have_left_since_its_end(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The sessions of other nodes stay connected."""
    dead = await open_valkey_log(own_valkey.url)
    alive = await open_valkey_log(own_valkey.url)
    await create(dead.sessions, "dead")
    await create(alive.sessions, "alive")
    await create(dead.sessions, "taken")
    await claim(alive.sessions, "taken", "second")
    with own_valkey.client as client:
        ended = (client.time()[0] - 30) * 1e6
        client.zadd(LEASES, {str(dead._sessions._lease.number): ended})
        await alive._sessions._run("sweep")
        assert groups(own_valkey) == {"dead": "brief", "alive": "connected", "taken": "connected"}
        assert client.zscore(INDEXES["brief"], "dead") == ended


async def test_a_new_lease_has_the_nodes_own_sessions_only(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """It neither revives an ended session nor takes one from its new owner."""
    log = await open_valkey_log(own_valkey.url)
    claims = log.sessions.superseded()
    lease = log._sessions._lease
    for key in ("ended", "claimed", "left", "own"):
        await create(log.sessions, key)
    await leave(log.sessions, "left")
    await log.sessions.end("ended", "first")
    lease.owners |= {"left": "first", "ended": "first"}  # as if the calls had not returned yet
    former = lease.number
    with own_valkey.client as client:
        client.hset(f"{SESSION}claimed", "owner", "second")
        await lease.renew()
        assert client.hget(f"{SESSION}claimed", "owner") == "second"
        numbers = dict(client.zrange(INDEXES["connected"], 0, -1, withscores=True))
    assert numbers == {"claimed": former, "own": lease.number}
    async with asyncio.timeout(20):
        assert await anext(claims) == [("claimed", "second")]
    assert lease.owners == {"left": "first", "own": "first"}


async def test_a_node_that_was_away_has_its_sessions_again(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """Its lease had ended, and another node has counted its sessions as left."""
    log = await open_valkey_log(own_valkey.url, Retention(100_000))
    for key in ("key", "left"):
        await create(log.sessions, key)
    await leave(log.sessions, "left")
    log._sessions._lease.owners["left"] = "first"  # as if the call had not returned yet
    await end_and_sweep(log, own_valkey)
    assert await change(log.sessions, "key", "first", "room")
    await create(log.sessions, "new")
    assert set(groups(own_valkey).values()) == {"brief"}, "it has no lease yet"
    assert await claim(log.sessions, "new", "second") is not None
    await log._sessions._lease.extend()
    assert groups(own_valkey) == {"key": "connected", "new": "connected", "left": "brief"}


async def test_a_node_that_was_cut_off_takes_its_sessions_back(
    own_valkey: Valkey, proxy: LossyProxy, open_valkey_log: MakeLog
) -> None:
    """It does so when it reaches Valkey again, also if Valkey was away when the node started."""
    proxy.open = False
    log = await open_valkey_log(url_through(proxy))
    for key in "ab":
        proxy.open = True
        await eventually(partial(created, log, key))
        await until(lambda: set(groups(own_valkey).values()) == {"connected"})
        proxy.open = False
        proxy.cut()
        await end_and_sweep(await open_valkey_log(own_valkey.url), own_valkey)
        assert set(groups(own_valkey).values()) == {"brief"}
    proxy.open = True
    await until(lambda: groups(own_valkey) == {"a": "connected", "b": "connected"})


async def created(log: ValkeyLog, key: str) -> bool:
    """Create a session; return whether the log was available."""
    try:
        return await create(log.sessions, key)
    except LogUnavailable:
        return False


@pytest.mark.parametrize("step", ["create", "claim", "leave", "end"])
async def test_a_session_whose_call_failed_does_not_stay_connected(
    own_valkey: Valkey, proxy: LossyProxy, open_valkey_log: MakeLog, step: str
) -> None:
    """The next extension is a new lease. The session has left when the former one ends."""
    log = await open_valkey_log(url_through(proxy), Retention(100_000))
    lease = log._sessions._lease
    await create(log.sessions, "own")
    if step == "claim":
        await create(log.sessions, "key", "zeroth")
        await leave(log.sessions, "key", "zeroth")
    elif step != "create":
        await create(log.sessions, "key")
    former = lease.number
    setattr(proxy, "answers" if step in ("create", "claim") else "requests", step.encode())
    proxy.losses = 2  # a request is repeated once
    with pytest.raises(LogUnavailable):
        await {
            "create": lambda: create(log.sessions, "key"),
            "claim": lambda: claim(log.sessions, "key", "first"),
            "leave": lambda: leave(log.sessions, "key"),
            "end": lambda: log.sessions.end("key", "first"),
        }[step]()
    assert groups(own_valkey) == {"own": "connected", "key": "connected"}
    await lease.extend()
    await end_and_sweep(log, own_valkey, former)
    assert groups(own_valkey) == {"own": "connected", "key": "brief"}


async def test_a_session_of_a_cancelled_call_does_not_stay_connected(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """Its consumer has gone before the answer."""
    async with proxied(own_valkey.port) as slow:
        log = await open_valkey_log(f"redis://127.0.0.1:{slow.port}/0", Retention(100_000))
        lease = log._sessions._lease
        former = lease.number
        await create(log.sessions, "own")
        slow.hold = b"\r\ncreate\r\n"
        call = asyncio.create_task(create(log.sessions, "key"))
        await slow.held.wait()
        call.cancel()
        slow.released.set()
        await until(lambda: groups(own_valkey) == {"own": "connected", "key": "connected"})
        await lease.extend()
        await end_and_sweep(log, own_valkey, former)
        assert groups(own_valkey) == {"own": "connected", "key": "brief"}
        await log.close()


async def test_a_change_of_lease_that_failed_is_made_again(
    own_valkey: Valkey, proxy: LossyProxy, open_valkey_log: MakeLog
) -> None:
    """Otherwise the sessions that were not touched would end with the former lease."""
    log = await open_valkey_log(url_through(proxy), Retention(100_000))
    lease = log._sessions._lease
    former = lease.number
    await create(log.sessions, "key")
    proxy.requests, proxy.losses = b"\r\ntouch\r\n", 2  # a request is repeated once
    with pytest.raises(LogUnavailable):
        await lease.renew()
    assert lease.number != former
    await lease.extend()
    await end_and_sweep(log, own_valkey, former)
    assert groups(own_valkey) == {"key": "connected"}


async def test_a_touch_never_puts_a_session_in_an_ended_lease(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """Such a session would count as connected forever."""
    log = await open_valkey_log(own_valkey.url, Retention(100_000))
    await create(log.sessions, "key")
    log._sessions._lease.number += 1  # of no lease
    await log._sessions._lease._touch()
    await end_and_sweep(log, own_valkey)
    assert groups(own_valkey) == {"key": "brief"}


async def test_a_session_that_begins_during_a_change_of_lease_stays_connected(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """It began in the former lease, when the node had begun to put its sessions in the new one."""
    async with proxied(own_valkey.port) as slow:
        log = await open_valkey_log(f"redis://127.0.0.1:{slow.port}/0", Retention(100_000))
        lease = log._sessions._lease
        former = lease.number
        slow.hold = b"\r\ncreate\r\n"
        call = asyncio.create_task(create(log.sessions, "key"))
        await slow.held.wait()
        await lease.renew()
        slow.released.set()
        assert await call
        await end_and_sweep(log, own_valkey, former)
        assert groups(own_valkey) == {"key": "connected"}
        await log.close()


async def test_a_leave_that_valkey_has_lost_does_not_keep_a_session_connected(
    tmp_path: Path, open_valkey_log: MakeLog
) -> None:
    """Valkey restarts from an older state: a replica, or a snapshot."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    log = await open_valkey_log(server.url, Retention(100_000))
    lease = log._sessions._lease
    former = lease.number
    for key in ("own", "key"):
        await create(log.sessions, key)
    with server.client as client:
        client.save()
    await leave(log.sessions, "key")
    server.kill()
    server.start()
    assert groups(server) == {"own": "connected", "key": "connected"}
    await until(lambda: lease.number != former)
    await eventually(lambda: change(log.sessions, "own", "first", "room"))
    await end_and_sweep(log, server, former)
    assert groups(server) == {"own": "connected", "key": "brief"}
    await log.close()
    server.stop()


async def test_a_session_of_an_older_release_has_a_lease_of_its_own(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """Its score is the end of the lease, which its node extends. Any node may take the session."""
    log = await open_valkey_log(own_valkey.url, Retention(100_000))
    for key in ("alive", "dead", "taken"):
        await create(log.sessions, key)
        log._sessions._lease.forget(key, "first")
    with own_valkey.client as client:
        seconds, _ = client.time()
        ends = {"alive": (seconds + 30) * 1e6, "dead": (seconds - 30) * 1e6}
        client.zadd(INDEXES["connected"], ends | {"taken": ends["alive"]})
        assert await claim(log.sessions, "taken", "second") is not None
        await log._sessions._lease.renew()
        assert groups(own_valkey) == {"alive": "connected", "dead": "brief", "taken": "connected"}
        assert client.zscore(INDEXES["brief"], "dead") == ends["dead"]
        assert client.zscore(INDEXES["connected"], "alive") == ends["alive"]
        later = client.time()[0] + 50 * 365 * 86_400
        assert client.zrangebyscore(INDEXES["connected"], "-inf", later * 1e6) == ["alive"], (
            "an older release sees no ended lease"
        )
