"""One suite for every session store: each sentence of the contract in ``eventlog/sessions.py``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.session_contract import SessionStore, Superseded
from tests.support import eventlogs
from tests.support.eventlogs import Clock, Place, new_place
from tests.support.valkey import Valkey

KINDS = {
    "memory": eventlogs.make_memory_log,
    "sqlite": eventlogs.make_sqlite_log,
    "valkey": eventlogs.make_valkey_log,
}
DURABLE = ["sqlite", "valkey"]
"""Those that outlive their server."""
SHARED = ["valkey"]
"""Those that several nodes share."""

LIFETIME = 60


class Kind:
    """Makes the logs of a kind at one place, with one clock."""

    def __init__(self, name: str, place: Place) -> None:
        self.clock = Clock()
        self.logs: list[EventLog] = []
        self._name = name
        self._place = place

    async def node(self) -> EventLog:
        """Return one more node: a log of its own where they can share a store, else the one."""
        if self.logs and self._name not in SHARED:
            return self.logs[0]
        return await self.open()

    async def open(self) -> EventLog:
        """Open a log that has what those before it have kept."""
        log = KINDS[self._name](self._place, Retention(LIFETIME), self.clock)
        self.logs.append(log)
        await log.open()
        return log

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await eventlogs.pass_time(seconds, self.clock, *self.logs)


@pytest.fixture(params=KINDS)
async def kind(
    request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey
) -> AsyncIterator[Kind]:
    """Return each kind in turn."""
    made = Kind(request.param, new_place(tmp_path, valkey))
    yield made
    for log in made.logs:
        await log.close()


class Stores(NamedTuple):
    """The store, as two nodes have it."""

    one: SessionStore
    other: SessionStore


@pytest.fixture
async def stores(kind: Kind) -> Stores:
    """Return the store as two nodes have it."""
    return Stores((await kind.node()).sessions, (await kind.node()).sessions)


async def hear(lost: AsyncIterator[list[Superseded]], count: int) -> list[Superseded]:
    """Wait until so many takes were told."""
    heard: list[Superseded] = []
    async with asyncio.timeout(20):
        while len(heard) < count:
            heard += await anext(lost)
    return heard


# What is kept.


@pytest.mark.parametrize("data", ["", "{}", "\0\r\n\U0001fa91\u2028'\"\\", "x" * 100_000])
async def test_what_was_put_is_taken(stores: Stores, data: str) -> None:
    """Data is text, and comes back to the letter, on whichever node."""
    await stores.one.create("key", "first", data)
    assert await stores.other.claim("key", "second") == data


async def test_keys_are_whole_and_exact(stores: Stores) -> None:
    """No key stands for another that is like it."""
    names = ["key", "KEY", "key ", "key\0", "ke", "key:1", "{key}", "*", "ñ"]
    for name in names:
        await stores.one.create(name, "first", f"data of {name}")
    for name in names:
        assert await stores.other.claim(name, "second") == f"data of {name}"


async def test_what_was_never_put_is_nobodys(stores: Stores) -> None:
    """Nothing can be done with it, and that makes no session of it."""
    assert await stores.one.claim("key", "first") is None
    assert not await stores.one.change("key", "first", "data")
    assert not await stores.one.leave("key", "first", "data")
    assert not await stores.one.end("key", "first")
    assert await stores.other.claim("key", "second") is None


async def test_a_change_replaces_the_data(stores: Stores) -> None:
    """And so does a leave; whoever takes the session has the last."""
    await stores.one.create("key", "first", "a")
    assert await stores.one.change("key", "first", "b")
    assert await stores.other.claim("key", "second") == "b"
    assert await stores.other.leave("key", "second", "c")
    assert await stores.one.claim("key", "third") == "c"


async def test_an_end_is_for_good(stores: Stores) -> None:
    """What has ended can't be taken or changed."""
    await stores.one.create("key", "first", "data")
    assert await stores.one.end("key", "first")
    assert await stores.other.claim("key", "second") is None
    assert not await stores.one.change("key", "first", "data")
    assert not await stores.one.end("key", "first")


