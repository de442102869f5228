"""The Valkey session store: several nodes, cuts, times to live, and late requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import Superseded
from sio_server.eventlog.valkey import sessions as valkey_sessions
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.lossy import LossyProxy
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import is_subscribed, url_through
from tests.unit.eventlog.waiting import eventually, until

MakeLog = Callable[..., Awaitable[ValkeyLog]]

KEY = f"{PREFIX}:session:key"


class SupersededObserver:
    """Records the superseded sessions of which a node learns."""

    def __init__(self, log: ValkeyLog) -> None:
        self.superseded: list[Superseded] = []
        self._task = asyncio.create_task(self._follow(log.sessions.superseded()))

    async def _follow(self, batches: AsyncIterator[list[Superseded]]) -> None:
        async for batch in batches:
            self.superseded += batch


async def test_every_session_has_a_time_to_live(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """A session lives for the retention after its client has left, and a connected one longer."""
    log = await open_valkey_log(own_valkey.url, Retention(100))
    sessions = log.sessions
    with own_valkey.client as client:
        steps: list[tuple[Awaitable[object], int]] = [
            (sessions.create("key", "first", "data"), 115_000),
            (sessions.change("key", "first", "data"), 115_000),
            (sessions.leave("key", "first", "data"), 100_000),
            (sessions.claim("key", "second"), 115_000),
        ]
        for step, most in steps:
            await step
            left = client.pttl(KEY)
            assert isinstance(left, int)
            assert most - 10_000 < left <= most
        await sessions.end("key", "second")
        assert client.keys(f"{PREFIX}:session:*") == []


async def test_a_session_lives_while_its_node_lives(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The node touches its sessions, however short the retention. They outlive the node briefly."""
    log = await open_valkey_log(own_valkey.url, Retention(0.4))
    for number in range(500):  # more than are touched at a time
        await log.sessions.create(f"key{number}", "owner", "data")
    with own_valkey.client as client:
        name = f"{PREFIX}:touched"
        client.set(name, "", px=1_000)  # the server's own time: twice as long as a session's
        await until(lambda: not client.exists(name))
        assert len(client.keys(f"{PREFIX}:session:*")) == 500
        await log.close()
        await until(lambda: not client.keys(f"{PREFIX}:session:*"))


async def test_a_touch_extends_the_life_of_the_nodes_own_sessions_only(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """A touch neither revives an ended session nor takes one from its new owner."""
    log = await open_valkey_log(own_valkey.url, Retention(100))
    observed = SupersededObserver(log)
    sessions = log._sessions
    for key in ("ended", "claimed", "left", "own"):
        await sessions.create(key, "first", "data")
    await sessions.leave("left", "first", "data")
    sessions._owners["left"] = "first"  # as if the leave had not returned yet
    with own_valkey.client as client:
        client.delete(f"{PREFIX}:session:ended")
        client.hset(f"{PREFIX}:session:claimed", "owner", "second")
        for key in ("claimed", "left", "own"):
            client.pexpire(f"{PREFIX}:session:{key}", 50_000)
        await sessions._touch()
        assert not client.exists(f"{PREFIX}:session:ended")
        assert client.hget(f"{PREFIX}:session:claimed", "owner") == "second"
        lives = [client.pttl(f"{PREFIX}:session:{key}") for key in ("claimed", "left", "own")]
    assert [life > 50_000 for life in lives] == [False, False, True]
    await until(lambda: observed.superseded == [Superseded("claimed", "second")])
    assert sessions._owners == {"left": "first", "own": "first"}


async def test_a_claim_during_a_cut_is_noticed_after_it(
    own_valkey: Valkey,
    proxy: LossyProxy,
    open_valkey_log: MakeLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message is lost, but the node compares its sessions' owners when it reconnects."""
    monkeypatch.setattr(valkey_sessions, "TOUCH_SECONDS", 3_600)
    log = await open_valkey_log(url_through(proxy))
    other = await open_valkey_log(own_valkey.url)
    observed = SupersededObserver(log)
    await log.sessions.create("key", "first", "data")
    await log.sessions.create("other", "first", "data")
    proxy.open = False
    proxy.cut()
    await until(lambda: log._sessions._connection._connection is None)
    with pytest.raises(LogUnavailable):
        await log.sessions.change("key", "first", "data")
    assert await other.sessions.claim("key", "second") == "data"
    proxy.open = True
    await until(lambda: observed.superseded == [Superseded("key", "second")])
    await other.sessions.claim("other", "third")
    await until(lambda: observed.superseded[1:] == [Superseded("other", "third")])


async def test_a_silent_channel_is_opened_again(
    own_valkey: Valkey, open_valkey_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim is noticed even if the connection is open but silent."""
    monkeypatch.setattr(valkey_sessions, "PING_SECONDS", 0.02)
    monkeypatch.setattr(valkey_sessions, "TOUCH_SECONDS", 3_600)
    proxy = LossyProxy(own_valkey.port)
    await proxy.start()
    log = await open_valkey_log(url_through(proxy))
    other = await open_valkey_log(own_valkey.url)
    observed = SupersededObserver(log)
    await log.sessions.create("key", "first", "data")
    proxy.silence()
    await other.sessions.claim("key", "second")
    await until(lambda: Superseded("key", "second") in observed.superseded)
    await log.close()
    await proxy.stop()


async def test_a_late_create_does_not_undo_a_claim(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The server may execute a request of a broken connection after the session was claimed."""
    log = await open_valkey_log(own_valkey.url)
    await log.sessions.create("key", "first", "data")
    await log.sessions.claim("key", "second")
    await log.sessions.create("key", "first", "old")
    assert await log.sessions.change("key", "second", "new")


async def test_sessions_survive_a_restart_of_the_server(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The node subscribes again and learns of the next claim."""
    log = await open_valkey_log(own_valkey.url)
    await log.sessions.create("key", "first", "data")
    own_valkey.kill()
    own_valkey.start()
    observed = SupersededObserver(log)

    await eventually(lambda: is_subscribed(own_valkey))
    assert await log.sessions.claim("key", "second") == "data"
    await until(lambda: observed.superseded == [Superseded("key", "second")])
