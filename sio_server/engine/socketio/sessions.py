"""The seam to an application that stores Socket.IO sessions, so that clients can recover them.

The engine speaks the wire side of connection state recovery: the CONNECT response has the ``sid``
and the ``pid``, then the missed events follow, then the live events. The application
stores the sessions and the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from socketio.exceptions import ConnectionRefusedError

from sio_server.engine.engineio.session import EngineSession

Refused = ConnectionRefusedError
"""Refuses a client: python-socketio's exception, with the message and the data for the client."""


@dataclass(frozen=True, slots=True)
class AcceptedSession:
    """The session of an accepted client: a new or a recovered one.

    Attributes:
        sid: the id of a recovered session; None: the session is new and gets an id.
        pid: the secret by which the client can recover the session later; None: it can't.
        rooms: the rooms that the client joins again.
        missed_events: the missed events with their arguments, in order. They are sent before any
            live event.
    """

    sid: str | None = None
    pid: str | None = None
    rooms: Iterable[str] = ()
    missed_events: Iterable[tuple[Any, ...]] = ()


class SessionsUnavailable(Exception):
    """Sessions can't be looked up at present.

    The transport is closed without a Socket.IO error, so that the client keeps its session and
    connects again.
    """


class SessionRegistry(Protocol):
    """The application's store of sessions."""

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Return the session that ``auth["pid"]`` names, or a new one.

        If an older connection still has the returned session, the engine ends that connection and
        then calls ``open`` again with the same arguments.

        Args:
            session: the Engine.IO session.
            namespace: the namespace that the client connects to.
            auth: the payload of the CONNECT packet. Its ``offset`` is the offset of the last event
                that the client has received.

        Raises:
            SessionsUnavailable: sessions can't be looked up at present.
            Refused: the client may not connect.
        """

    async def disconnected(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Note that a client has disconnected.

        Args:
            session: the client's Engine.IO session.
            namespace: the namespace that the client was connected to.
            sid: the client's id in the namespace.
            rooms: the client's rooms, without its own.
            permanently: the client or the server has disconnected it on purpose, so that it can't
                recover its session. False if only the transport has closed.
        """
