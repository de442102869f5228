"""The result of a session registry."""

from __future__ import annotations

import dataclasses

import pytest

from sio_server.engine.socketio.sessions import AcceptedSession


def test_an_accepted_session_is_new_and_not_recoverable_by_default() -> None:
    """The server uses it if it has no session registry."""
    accepted = AcceptedSession()
    assert (accepted.sid, accepted.pid) == (None, None)
    assert [*accepted.rooms, *accepted.missed_events] == []


def test_an_accepted_session_cannot_be_changed() -> None:
    """A registry may return the same one again."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        AcceptedSession().sid = "other"  # type: ignore[misc]
