"""The tables of the SQLite session store, and how a file of an older schema gets them."""

from __future__ import annotations

import apsw

from sio_server.eventlog.session_contract import ROOM_OVERHEAD_BYTES, SESSION_OVERHEAD_BYTES

MAX_UPGRADED_SESSIONS = 50_000
"""How many sessions the upgrade of a file keeps at most: the ones whose owners left last."""

SCHEMA = """
    CREATE TABLE session (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        identity TEXT NOT NULL,
        data TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        created INTEGER NOT NULL,
        gone INTEGER,
        brief INTEGER,
        departure INTEGER
    ) STRICT;
    CREATE INDEX session_left ON session (brief, departure) WHERE brief IS NOT NULL;
    CREATE TABLE session_room (
        session INTEGER NOT NULL,
        room TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (session, room)
    ) STRICT, WITHOUT ROWID;
"""
"""``created`` and ``gone``: when the session was created and when its owner left, in milliseconds.
``brief``: 1 if the session is brief, otherwise 0. ``departure`` counts the owners that left, in
their order. The last three are null while the owner is connected."""


def upgrade_from_2(connection: apsw.Connection) -> None:
    """Replace the table of schema 2, which stored a session as one text; keep the last sessions.

    Their age is unknown, so they count as not brief.
    """
    connection.execute("ALTER TABLE session RENAME TO old_session; DROP INDEX session_gone;")
    connection.execute(SCHEMA)
    connection.execute(
        """
        INSERT INTO session (key, owner, identity, data, bytes, created)
            SELECT key, owner, data ->> 'identity', json_remove(data, '$.identity', '$.rooms'),
                0, 0
            FROM old_session ORDER BY gone IS NOT NULL, gone DESC LIMIT ?
        """,
        (MAX_UPGRADED_SESSIONS,),
    )
    connection.execute(
        """
        UPDATE session SET gone = old_session.gone, brief = 0, departure = old_session.gone
            FROM old_session WHERE old_session.key = session.key AND old_session.gone IS NOT NULL;
        INSERT INTO session_room SELECT session.id, room.key, room.value
            FROM session JOIN old_session USING (key),
                json_each(old_session.data, '$.rooms') AS room;
        DROP TABLE old_session;
        """
    )
    connection.execute(
        """
        UPDATE session SET bytes = :session + length(CAST(identity AS BLOB))
            + length(CAST(data AS BLOB)) + coalesce((
                SELECT sum(:room + length(CAST(room AS BLOB)))
                FROM session_room WHERE session_room.session = session.id
            ), 0)
        """,
        {"session": SESSION_OVERHEAD_BYTES, "room": ROOM_OVERHEAD_BYTES},
    )
