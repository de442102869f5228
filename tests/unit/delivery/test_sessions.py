"""Sessions of consumers: stored, claimed by the newest connection, ended."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping

import pytest

from sio_server.contract.errors import LogUnavailable, SessionsFull
from sio_server.delivery.resume import LastSeen, SessionPast
from sio_server.delivery.sessions import ConsumerSession, ConsumerSessions
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.sessions import MemorySessions
from sio_server.eventlog.session_contract import SessionContent
from tests.unit.delivery.node import offset

IDENTITY = "anonymous"
MAX_BYTES = 2_000
"""There is space for one session, and a little more."""


@pytest.fixture
async def store() -> AsyncIterator[MemorySessions]:
    """Return an empty session store."""
    made = MemorySessions(Retention(60, session_bytes=MAX_BYTES), time.time)
    yield made
    made.close()


@pytest.fixture
def sessions(store: MemorySessions) -> ConsumerSessions:
    """Return the sessions over the store."""
    return ConsumerSessions(store)


def new_session(*, gap: bool = False) -> ConsumerSession:
    """Return a session that is not stored yet."""
    return ConsumerSession("sid", IDENTITY, offset(3), {"catalog": 0, "furniture:1": 7}, gap)


def test_every_session_has_a_secret_of_its_own() -> None:
    """It has at least 128 bits, and neither ``repr`` nor the store's key shows it."""
    one, other = new_session(), new_session()
    assert one.pid != other.pid
    assert len(one.pid) >= 22  # base64: 6 bits a character
    assert one.pid not in repr(one)
    assert one.pid not in one.key


@pytest.mark.parametrize("gap", [False, True])
async def test_a_claimed_session_is_the_stored_one(sessions: ConsumerSessions, gap: bool) -> None:
    """The claim changes its owner only. Without a disconnect, its past has no last place."""
    session = new_session(gap=gap)
    assert await sessions.begin(session)
    stored = await sessions.claim(session.pid, IDENTITY)
    assert stored is not None
    claimed = stored.session
    assert claimed.identity == IDENTITY
    assert claimed.owner != session.owner
    assert (claimed.sid, claimed.pid, claimed.key) == (session.sid, session.pid, session.key)
    assert (claimed.start, claimed.rooms) == (session.start, session.rooms)
    assert stored.past == SessionPast(session.start, gap, None)


async def test_a_claimed_session_has_the_last_place_of_its_consumer(
    sessions: ConsumerSessions,
) -> None:
    """The last place is stored when the consumer leaves."""
    session = new_session()
    await sessions.begin(session)
    last_seen = LastSeen(offset(9), 8)
    await sessions.leave(session, last_seen)
    stored = await sessions.claim(session.pid, IDENTITY)
    assert stored is not None
    assert stored.past.last_seen == last_seen


@pytest.mark.parametrize("pid", ["", "unknown", "\ud800"])
async def test_an_unknown_secret_names_no_session(sessions: ConsumerSessions, pid: str) -> None:
    """Any text may come from a client."""
    await sessions.begin(new_session())
    assert await sessions.claim(pid, IDENTITY) is None


async def test_another_identity_does_not_get_the_session(sessions: ConsumerSessions) -> None:
    """Its owner keeps the session, and can change it."""
    session = new_session()
    await sessions.begin(session)
    assert await sessions.claim(session.pid, "key") is None
    await sessions.save(session, {"catalog": 0})
    assert await sessions.claim(session.pid, IDENTITY) is not None


async def test_a_session_without_space_is_not_stored(sessions: ConsumerSessions) -> None:
    """Its consumer can connect, but not recover."""
    assert await sessions.begin(new_session())
    session = new_session()
    assert not await sessions.begin(session)
    assert await sessions.claim(session.pid, IDENTITY) is None


async def test_a_change_of_rooms_is_stored(sessions: ConsumerSessions) -> None:
    """A recovered consumer is in the rooms of the last change."""
    session = new_session()
    await sessions.begin(session)
    await sessions.save(session, {"material:roble": 4})
    assert session.rooms == {"material:roble": 4}
    stored = await sessions.claim(session.pid, IDENTITY)
    assert stored is not None
    assert stored.session.rooms == {"material:roble": 4}


