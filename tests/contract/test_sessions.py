"""One suite for every session store: each sentence of ``eventlog/session_contract.py``."""

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
from tests.support.eventlogs import KINDS, Clock, Place, new_place
from tests.support.valkey import Valkey

DURABLE = ["sqlite", "valkey"]
"""The stores that outlive their server."""
SHARED = ["valkey"]
"""The stores that several nodes share."""

LIFETIME_SECONDS = 60


class Kind:
    """Makes the logs of one kind at one place, with one clock."""

    def __init__(self, name: str, place: Place) -> None:
        self.clock = Clock()
        self.logs: list[EventLog] = []
        self._name = name
        self._place = place

    async def node(self) -> EventLog:
        """Return the log of one more node; if the kind cannot be shared, the log that is open."""
        if self.logs and self._name not in SHARED:
            return self.logs[0]
        return await self.open()

    async def open(self) -> EventLog:
        """Open a log with the data of the logs before it."""
        log = KINDS[self._name](self._place, Retention(LIFETIME_SECONDS), self.clock)
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
    """One store on two nodes."""

    one: SessionStore
    other: SessionStore


@pytest.fixture
async def stores(kind: Kind) -> Stores:
    """Return one store on two nodes."""
    return Stores((await kind.node()).sessions, (await kind.node()).sessions)


async def receive(batches: AsyncIterator[list[Superseded]], count: int) -> list[Superseded]:
    """Wait for a number of superseded sessions."""
    received: list[Superseded] = []
    async with asyncio.timeout(20):
        while len(received) < count:
            received += await anext(batches)
    return received


# Data.


@pytest.mark.parametrize("data", ["", "{}", "\0\r\n\U0001fa91\u2028'\"\\", "x" * 100_000])
async def test_a_claim_returns_the_data_of_the_session(stores: Stores, data: str) -> None:
    """Data is text, and every node gets it back unchanged."""
    await stores.one.create("key", "first", data)
    assert await stores.other.claim("key", "second") == data


async def test_keys_match_whole_and_exactly(stores: Stores) -> None:
    """Sessions with similar keys are different sessions."""
    names = ["key", "KEY", "key ", "key\0", "ke", "key:1", "{key}", "*", "ñ"]
    for name in names:
        await stores.one.create(name, "first", f"data of {name}")
    for name in names:
        assert await stores.other.claim(name, "second") == f"data of {name}"


async def test_a_session_that_was_never_created_has_no_owner(stores: Stores) -> None:
    """No call succeeds, and no call creates the session."""
    assert await stores.one.claim("key", "first") is None
    assert not await stores.one.change("key", "first", "data")
    assert not await stores.one.leave("key", "first", "data")
    assert not await stores.one.end("key", "first")
    assert await stores.other.claim("key", "second") is None


async def test_a_change_replaces_the_data(stores: Stores) -> None:
    """A leave replaces the data too; a claim returns the last version."""
    await stores.one.create("key", "first", "a")
    assert await stores.one.change("key", "first", "b")
    assert await stores.other.claim("key", "second") == "b"
    assert await stores.other.leave("key", "second", "c")
    assert await stores.one.claim("key", "third") == "c"


async def test_an_ended_session_is_deleted_permanently(stores: Stores) -> None:
    """It cannot be claimed or changed."""
    await stores.one.create("key", "first", "data")
    assert await stores.one.end("key", "first")
    assert await stores.other.claim("key", "second") is None
    assert not await stores.one.change("key", "first", "data")
    assert not await stores.one.end("key", "first")


# Owner.


@pytest.mark.parametrize("left", [False, True])
async def test_only_the_owner_changes_a_session(stores: Stores, left: bool) -> None:
    """A former owner cannot undo the changes of the newer owner, on whichever node that is."""
    await stores.one.create("key", "first", "a")
    if left:
        await stores.one.leave("key", "first", "a")
    await stores.other.claim("key", "second")
    assert await stores.other.change("key", "second", "b")
    assert not await stores.one.change("key", "first", "undone")
    assert not await stores.one.leave("key", "first", "undone")
    assert not await stores.one.end("key", "first")
    assert await stores.one.claim("key", "third") == "b"


async def test_one_of_many_concurrent_claims_wins(stores: Stores) -> None:
    """Each claim gets the data, and one of the claimants owns the session afterwards."""
    await stores.one.create("key", "first", "data")
    owners = [f"owner-{number}" for number in range(20)]
    claimed = await asyncio.gather(
        *(stores[number % 2].claim("key", owner) for number, owner in enumerate(owners))
    )
    assert claimed == ["data"] * 20
    changed = [await stores.one.change("key", owner, "new") for owner in owners]
    assert changed.count(True) == 1


# Repeated calls.


async def test_a_repeated_call_does_no_harm(stores: Stores) -> None:
    """A caller that does not know the outcome of a call may repeat it."""
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


async def test_a_session_lives_for_the_retention_after_its_leave(
    kind: Kind, stores: Stores
) -> None:
    """It lives for all of that time, and not longer."""
    await stores.one.create("short", "first", "data")
    await stores.one.create("long", "first", "data")
    await kind.wait(LIFETIME_SECONDS / 2)
    await stores.one.leave("short", "first", "data")
    await stores.one.leave("long", "first", "data")
    await kind.wait(LIFETIME_SECONDS - 1)
    assert await stores.other.claim("short", "second") == "data"
    await kind.wait(2)
    assert await stores.other.claim("long", "second") is None


