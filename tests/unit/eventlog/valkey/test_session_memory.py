"""The Valkey session store beside the events: a full memory, and a part of a bounded one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sio_server.contract.errors import LogUnavailable, SessionsFull
from sio_server.contract.events import Event
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import SessionContent, session_bytes
from sio_server.eventlog.valkey.log import PREFIX, ValkeyLog
from tests.support.stores import DATA, IDENTITY, ROOMS, change, claim, create, leave
from tests.support.valkey import Valkey
from tests.unit.eventlog.valkey.observing import append

MakeEvent = Callable[..., Event]
MakeLog = Callable[..., Awaitable[ValkeyLog]]

MAXMEMORY = 16_000_000
LONG_ROOMS = {f"material:{number}".ljust(255, "x"): number for number in range(100)}
LENGTH = session_bytes(IDENTITY, DATA, LONG_ROOMS)
"""The length of a session with long rooms."""


def totals(server: Valkey) -> tuple[int, int]:
    """Return the bytes of the connected sessions, and of the left ones."""
    with server.client as client:
        connected, left = client.hmget(f"{PREFIX}:sessions", "connected", "left")
        return int(connected or 0), int(left or 0)


def used_memory(server: Valkey) -> int:
    """Return how many bytes the server's data needs."""
    with server.client as client:
        info = client.info("memory")
        return int(info["used_memory"]) - int(info["mem_clients_normal"])


async def test_each_group_of_sessions_has_an_eighth_of_the_memory(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """A flood of sessions cannot have more, and events are appended after it."""
    log = await open_valkey_log(own_valkey.url)
    await append(log, event("before"))
    with own_valkey.client as client:
        client.config_set("maxmemory", MAXMEMORY)
    before = used_memory(own_valkey)
    eighth = MAXMEMORY // 8
    fitting = eighth // LENGTH
    for number in range(3 * fitting):
        await create(log.sessions, f"left {number}", rooms=LONG_ROOMS)
        await leave(log.sessions, f"left {number}")
    created = [
        await create(log.sessions, f"connected {number}", rooms=LONG_ROOMS)
        for number in range(3 * fitting)
    ]
    assert created == [True] * fitting + [False] * 2 * fitting
    assert totals(own_valkey) == (fitting * LENGTH, fitting * LENGTH)
    with pytest.raises(SessionsFull):
        for number in range(1_000):
            await change(log.sessions, "connected 0", "first", f"{number}".ljust(255, "y"))
    assert await claim(log.sessions, f"left {3 * fitting - 1}", "second") is None
    assert max(totals(own_valkey)) <= eighth
    assert used_memory(own_valkey) - before <= 2 * eighth
    for number in range(100):
        await append(log, event(f"{number}", descripcion="x" * 10_000))


async def test_a_smaller_maxmemory_applies_at_once(
    own_valkey: Valkey, open_valkey_log: MakeLog
) -> None:
    """And a larger one does not allow more than the setting."""
    log = await open_valkey_log(own_valkey.url, Retention(session_bytes=30 * LENGTH))
    with own_valkey.client as client:
        client.config_set("maxmemory", 30 * LENGTH * 8 + 80_000_000)
        for number in range(31):
            await create(log.sessions, f"left {number}", rooms=LONG_ROOMS)
            await leave(log.sessions, f"left {number}")
        assert totals(own_valkey) == (0, 30 * LENGTH)
        client.config_set("maxmemory", 20 * LENGTH * 8)
        await create(log.sessions, "key")
        assert totals(own_valkey)[1] == 20 * LENGTH


async def test_in_a_full_memory_sessions_end_but_do_not_grow(
    own_valkey: Valkey, open_valkey_log: MakeLog, event: MakeEvent
) -> None:
    """A refused call changes nothing, as a refused append."""
    log = await open_valkey_log(own_valkey.url)
    sessions = log.sessions
    for key in ("touched", "changed", "left", "ended", "claimed"):
        await create(sessions, key)
    await leave(sessions, "claimed")
    before = totals(own_valkey)
    with own_valkey.client as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(LogUnavailable):
            await append(log, event())
        with pytest.raises(LogUnavailable):
            await create(sessions, "new")
        with pytest.raises(LogUnavailable):
            await change(sessions, "changed", "first", "author:Eva", removed=["catalog"])
        assert totals(own_valkey) == before
        for renew in (log._sessions._lease.extend, log._sessions._lease.renew):
            await renew()
            lease = client.zscore(f"{PREFIX}:sessions:connected", "touched")
            assert lease == log._sessions._lease.number
        assert await change(sessions, "changed", "first", removed=["catalog"])
        assert await sessions.leave("left", "first", "longer data", {}, ["catalog"])
        assert await sessions.end("ended", "first")
        assert await claim(sessions, "claimed", "second") == SessionContent(DATA, dict(ROOMS))
        assert await log._sessions._run("sweep") == 0
        client.config_set("maxmemory", "0")
    content = SessionContent("longer data", {"material:roble": 7})
    assert await claim(sessions, "left", "second") == content
    assert await claim(sessions, "changed", "second") == content._replace(data=DATA)
    assert await claim(sessions, "ended", "second") is None
    assert await claim(sessions, "new", "second") is None