# Owner.


@pytest.mark.parametrize("left", [False, True])
async def test_only_the_owner_changes_a_session(stores: Stores, left: bool) -> None:
    """Who has lost it, to whichever node, can't undo what the newer owner does."""
    await stores.one.create("key", "first", "a")
    if left:
        await stores.one.leave("key", "first", "a")
    await stores.other.claim("key", "second")
    assert await stores.other.change("key", "second", "b")
    assert not await stores.one.change("key", "first", "undone")
    assert not await stores.one.leave("key", "first", "undone")
    assert not await stores.one.end("key", "first")
    assert await stores.one.claim("key", "third") == "b"


async def test_of_many_takers_one_is_the_owner(stores: Stores) -> None:
    """However they meet, each gets the data and one of them keeps the session."""
    await stores.one.create("key", "first", "data")
    owners = [f"owner-{number}" for number in range(20)]
    taken = await asyncio.gather(
        *(stores[number % 2].claim("key", owner) for number, owner in enumerate(owners))
    )
    assert taken == ["data"] * 20
    changed = [await stores.one.change("key", owner, "new") for owner in owners]
    assert changed.count(True) == 1


# Doing it again.


async def test_doing_it_again_does_no_harm(stores: Stores) -> None:
    """Whoever does not know whether it was done may do it once more."""
    for _ in range(2):
        await stores.one.create("key", "first", "a")
    for _ in range(2):
        assert await stores.other.claim("key", "second") == "a"
    for _ in range(2):
        assert await stores.other.change("key", "second", "b")
    for _ in range(2):
        assert await stores.other.leave("key", "second", "c")
    assert await stores.one.claim("key", "third") == "c"
    await stores.one.end("key", "third")
    await stores.one.end("key", "third")
    assert await stores.one.claim("key", "fourth") is None


# Lifetime.


async def test_a_session_lives_from_its_leave(kind: Kind, stores: Stores) -> None:
    """For the retention, and not longer."""
    await stores.one.create("short", "first", "data")
    await stores.one.create("long", "first", "data")
    await kind.wait(LIFETIME / 2)
    await stores.one.leave("short", "first", "data")
    await stores.one.leave("long", "first", "data")
    await kind.wait(LIFETIME - 1)
    assert await stores.other.claim("short", "second") == "data"
    await kind.wait(2)
    assert await stores.other.claim("long", "second") is None


async def test_a_session_lives_while_its_owner_does(kind: Kind, stores: Stores) -> None:
    """However long that is, whether it was put or taken."""
    await stores.one.create("put", "first", "data")
    await stores.one.create("taken", "first", "data")
    await stores.one.leave("taken", "first", "data")
    await stores.other.claim("taken", "second")
    await kind.wait(LIFETIME * 3)
    assert await stores.one.change("put", "first", "new")
    assert await stores.other.change("taken", "second", "new")
    assert await stores.other.claim("put", "third") == "new"


