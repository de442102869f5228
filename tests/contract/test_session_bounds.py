"""One suite for every session store: how much it keeps, and which sessions it drops first."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from sio_server.contract.errors import SessionsFull
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.sessions import MemorySessions
from sio_server.eventlog.session_contract import (
    BRIEF_SECONDS,
    ROOM_OVERHEAD_BYTES,
    SESSION_OVERHEAD_BYTES,
    SessionContent,
    SessionStore,
    session_bytes,
)
from tests.contract.session_kinds import DURABLE, Kind
from tests.support.stores import DATA, IDENTITY, ROOMS, change, claim, create, leave

LENGTH = session_bytes(IDENTITY, DATA, ROOMS)
"""The length of the sessions of these tests, unless they say something else."""


async def open_store(kind: Kind, sessions: int = 1_000, length: int = 1_000_000) -> SessionStore:
    """Open a store with these bounds; its sessions live for an hour."""
    kind.retention = Retention(3_600, sessions=sessions, session_bytes=length)
    return (await kind.node()).sessions


async def create_and_leave(store: SessionStore, *keys: str) -> None:
    """Create sessions of consumers that leave at once, one after another."""
    for key in keys:
        await create(store, key)
        await leave(store, key)


async def claimed(store: SessionStore, keys: Iterable[str]) -> str:
    """Claim sessions, each with a key of one letter; return the keys that the store has."""
    return "".join([key for key in keys if await claim(store, key, "claimant") is not None])


def test_the_length_of_a_session_is_that_of_its_texts_in_utf_8() -> None:
    """The overheads of the session and of each room are added."""
    overhead = SESSION_OVERHEAD_BYTES + 2 * ROOM_OVERHEAD_BYTES
    assert session_bytes("ñ", "\U0001fa91", ["a", "ññ"]) == overhead + 2 + 4 + 1 + 4


# The sessions of owners that have left.


@pytest.mark.parametrize(("keys", "kept"), [("abc", "abc"), ("abcd", "bcd"), ("abcdef", "def")])
async def test_the_number_of_left_sessions_is_bounded(kind: Kind, keys: str, kept: str) -> None:
    """Beyond the bound, the session whose owner left first is dropped."""
    store = await open_store(kind, sessions=3)
    await create_and_leave(store, *keys)
    assert await claimed(store, keys) == kept


@pytest.mark.parametrize(("spare", "kept"), [(0, "abc"), (-1, "bc")])
async def test_the_length_of_left_sessions_is_bounded(kind: Kind, spare: int, kept: str) -> None:
    """All of their texts count, in UTF-8."""
    data, rooms = "ñ" * 50, {"material:ñ": 1, "author:\U0001fa91": 2}
    store = await open_store(kind, length=3 * session_bytes(IDENTITY, data, rooms) + spare)
    for key in "abc":
        await create(store, key, rooms=rooms)
        await leave(store, key, data=data)
    assert await claimed(store, "abc") == kept


async def test_a_long_session_drops_as_many_short_ones_as_it_must(kind: Kind) -> None:
    """A session that exceeds the bound alone is dropped, too."""
    store = await open_store(kind, length=20 * LENGTH)
    keys = "abcdefghij"
    await create_and_leave(store, *keys)
    await create(store, "z", rooms={"r" * (15 * LENGTH - session_bytes(IDENTITY, DATA, [""])): 0})
    await leave(store, "z")
    assert await claimed(store, keys) == "fghij"
    await create(store, "y")
    await leave(store, "y", data="x" * 20 * LENGTH)
    assert await claimed(store, "zy") == ""


async def test_changed_rooms_and_data_count(kind: Kind) -> None:
    """A change, and the leave itself, make a session longer or shorter."""
    store = await open_store(kind, length=2 * LENGTH)
    await create(store, "a")
    await change(store, "a", "first", "another", removed=["catalog"])
    await change(store, "a", "first", "catalog", removed=["another"])
    await leave(store, "a")
    await create(store, "b", rooms={})
    await store.leave("b", "first", DATA, ROOMS, ["unknown"])
    assert await claimed(store, "ab") == "ab"
    await leave(store, "a", "claimant")
    await store.leave("b", "claimant", DATA, {"catalog": 5, "room": 1}, ["material:roble"])
    assert await claimed(store, "ab") == "ab", "the new room is shorter than the old one"
    await leave(store, "a", "claimant")
    await store.leave("b", "claimant", DATA, {"material:roble": 5}, [])
    assert await claimed(store, "ab") == "b"


async def test_brief_sessions_are_dropped_first(kind: Kind) -> None:
    """Then come the others. In each group, the order of the leaves counts."""
    store = await open_store(kind, sessions=4)
    for key in "dcba":
        await create(store, key)
    await kind.wait(BRIEF_SECONDS)
    for key in "stuv":
        await create(store, key)
    for key in "abtsc":
        await leave(store, key)
    assert await claimed(store, "t") == "", "t is brief, and left before s"
    await leave(store, "u")
    assert await claimed(store, "s") == ""
    await leave(store, "v")
    assert await claimed(store, "u") == ""
    await leave(store, "d")
    assert await claimed(store, "v") == ""
    await create(store, "e")
    await kind.wait(BRIEF_SECONDS)
    await leave(store, "e")
    assert await claimed(store, "abcde") == "bcde"


@pytest.mark.parametrize(("seconds", "kept"), [(BRIEF_SECONDS, "a"), (BRIEF_SECONDS - 1, "b")])
async def test_a_session_of_a_minute_is_not_brief(kind: Kind, seconds: float, kept: str) -> None:
    """One second less, and it is brief: then the store drops it before "b", which left later."""
    store = await open_store(kind, sessions=1)
    await create(store, "a")
    await kind.wait(seconds)
    await create(store, "b")
    await leave(store, "a")
    await leave(store, "b")
    assert await claimed(store, "ab") == kept


async def test_a_claim_continues_a_session(kind: Kind) -> None:
    """Its whole time counts, from its creation to its last leave."""
    store = await open_store(kind, sessions=1)
    await create_and_leave(store, "a")
    await kind.wait(BRIEF_SECONDS)
    await claim(store, "a", "second")
    await leave(store, "a", "second")
    await create_and_leave(store, "b")
    assert await claimed(store, "ab") == "a"


async def test_claimed_ended_and_expired_sessions_do_not_count(kind: Kind) -> None:
    """They make room for others."""
    store = await open_store(kind, sessions=2)
    await create_and_leave(store, "a", "b")
    await claim(store, "a", "second")
    await create_and_leave(store, "c")
    assert await claim(store, "b", "second") is not None
    await store.end("c", "first")
    await create_and_leave(store, "d", "e")
    assert await claim(store, "d", "second") is not None
    await kind.wait(3_601)
    await create_and_leave(store, "f", "g")
    assert await claimed(store, "abcdefg") == "abdfg"


async def test_expired_sessions_are_dropped_before_brief_ones(kind: Kind) -> None:
    """Otherwise a session that nobody can claim would take the place of another one."""
    store = await open_store(kind, sessions=3)
    await create(store, "a")
    await create(store, "b")
    await kind.wait(BRIEF_SECONDS)
    await leave(store, "a")
    await leave(store, "b")
    await kind.wait(3_570)
    await create_and_leave(store, "c")
    await kind.wait(31)
    await create_and_leave(store, "d")
    assert await claimed(store, "abcd") == "cd"


async def test_a_repeated_leave_counts_once(kind: Kind) -> None:
    """The last one decides about the order."""
    store = await open_store(kind, sessions=2)
    await create_and_leave(store, "a", "b")
    for _ in range(3):
        await leave(store, "a")
    await create_and_leave(store, "c")
    assert await claimed(store, "abc") == "ac"


async def test_connected_sessions_do_not_count_as_left(kind: Kind) -> None:
    """Neither by number nor by length."""
    store = await open_store(kind, sessions=1, length=6 * LENGTH)
    for key in "abcde":
        await create(store, key)
    await create_and_leave(store, "f")
    assert await claimed(store, "abcdef") == "abcdef"


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_the_sessions_of_a_server_that_has_ended_count_as_left(kind: Kind) -> None:
    """They are bounded as if their owners had left when the server ended."""
    store = await open_store(kind, sessions=3, length=6 * LENGTH)
    await create(store, "a")
    await kind.wait(BRIEF_SECONDS)
    for key in "bcdef":
        await create(store, key)
    await leave(store, "b")
    await kind.logs.pop().close()
    store = (await kind.open()).sessions
    await kind.wait(BRIEF_SECONDS)  # until the leases have ended
    await create(store, "x")  # the fifth connected session: there is space for it
    kept = await claimed(store, "abcdef")
    assert len(kept) == 3
    assert "a" in kept, "it is not brief"
    assert "b" not in kept, "it left before the others"


# The sessions of connected owners.


async def test_the_length_of_connected_sessions_is_bounded(kind: Kind) -> None:
    """If there is no space for a new session, it is not stored. Any end of another makes space."""
    store = await open_store(kind, length=2 * LENGTH)
    assert await create(store, "a")
    assert await create(store, "b", data=DATA + "x") is False
    assert not await change(store, "b", "first", "room")
    assert await claim(store, "b", "second") is None
    assert await create(store, "b")
    assert not await create(store, "c")
    await leave(store, "a")
    assert await create(store, "c")
    await store.end("c", "first")
    assert await create(store, "d")
    assert await create(store, "d"), "it is stored already"
    assert not await create(store, "e")


async def test_a_change_that_has_no_space_is_refused(kind: Kind) -> None:
    """It changes nothing, and other changes are possible."""
    free = ROOM_OVERHEAD_BYTES + 10
    store = await open_store(kind, length=2 * LENGTH + free)
    await create(store, "a")
    await create(store, "b")
    with pytest.raises(SessionsFull):
        await change(store, "a", "first", "r" * 11, removed=["unknown"])
    with pytest.raises(SessionsFull):
        await change(store, "a", "first", "r", "s", "t", removed=["catalog"])
    assert await change(store, "a", "first", "r" * 10)
    with pytest.raises(SessionsFull):
        await change(store, "b", "first", "")
    assert await store.change("a", "first", {"r" * 10: 5}, ()), "only its number changes"
    assert await change(store, "a", "first", removed=["r" * 10])
    assert await change(store, "b", "first", "s" * 10)
    assert await claim(store, "a", "second") == SessionContent(DATA, dict(ROOMS))
    assert await claim(store, "b", "second") == SessionContent(DATA, {**ROOMS, "s" * 10: 1})


async def test_a_claim_needs_space_if_the_owner_has_left(kind: Kind) -> None:
    """Without it, the session stays as it is. A connected owner can always be superseded."""
    store = await open_store(kind, length=2 * LENGTH)
    await create_and_leave(store, "a")
    await create(store, "b")
    await create(store, "c")
    assert await claim(store, "b", "second") is not None
    assert await claim(store, "a", "second") is None
    await leave(store, "c")
    assert await claim(store, "a", "second") is not None
    assert await claim(store, "c", "second") is None


# Both.


@pytest.mark.parametrize("seed", range(4))
async def test_every_store_keeps_the_same_sessions(kind: Kind, seed: int) -> None:
    """Every answer to random calls is the answer of the store in memory."""
    choose = random.Random(seed)
    store = await open_store(kind, sessions=3, length=5 * LENGTH)
    model = MemorySessions(kind.retention, kind.clock)
    owners: dict[str, str] = {}
    rooms = ["", "catalog", "material:roble", "author:ñ" + "x" * 200]
    for number in range(250):
        key = choose.choice("abcdefgh")
        owner = owners.get(key, "") if choose.random() < 0.9 else "nobody"
        added = {room: number for room in rooms if choose.random() < 0.3}
        removed = [room for room in rooms if room not in added and choose.random() < 0.3]
        answers: list[object] = []
        call = choose.choice(["create", "claim", "change", "leave", "leave", "end", "wait"])
        for each in (model, store):
            match call:
                case "create":
                    answer: object = await each.create(key, str(number), IDENTITY, DATA, added)
                case "claim":
                    answer = await each.claim(key, str(number), IDENTITY)
                case "change":
                    try:
                        answer = await each.change(key, owner, added, removed)
                    except SessionsFull:
                        answer = SessionsFull
                case "leave":
                    answer = await each.leave(key, owner, DATA, added, removed)
                case "end":
                    answer = await each.end(key, owner)
                case _:
                    answer = None
            answers.append(answer)
        assert answers[0] == answers[1], f"{number}: {call} {key}"
        if call in ("create", "claim") and answers[0]:
            owners[key] = str(number)
        if call == "wait":
            await kind.wait(choose.choice([20, BRIEF_SECONDS, 1_801]))
