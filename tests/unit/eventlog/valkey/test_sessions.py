"""The Valkey session store: several nodes, cuts, and what the server is told to forget."""

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
from tests.unit.eventlog.waiting import eventually, until

MakeLog = Callable[..., Awaitable[ValkeyLog]]

KEY = f"{PREFIX}:session:key"


class Heard:
    """Listens to what a node hears of takes."""

    def __init__(self, log: ValkeyLog) -> None:
        self.taken: list[Superseded] = []
        self._task = asyncio.create_task(self._follow(log.sessions.superseded()))

    async def _follow(self, lost: AsyncIterator[list[Superseded]]) -> None:
        async for batch in lost:
            self.taken += batch


@pytest.fixture
async def proxy(own_valkey: Valkey) -> AsyncIterator[LossyProxy]:
    """Run a proxy before the server."""
    running = LossyProxy(own_valkey.port)
    await running.start()
    yield running
    await running.stop()


async def test_every_session_has_a_time_to_live(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """The retention from its leave; a little more while its owner's node must say that it lives."""
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


async def test_a_session_lives_while_its_node_does(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """By itself, however short the retention; and ends after the node has."""
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


async def test_a_touch_neither_raises_the_dead_nor_steals(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """It lengthens the life of what is this node's, and of that alone."""
    log = await open_valkey_log(own_valkey.url, Retention(100))
    heard = Heard(log)
    sessions = log._sessions
    for key in ("ended", "taken", "left", "own"):
        await sessions.create(key, "first", "data")
    await sessions.leave("left", "first", "data")
    sessions._owners["left"] = "first"  # as if it were on its way
    with own_valkey.client as client:
        client.delete(f"{PREFIX}:session:ended")
        client.hset(f"{PREFIX}:session:taken", "owner", "second")
        for key in ("taken", "left", "own"):
            client.pexpire(f"{PREFIX}:session:{key}", 50_000)
        await sessions._touch()
        assert not client.exists(f"{PREFIX}:session:ended")
        assert client.hget(f"{PREFIX}:session:taken", "owner") == "second"
        lives = [client.pttl(f"{PREFIX}:session:{key}") for key in ("taken", "left", "own")]
    assert [life > 50_000 for life in lives] == [False, False, True]
    await until(lambda: heard.taken == [Superseded("taken", "second")])
    assert sessions._owners == {"left": "first", "own": "first"}


async def test_a_take_during_a_cut_is_heard_of_after_it(
    own_valkey: Valkey,
    proxy: LossyProxy,
    open_valkey_log: MakeLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message is lost; the owners of the node's own sessions are looked at again at once."""
    monkeypatch.setattr(valkey_sessions, "TOUCH_SECONDS", 3_600)
    log = await open_valkey_log(f"redis://127.0.0.1:{proxy.port}/0")
    other = await open_valkey_log(own_valkey.url)
    heard = Heard(log)
    await log.sessions.create("key", "first", "data")
    await log.sessions.create("kept", "first", "data")
    proxy.open = False
    proxy.cut()
    await until(lambda: log._sessions._connection._connection is None)
    with pytest.raises(LogUnavailable):
        await log.sessions.change("key", "first", "data")
    assert await other.sessions.claim("key", "second") == "data"
    proxy.open = True
    await until(lambda: heard.taken == [Superseded("key", "second")])
    await other.sessions.claim("kept", "third")
    await until(lambda: heard.taken[1:] == [Superseded("kept", "third")])


async def test_a_silent_channel_is_opened_anew(
    own_valkey: Valkey, open_valkey_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that lives but says nothing does not hide a take."""
    monkeypatch.setattr(valkey_sessions, "PING_SECONDS", 0.02)
    monkeypatch.setattr(valkey_sessions, "TOUCH_SECONDS", 3_600)
    proxy = LossyProxy(own_valkey.port)
    await proxy.start()
    log = await open_valkey_log(f"redis://127.0.0.1:{proxy.port}/0")
    other = await open_valkey_log(own_valkey.url)
    heard = Heard(log)
    await log.sessions.create("key", "first", "data")
    proxy.silence()
    await other.sessions.claim("key", "second")
    await until(lambda: Superseded("key", "second") in heard.taken)
    await log.close()
    await proxy.stop()


async def test_a_put_that_comes_late_steals_nothing(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """One that was cut off may be done after the session was taken."""
    log = await open_valkey_log(own_valkey.url)
    await log.sessions.create("key", "first", "data")
    await log.sessions.claim("key", "second")
    await log.sessions.create("key", "first", "old")
    assert await log.sessions.change("key", "second", "new")


async def test_sessions_go_with_a_restart_as_events_do(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """What the server keeps, it keeps of both."""
    log = await open_valkey_log(own_valkey.url)
    await log.sessions.create("key", "first", "data")
    own_valkey.kill()
    own_valkey.start()
    heard = Heard(log)

    async def is_subscribed() -> bool:
        with own_valkey.client as client:
            return bool(client.pubsub_numsub(f"{PREFIX}:superseded")[0][1])

    await eventually(is_subscribed)
    assert await log.sessions.claim("key", "second") == "data"
    await until(lambda: heard.taken == [Superseded("key", "second")])