async def test_each_leave_counts_anew(kind: Kind, stores: Stores) -> None:
    """Who came back meanwhile has the whole time again."""
    await stores.one.create("key", "owner-0", "data")
    for number in range(3):
        await stores.one.leave("key", f"owner-{number}", "data")
        await kind.wait(LIFETIME - 1)
        assert await stores.one.claim("key", f"owner-{number + 1}") == "data"
    await stores.one.leave("key", "owner-3", "data")
    await kind.wait(LIFETIME + 1)
    assert await stores.one.claim("key", "owner-4") is None


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_sessions_outlive_their_server(kind: Kind) -> None:
    """Those that were left, and those that it had when it ended."""
    log = await kind.open()
    await log.sessions.create("left", "first", "a")
    await log.sessions.leave("left", "first", "b")
    await log.sessions.create("there", "first", "c")
    await log.close()
    again = (await kind.open()).sessions
    assert await again.claim("left", "second") == "b"
    assert await again.claim("there", "second") == "c"


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_without_a_leave_a_session_lives_from_its_servers_end(kind: Kind) -> None:
    """About so long; and not for ever."""
    log = await kind.open()
    await log.sessions.create("short", "first", "data")
    await log.sessions.create("long", "first", "data")
    await kind.wait(LIFETIME * 2)
    await log.close()
    again = (await kind.open()).sessions
    await kind.wait(LIFETIME - 1)
    assert await again.claim("short", "second") == "data"
    await kind.wait(LIFETIME)
    assert await again.claim("long", "second") is None


# Lost.


async def test_every_node_hears_of_a_take(stores: Stores) -> None:
    """Its key and the new owner, whoever took it."""
    one, other = stores.one.superseded(), stores.other.superseded()
    for name in ("a", "b"):
        await stores.one.create(name, "first", "data")
    await stores.one.claim("a", "second")
    await stores.other.claim("b", "third")
    for lost in (one, other):
        assert set(await hear(lost, 2)) == {Superseded("a", "second"), Superseded("b", "third")}


async def test_takes_of_one_session_are_heard_in_order(stores: Stores) -> None:
    """The last that is named is the owner."""
    lost = stores.one.superseded()
    await stores.one.create("key", "first", "data")
    owners = [f"owner-{number}" for number in range(10)]
    for number, owner in enumerate(owners):
        await stores[number % 2].claim("key", owner)
    assert await hear(lost, 10) == [Superseded("key", owner) for owner in owners]


async def test_only_takes_are_heard_of_and_only_new_ones(stores: Stores) -> None:
    """Neither what else becomes of sessions, nor what was taken before."""
    early = stores.one.superseded()
    await stores.one.create("key", "first", "data")
    await stores.one.change("key", "first", "data")
    await stores.one.leave("key", "first", "data")
    await stores.one.claim("never", "second")
    await stores.one.claim("key", "second")
    assert await hear(early, 1) == [Superseded("key", "second")]
    late = stores.one.superseded()
    await stores.one.claim("key", "third")
    await stores.one.end("key", "third")
    assert await hear(late, 1) == await hear(early, 1) == [Superseded("key", "third")]


async def test_lost_ends_when_the_log_is_closed(kind: Kind) -> None:
    """Whether somebody waits, or comes later."""
    log = await kind.open()
    waiting = asyncio.create_task(_all(log.sessions.superseded()))
    await asyncio.sleep(0)
    await log.close()
    assert await waiting == []
    assert await _all(log.sessions.superseded()) == []


async def _all(lost: AsyncIterator[list[Superseded]]) -> list[Superseded]:
    return [taken async for batch in lost for taken in batch]


# Closing and privacy.


CALLS: list[Callable[[SessionStore], Awaitable[object]]] = [
    lambda store: store.create("secret-key", "owner", "secret-data"),
    lambda store: store.claim("secret-key", "owner"),
    lambda store: store.change("secret-key", "owner", "secret-data"),
    lambda store: store.leave("secret-key", "owner", "secret-data"),
    lambda store: store.end("secret-key", "owner"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_closed_store_is_unavailable(
    kind: Kind, call: Callable[[SessionStore], Awaitable[object]]
) -> None:
    """Each call says so."""
    log = await kind.open()
    await log.close()
    with pytest.raises(LogUnavailable) as caught:
        await call(log.sessions)
    assert "secret" not in str(caught.value)


async def test_keys_and_data_are_not_logged(
    stores: Stores, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """At no level."""
    caplog.set_level(logging.DEBUG)
    for call in CALLS:
        await call(stores.one)
    for log in kind.logs:
        await log.close()
    assert "secret" not in caplog.text