async def test_a_session_lives_while_its_owner_is_connected(kind: Kind, stores: Stores) -> None:
    """This holds for any time, for created and for claimed sessions."""
    await stores.one.create("created", "first", "data")
    await stores.one.create("claimed", "first", "data")
    await stores.one.leave("claimed", "first", "data")
    await stores.other.claim("claimed", "second")
    await kind.wait(LIFETIME_SECONDS * 3)
    assert await stores.one.change("created", "first", "new")
    assert await stores.other.change("claimed", "second", "new")
    assert await stores.other.claim("created", "third") == "new"


async def test_each_leave_starts_the_whole_lifetime(kind: Kind, stores: Stores) -> None:
    """A claim in between ends the earlier lifetime."""
    await stores.one.create("key", "owner-0", "data")
    for number in range(3):
        await stores.one.leave("key", f"owner-{number}", "data")
        await kind.wait(LIFETIME_SECONDS - 1)
        assert await stores.one.claim("key", f"owner-{number + 1}") == "data"
    await stores.one.leave("key", "owner-3", "data")
    await kind.wait(LIFETIME_SECONDS + 1)
    assert await stores.one.claim("key", "owner-4") is None


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_sessions_outlive_their_server(kind: Kind) -> None:
    """This holds for sessions that were left, and for those still connected at the end."""
    log = await kind.open()
    await log.sessions.create("left", "first", "a")
    await log.sessions.leave("left", "first", "b")
    await log.sessions.create("connected", "first", "c")
    await log.close()
    again = (await kind.open()).sessions
    assert await again.claim("left", "second") == "b"
    assert await again.claim("connected", "second") == "c"


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_without_a_leave_a_session_lives_from_its_servers_end(kind: Kind) -> None:
    """It lives for about the retention from then, and not forever."""
    log = await kind.open()
    await log.sessions.create("short", "first", "data")
    await log.sessions.create("long", "first", "data")
    await kind.wait(LIFETIME_SECONDS * 2)
    await log.close()
    again = (await kind.open()).sessions
    await kind.wait(LIFETIME_SECONDS - 1)
    assert await again.claim("short", "second") == "data"
    await kind.wait(LIFETIME_SECONDS)
    assert await again.claim("long", "second") is None


# Superseded.


async def test_every_node_learns_of_a_claim(stores: Stores) -> None:
    """Both nodes get the key and the new owner, whichever node claimed the session."""
    one, other = stores.one.superseded(), stores.other.superseded()
    for name in ("a", "b"):
        await stores.one.create(name, "first", "data")
    await stores.one.claim("a", "second")
    await stores.other.claim("b", "third")
    expected = {Superseded("a", "second"), Superseded("b", "third")}
    for batches in (one, other):
        assert set(await receive(batches, 2)) == expected


async def test_claims_of_one_session_arrive_in_order(stores: Stores) -> None:
    """The last one names the present owner."""
    batches = stores.one.superseded()
    await stores.one.create("key", "first", "data")
    owners = [f"owner-{number}" for number in range(10)]
    for number, owner in enumerate(owners):
        await stores[number % 2].claim("key", owner)
    assert await receive(batches, 10) == [Superseded("key", owner) for owner in owners]


async def test_a_node_learns_only_of_claims_and_only_of_new_ones(stores: Stores) -> None:
    """Other changes of a session, and claims before the call of ``superseded``, do not count."""
    early = stores.one.superseded()
    await stores.one.create("key", "first", "data")
    await stores.one.change("key", "first", "data")
    await stores.one.leave("key", "first", "data")
    await stores.one.claim("never", "second")
    await stores.one.claim("key", "second")
    assert await receive(early, 1) == [Superseded("key", "second")]
    late = stores.one.superseded()
    await stores.one.claim("key", "third")
    await stores.one.end("key", "third")
    assert await receive(late, 1) == await receive(early, 1) == [Superseded("key", "third")]


async def test_superseded_ends_when_the_log_is_closed(kind: Kind) -> None:
    """This holds for an iteration that waits, and for one that starts later."""
    log = await kind.open()
    waiting = asyncio.create_task(_all(log.sessions.superseded()))
    await asyncio.sleep(0)
    await log.close()
    assert await waiting == []
    assert await _all(log.sessions.superseded()) == []


async def _all(batches: AsyncIterator[list[Superseded]]) -> list[Superseded]:
    return [superseded async for batch in batches for superseded in batch]


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
    """Every call raises LogUnavailable, without the key and the data in its message."""
    log = await kind.open()
    await log.close()
    with pytest.raises(LogUnavailable) as caught:
        await call(log.sessions)
    assert "secret" not in str(caught.value)


async def test_keys_and_data_are_not_logged(
    stores: Stores, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """This holds at every log level."""
    caplog.set_level(logging.DEBUG)
    for call in CALLS:
        await call(stores.one)
    for log in kind.logs:
        await log.close()
    assert "secret" not in caplog.text
