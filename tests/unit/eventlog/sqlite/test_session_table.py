"""The table of the SQLite session store: bounded steps, exact counts, small writes."""

from __future__ import annotations

import apsw
import pytest

from sio_server.contract.errors import SessionsFull
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.session_contract import BRIEF_SECONDS, session_bytes
from sio_server.eventlog.sqlite import session_table
from sio_server.eventlog.sqlite.session_schema import SCHEMA
from sio_server.eventlog.sqlite.session_table import SessionTable
from tests.support.stores import DATA, IDENTITY, ROOMS

LIFETIME_SECONDS = 100
LIFETIME = LIFETIME_SECONDS * 1_000


@pytest.fixture
def connection() -> apsw.Connection:
    """Return a connection to an empty table."""
    opened = apsw.Connection(":memory:")
    opened.execute(SCHEMA)
    return opened


def keys(connection: apsw.Connection) -> list[str]:
    """Return the keys of the stored sessions."""
    return [key for (key,) in connection.execute("SELECT key FROM session ORDER BY key")]


def create(table: SessionTable, *keys: str) -> None:
    """Create sessions at the time 0."""
    for key in keys:
        assert table.create(0, key, "first", IDENTITY, DATA, ROOMS)


def leave(table: SessionTable, now: int, *keys: str) -> None:
    """Let the owners of sessions leave."""
    for key in keys:
        assert table.leave(now, key, "first", DATA, {}, ())


def counts(table: SessionTable) -> tuple[int, int, int]:
    """Return what a table counts: left sessions, their length, the connected ones' length."""
    return table._sessions_left, table._bytes_left, table._bytes_connected


@pytest.mark.parametrize("by", ["age", "number", "length"])
@pytest.mark.parametrize("bound", ["MAX_DROPPED_SESSIONS", "MAX_DROPPED_BYTES"])
def test_sessions_are_dropped_in_bounded_steps(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch, bound: str, by: str
) -> None:
    """A step drops so many sessions, or sessions of such a length, from the oldest on."""
    table = SessionTable(connection, Retention(LIFETIME_SECONDS))
    names = [f"{number:02}" for number in range(25)]
    create(table, *names)
    leave(table, 0, *names)
    length = counts(table)[1] // 25
    retention = {
        "age": Retention(LIFETIME_SECONDS),
        "number": Retention(1_000, sessions=0),
        "length": Retention(1_000, session_bytes=0),
    }[by]
    table = SessionTable(connection, retention)
    monkeypatch.setattr(session_table, bound, 10 * (length if bound.endswith("BYTES") else 1))
    for oldest in (10, 20):
        assert table.trim(LIFETIME + 1)
        assert keys(connection) == names[oldest:]
    assert not table.trim(LIFETIME + 1)
    assert keys(connection) == []
    assert connection.execute("SELECT count(*) FROM session_room").get == 0


def test_a_step_drops_no_session_that_may_stay(connection: apsw.Connection) -> None:
    """Neither one in its last millisecond, nor one of a connected owner."""
    table = SessionTable(connection, Retention(LIFETIME_SECONDS, sessions=1))
    create(table, "a", "b")
    leave(table, 0, "a")
    assert not table.trim(LIFETIME)
    assert keys(connection) == ["a", "b"]
    assert not table.trim(LIFETIME + 1)
    assert keys(connection) == ["b"]


def test_new_sessions_wait_until_left_ones_are_dropped(connection: apsw.Connection) -> None:
    """Otherwise all sessions together could exceed both bounds."""
    length = session_bytes(IDENTITY, DATA, ROOMS)
    table = SessionTable(connection, Retention(LIFETIME_SECONDS, session_bytes=2 * length))
    create(table, "a", "b")
    leave(table, 0, "a", "b")
    create(table, "c", "d")
    leave(table, 0, "c")
    assert not table.create(0, "e", "first", IDENTITY, DATA, ROOMS)
    assert isinstance(table.change(0, "d", "first", {"room": 0}, ()), SessionsFull)
    table.trim(0)
    create(table, "e")


def test_expired_sessions_are_dropped_before_all_others(connection: apsw.Connection) -> None:
    """They do not take the place of brief sessions that may stay."""
    table = SessionTable(connection, Retention(LIFETIME_SECONDS, sessions=2))
    create(table, "a", "b")
    leave(table, BRIEF_SECONDS * 1_000, "a", "b")
    now = LIFETIME + BRIEF_SECONDS * 1_000 + 1
    for key in ("c", "d"):
        table.create(now, key, "first", IDENTITY, DATA, ROOMS)
    leave(table, now, "c", "d")
    assert not table.trim(now)
    assert keys(connection) == ["c", "d"]


def test_a_new_table_has_the_counts_of_the_old_one(connection: apsw.Connection) -> None:
    """It counts again after a failure or a restart."""
    retention = Retention(LIFETIME_SECONDS, sessions=8)
    table = SessionTable(connection, retention)
    create(table, *"abcdefghijkl")
    leave(table, 0, *"bcdefghijkl")
    table.claim(0, "b", "second", IDENTITY)
    table.change(0, "b", "second", {"a": 1, "catalog": 2}, ["material:roble", "unknown"])
    table.leave(1, "c", "first", "", {"b": 1}, ["catalog"])
    table.end(1, "d", "first")
    table.trim(1)
    assert counts(SessionTable(connection, retention)) == counts(table)
    assert counts(table)[0] == 8
    table.mark_all_left(2)
    assert counts(SessionTable(connection, retention)) == counts(table)
    assert counts(table)[::2] == (10, 0)
    table.trim(LIFETIME + 3)
    assert counts(SessionTable(connection, retention)) == counts(table) == (0, 0, 0)


def test_the_sessions_of_a_server_that_ended_left_last(connection: apsw.Connection) -> None:
    """They lasted until the server starts again."""
    table = SessionTable(connection, Retention(LIFETIME_SECONDS))
    create(table, "a", "b")
    table.create(1, "brief", "first", IDENTITY, DATA, ROOMS)
    leave(table, BRIEF_SECONDS * 1_000, "b")
    table.mark_all_left(BRIEF_SECONDS * 1_000)
    query = "SELECT key FROM session ORDER BY brief DESC, departure"
    assert [key for (key,) in connection.execute(query)] == ["brief", "b", "a"]


def test_a_new_table_continues_the_order_of_the_leaves(connection: apsw.Connection) -> None:
    """The order does not depend on the clock."""
    create(SessionTable(connection, Retention(LIFETIME_SECONDS)), *"abcd")
    for key in "cbda":
        leave(SessionTable(connection, Retention(LIFETIME_SECONDS)), 5, key)
    query = "SELECT key FROM session ORDER BY brief DESC, departure"
    assert [key for (key,) in connection.execute(query)] == ["c", "b", "d", "a"]


def test_a_change_writes_only_the_rooms_that_change(connection: apsw.Connection) -> None:
    """However many rooms the session has. A leave without a change writes no room."""
    table = SessionTable(connection, Retention(LIFETIME_SECONDS))
    rooms = {f"material:{number}": 0 for number in range(1_000)}
    table.create(0, "key", "first", IDENTITY, DATA, rooms)
    before = connection.total_changes()
    table.change(0, "key", "first", {"new": 1}, ["material:1", "material:2"])
    assert connection.total_changes() - before == 4, "three rooms, and the session"
    table.leave(0, "key", "first", DATA, {}, ())
    assert connection.total_changes() - before == 5
