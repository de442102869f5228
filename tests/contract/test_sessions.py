"""One suite for every session store: each sentence of ``eventlog/session_contract.py``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.rooms import RoomFilter
from sio_server.eventlog.session_contract import SessionContent, SessionStore, Superseded
from tests.contract.session_kinds import DURABLE, LIFETIME_SECONDS, Kind
from tests.support.stores import DATA, IDENTITY, ROOMS, change, claim, create, leave


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


# Data and rooms.


@pytest.mark.parametrize("text", ["", "{}", "\0\r\n\U0001fa91\u2028'\"\\", "x" * 100_000])
async def test_a_claim_returns_the_content_of_the_session(stores: Stores, text: str) -> None:
    """Data and the names of rooms are text, and every node gets them back unchanged."""
    rooms = {text: 5, f"/{text}": 2**53, "owner": 0}
    await create(stores.one, "key", "first", text, rooms)
    assert await claim(stores.other, "key", "second") == SessionContent(text, rooms)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*"], True),
        (["material:roble", "author:*"], True),
        (["material:*", "author:*", "type:*"], True),
        (["material:*"], False),
        (["material:roble", "author:ana"], False),
        (["catalog"], False),
        ([], False),
    ],
)
async def test_a_claim_needs_the_right_to_be_in_all_rooms(
    stores: Stores, patterns: list[str], found: bool
) -> None:
    """Without it, the session is not found, and its owner notices nothing."""
    rooms = {"material:roble": 1, "author:eva": 2, "author:*": 3}
    allowed = RoomFilter.parse(patterns)
    await create(stores.one, "key", "first", DATA, rooms)
    content = await stores.other.claim("key", "second", IDENTITY, allowed)
    assert content == (SessionContent(DATA, rooms) if found else None)
    owner = "second" if found else "first"
    assert await change(stores.one, "key", owner, removed=list(rooms))
    assert await stores.other.claim("key", "third", IDENTITY, RoomFilter.parse([])) is not None


async def test_a_session_may_have_any_number_of_rooms(stores: Stores) -> None:
    """They can be added and removed in one call."""
    rooms = {f"material:{number}": number for number in range(3_000)}
    await create(stores.one, "key", "first", DATA, {})
    assert await change(stores.one, "key", "first", *rooms)
    assert await stores.one.change("key", "first", rooms, ())
    assert await claim(stores.other, "key", "second") == SessionContent(DATA, rooms)
    assert await change(stores.other, "key", "second", removed=rooms)
    assert await claim(stores.one, "key", "third") == SessionContent(DATA, {})


async def test_keys_match_whole_and_exactly(stores: Stores) -> None:
    """Sessions with similar keys are different sessions."""
    names = ["key", "KEY", "key ", "key\0", "ke", "key:1", "{key}", "*", "ñ"]
    for name in names:
        await create(stores.one, name, "first", f"data of {name}", {name: 0})
    for name in names:
        content = SessionContent(f"data of {name}", {name: 0})
        assert await claim(stores.other, name, "second") == content


async def test_a_session_that_was_never_created_has_no_owner(stores: Stores) -> None:
    """No call succeeds, and no call creates the session."""
    assert await claim(stores.one, "key", "first") is None
    assert not await change(stores.one, "key", "first", "catalog")
    assert not await leave(stores.one, "key", "first")
    assert not await stores.one.end("key", "first")
    assert await claim(stores.other, "key", "second") is None


async def test_a_change_adds_and_removes_rooms(stores: Stores) -> None:
    """A room that is added again gets the new number. Other rooms stay as they are."""
    await create(stores.one, "key", "first", DATA, {"a": 1, "b": 2, "c": 3})
    assert await stores.one.change("key", "first", {"b": 20, "d": 4}, ["a", "never"])
    rooms = {"b": 20, "c": 3, "d": 4}
    assert await claim(stores.other, "key", "second") == SessionContent(DATA, rooms)
    assert await stores.other.change("key", "second", {}, ["c"])
    assert await stores.other.change("key", "second", {"c": 5}, ())
    assert await claim(stores.one, "key", "third") == SessionContent(DATA, rooms | {"c": 5})


async def test_a_leave_replaces_the_data_and_changes_the_rooms(stores: Stores) -> None:
    """A leave without a change of rooms leaves them as they are."""
    await create(stores.one, "key", "first", "a", {"a": 1, "b": 2})
    assert await leave(stores.one, "key", "first", "b")
    assert await claim(stores.other, "key", "second") == SessionContent("b", {"a": 1, "b": 2})
    assert await stores.other.leave("key", "second", "", {"a": 5, "c": 3}, ["b"])
    assert await claim(stores.one, "key", "third") == SessionContent("", {"a": 5, "c": 3})


async def test_an_ended_session_is_deleted_permanently(stores: Stores) -> None:
    """It cannot be claimed or changed. A new session with its key has nothing of it."""
    await create(stores.one, "key")
    assert await stores.one.end("key", "first")
    assert await claim(stores.other, "key", "second") is None
    assert not await change(stores.one, "key", "first", "catalog")
    assert not await stores.one.end("key", "first")
    await create(stores.one, "key", "first", DATA, {"type:furniture_created": 1})
    content = SessionContent(DATA, {"type:furniture_created": 1})
    assert await claim(stores.other, "key", "second") == content


# Owner and identity.


@pytest.mark.parametrize("left", [False, True])
async def test_only_the_owner_changes_a_session(stores: Stores, left: bool) -> None:
    """A former owner cannot undo the changes of the newer owner, on whichever node that is."""
    await create(stores.one, "key", "first", "a", {})
    if left:
        await leave(stores.one, "key", "first", "a")
    await claim(stores.other, "key", "second")
    assert await change(stores.other, "key", "second", "b")
    assert not await create(stores.one, "key", "first", "undone")
    assert not await change(stores.one, "key", "first", "undone", removed=["b"])
    assert not await stores.one.leave("key", "first", "undone", {"undone": 1}, ["b"])
    assert not await stores.one.end("key", "first")
    assert await claim(stores.one, "key", "third") == SessionContent("a", {"b": 1})


async def test_an_owner_that_has_left_changes_no_rooms(stores: Stores) -> None:
    """A late change, whose client has gone, has no effect."""
    await create(stores.one, "key")
    await leave(stores.one, "key")
    assert not await change(stores.one, "key", "first", "late")
    assert await claim(stores.other, "key", "second") == SessionContent(DATA, ROOMS)


@pytest.mark.parametrize("identity", ["", "key", "ANONYMOUS", "anonymous ", "anonymous\0", "ñ"])
@pytest.mark.parametrize("left", [False, True])
async def test_another_identity_finds_no_session(stores: Stores, left: bool, identity: str) -> None:
    """Its claim changes nothing, and no node learns of it."""
    claims = stores.one.superseded()
    await create(stores.one, "key")
    if left:
        await leave(stores.one, "key")
    assert await claim(stores.other, "key", "second", identity) is None
    assert not await change(stores.other, "key", "second", "stolen")
    assert await change(stores.one, "key", "first", "more") is not left
    assert await claim(stores.one, "key", "third") is not None
    assert await receive(claims, 1) == [Superseded("key", "third")]


async def test_one_of_many_concurrent_claims_wins(stores: Stores) -> None:
    """Each claim gets the content, and one of the claimants owns the session afterwards."""
    await create(stores.one, "key")
    owners = [f"owner-{number}" for number in range(20)]
    claimed = await asyncio.gather(
        *(claim(stores[number % 2], "key", owner) for number, owner in enumerate(owners))
    )
    assert claimed == [SessionContent(DATA, ROOMS)] * 20
    changed = [await change(stores.one, "key", owner, "new") for owner in owners]
    assert changed.count(True) == 1


# Repeated calls.


async def test_a_repeated_call_does_no_harm(stores: Stores) -> None:
    """A caller that does not know the outcome of a call may repeat it."""
    for _ in range(2):
        assert await create(stores.one, "key", "first", "a", {"a": 1})
    for _ in range(2):
        assert await claim(stores.other, "key", "second") == SessionContent("a", {"a": 1})
    for _ in range(2):
        assert await change(stores.other, "key", "second", "b", removed=["a"])
    for _ in range(2):
        assert await stores.other.leave("key", "second", "c", {"c": 1}, ["b"])
    assert await claim(stores.one, "key", "third") == SessionContent("c", {"c": 1})
    await stores.one.end("key", "third")
    await stores.one.end("key", "third")
    assert await claim(stores.one, "key", "fourth") is None


# Lifetime.


async def test_a_session_lives_for_the_retention_after_its_leave(
    kind: Kind, stores: Stores
) -> None:
    """It lives for all of that time, and not longer."""
    await create(stores.one, "short", "first", "data")
    await create(stores.one, "long", "first", "data")
    await kind.wait(LIFETIME_SECONDS / 2)
    await leave(stores.one, "short", "first", "data")
    await leave(stores.one, "long", "first", "data")
    await kind.wait(LIFETIME_SECONDS - 1)
    assert await claim(stores.other, "short", "second") is not None
    await kind.wait(2)
    assert await claim(stores.other, "long", "second") is None


async def test_a_session_lives_while_its_owner_is_connected(kind: Kind, stores: Stores) -> None:
    """This holds for any time, for created and for claimed sessions."""
    await create(stores.one, "created", "first", "data")
    await create(stores.one, "claimed", "first", "data")
    await leave(stores.one, "claimed", "first", "data")
    await claim(stores.other, "claimed", "second")
    await kind.wait(LIFETIME_SECONDS * 3)
    assert await change(stores.one, "created", "first", "new")
    assert await change(stores.other, "claimed", "second", "new")
    assert await claim(stores.other, "created", "third") is not None


async def test_each_leave_starts_the_whole_lifetime(kind: Kind, stores: Stores) -> None:
    """A claim in between ends the earlier lifetime."""
    await create(stores.one, "key", "owner-0", "data")
    for number in range(3):
        await leave(stores.one, "key", f"owner-{number}", "data")
        await kind.wait(LIFETIME_SECONDS - 1)
        assert await claim(stores.one, "key", f"owner-{number + 1}") is not None
    await leave(stores.one, "key", "owner-3", "data")
    await kind.wait(LIFETIME_SECONDS + 1)
    assert await claim(stores.one, "key", "owner-4") is None


async def test_an_expired_session_does_not_exist_for_its_owner(kind: Kind, stores: Stores) -> None:
    """This holds for every call. A new session may have its key."""
    for key in ("change", "leave", "end", "create"):
        await create(stores.one, key)
        await leave(stores.one, key)
    await kind.wait(LIFETIME_SECONDS + 1)
    assert not await change(stores.one, "change", "first", "room")
    assert not await leave(stores.one, "leave", "first")
    assert not await stores.one.end("end", "first")
    assert await create(stores.one, "create", "second", "new", {"new": 1})
    assert await claim(stores.one, "create", "third") == SessionContent("new", {"new": 1})
    assert await claim(stores.one, "leave", "third") is None


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_sessions_outlive_their_server(kind: Kind) -> None:
    """This holds for sessions that were left, and for those still connected at the end."""
    log = await kind.open()
    await create(log.sessions, "left", "first", "a")
    await leave(log.sessions, "left", "first", "b")
    await create(log.sessions, "connected", "first", "c")
    await log.close()
    again = (await kind.open()).sessions
    assert await claim(again, "left", "second") == SessionContent("b", ROOMS)
    assert await claim(again, "connected", "second") == SessionContent("c", ROOMS)


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_without_a_leave_a_session_lives_from_its_servers_end(kind: Kind) -> None:
    """It lives for about the retention from then, and not forever."""
    log = await kind.open()
    await create(log.sessions, "short", "first", "data")
    await create(log.sessions, "long", "first", "data")
    await kind.wait(LIFETIME_SECONDS * 2)
    await log.close()
    again = (await kind.open()).sessions
    await kind.wait(LIFETIME_SECONDS - 1)
    assert await claim(again, "short", "second") is not None
    await kind.wait(LIFETIME_SECONDS)
    assert await claim(again, "long", "second") is None


# Superseded.


async def test_every_node_learns_of_a_claim(stores: Stores) -> None:
    """Both nodes get the key and the new owner, whichever node claimed the session."""
    one, other = stores.one.superseded(), stores.other.superseded()
    for name in ("a", "b"):
        await create(stores.one, name, "first", "data")
    await claim(stores.one, "a", "second")
    await claim(stores.other, "b", "third")
    expected = {Superseded("a", "second"), Superseded("b", "third")}
    for batches in (one, other):
        assert set(await receive(batches, 2)) == expected


async def test_claims_of_one_session_arrive_in_order(stores: Stores) -> None:
    """The last one names the present owner."""
    batches = stores.one.superseded()
    await create(stores.one, "key", "first", "data")
    owners = [f"owner-{number}" for number in range(10)]
    for number, owner in enumerate(owners):
        await claim(stores[number % 2], "key", owner)
    assert await receive(batches, 10) == [Superseded("key", owner) for owner in owners]


async def test_a_node_learns_only_of_claims_and_only_of_new_ones(stores: Stores) -> None:
    """Other changes of a session, and claims before the call of ``superseded``, do not count."""
    early = stores.one.superseded()
    await create(stores.one, "key", "first", "data")
    await change(stores.one, "key", "first", "room")
    await leave(stores.one, "key", "first", "data")
    await claim(stores.one, "never", "second")
    await claim(stores.one, "key", "second")
    assert await receive(early, 1) == [Superseded("key", "second")]
    late = stores.one.superseded()
    await claim(stores.one, "key", "third")
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


async def test_the_sessions_of_owners_that_have_left_are_counted(kind: Kind) -> None:
    """Not those of connected owners, and not those that have ended."""
    store = (await kind.node()).sessions
    for key in "abcd":
        await create(store, key)
    assert await store.count_left() == 0
    for key in "abc":
        await leave(store, key)
    assert await store.count_left() == 3
    assert await claim(store, "a", "second") is not None
    assert await store.end("b", "first")
    assert await store.count_left() == 1


# Closing and privacy.


CALLS: list[Callable[[SessionStore], Awaitable[object]]] = [
    lambda store: create(store, "secret-key", "owner", "secret-data"),
    lambda store: claim(store, "secret-key", "owner", "secret-identity"),
    lambda store: change(store, "secret-key", "owner", "secret-room"),
    lambda store: leave(store, "secret-key", "owner", "secret-data"),
    lambda store: store.end("secret-key", "owner"),
    lambda store: store.count_left(),
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