async def test_a_superseded_connection_cannot_change_the_session(
    sessions: ConsumerSessions,
) -> None:
    """Its change fails, and it keeps the rooms that it had."""
    session = new_session()
    await sessions.begin(session)
    await sessions.claim(session.pid, IDENTITY)
    before = dict(session.rooms)
    with pytest.raises(LogUnavailable):
        await sessions.save(session, {"catalog": 0})
    assert session.rooms == before
    await sessions.end(session)
    assert await sessions.claim(session.pid, IDENTITY) is not None


async def test_a_failed_change_does_not_change_the_rooms(
    sessions: ConsumerSessions, store: MemorySessions
) -> None:
    """If the store fails, the rooms in memory are those of the store."""
    session = new_session()
    await sessions.begin(session)
    before = dict(session.rooms)
    store.close()
    with pytest.raises(LogUnavailable):
        await sessions.save(session, {"catalog": 0})
    assert session.rooms == before


async def test_a_change_without_space_does_not_change_the_rooms(
    sessions: ConsumerSessions,
) -> None:
    """The next change is stored, without the refused room."""
    session = new_session()
    await sessions.begin(session)
    before = dict(session.rooms)
    with pytest.raises(SessionsFull):
        await sessions.save(session, {**before, "author:" + "x" * MAX_BYTES: 5})
    assert session.rooms == before
    await sessions.save(session, {**before, "author:Eva": 6})
    stored = await sessions.claim(session.pid, IDENTITY)
    assert stored is not None
    assert stored.session.rooms == {**before, "author:Eva": 6}


class RecordingStore(MemorySessions):
    """A store that records the changes, and whose answer to a change may be lost.

    Attributes:
        changes: the added and the removed rooms of each change and leave.
        lose_answers: whether the caller learns nothing about changes that are stored.
    """

    def __init__(self) -> None:
        super().__init__(Retention(), time.time)
        self.changes: list[tuple[dict[str, int], set[str]]] = []
        self.lose_answers = False

    async def change(
        self, key: str, owner: str, added: Mapping[str, int], removed: Collection[str]
    ) -> bool:
        """Record and store a change."""
        self.changes.append((dict(added), set(removed)))
        changed = await super().change(key, owner, added, removed)
        if self.lose_answers:
            raise LogUnavailable("the answer is lost")
        return changed

    async def leave(
        self, key: str, owner: str, data: str, added: Mapping[str, int], removed: Collection[str]
    ) -> bool:
        """Record and store a leave."""
        self.changes.append((dict(added), set(removed)))
        return await super().leave(key, owner, data, added, removed)


async def test_only_the_rooms_that_change_are_written() -> None:
    """Neither a change nor a leave writes the whole list."""
    store = RecordingStore()
    sessions, session = ConsumerSessions(store), new_session()
    await sessions.begin(session)
    await sessions.save(session, {**session.rooms, "author:Eva": 8})
    await sessions.save(session, {"author:Eva": 9, "catalog": 0})
    await sessions.leave(session, LastSeen(offset(9), 8))
    assert store.changes == [
        ({"author:Eva": 8}, set()),
        ({"author:Eva": 9}, {"furniture:1"}),
        ({}, set()),
    ]


@pytest.mark.parametrize("call", ["save", "leave"])
async def test_a_change_whose_answer_is_lost_is_undone_by_the_next_call(call: str) -> None:
    """The client was told that it failed. So a recovery must not find the rooms changed."""
    store = RecordingStore()
    sessions, session = ConsumerSessions(store), new_session()
    await sessions.begin(session)
    before = dict(session.rooms)
    store.lose_answers = True
    with pytest.raises(LogUnavailable):
        await sessions.save(session, {"catalog": 0, "author:Eva": 8})
    store.lose_answers = False
    assert session.rooms == before
    if call == "save":
        await sessions.save(session, {**before, "author:Juan": 9})
        before["author:Juan"] = 9
    else:
        await sessions.leave(session, LastSeen(offset(9), 8))
    content = await store.claim(session.key, "another", IDENTITY)
    assert isinstance(content, SessionContent)
    assert content.rooms == before


async def test_an_ended_session_cannot_be_claimed(sessions: ConsumerSessions) -> None:
    """A DISCONNECT ends a session permanently."""
    session = new_session()
    await sessions.begin(session)
    await sessions.end(session)
    assert await sessions.claim(session.pid, IDENTITY) is None
