"""Where Socket.IO sessions that outlive their connection come from: a seam, and its words.

The engine keeps the wire side of connection state recovery: CONNECT's answer carries ``sid`` and
``pid``, then what was missed follows, then what is live. Who remembers sessions and events is the
application's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sio_server.engine.engineio.session import EngineSession


@dataclass(frozen=True, slots=True)
class AcceptedSession:
    """A session that a client begins, or comes back to.

    Attributes:
        sid: the id that it had; None: it is new and gets one.
        pid: the secret that names it to whoever comes back; None: nobody can.
        rooms: those that it is in again.
        missed: events with their arguments, in order, which it gets before anything live.
    """

    sid: str | None = None
    pid: str | None = None
    rooms: Iterable[str] = ()
    missed: Iterable[tuple[Any, ...]] = ()


class SessionsUnavailable(Exception):
    """A session can't be looked up at present: the transport is closed, so that the client retries.

    It is told nothing, since it would give its session up.
    """


class SessionRegistry(Protocol):
    """Remembers sessions."""

    async def open(
        self, session: EngineSession, namespace: str, auth: Mapping[str, Any]
    ) -> AcceptedSession:
        """Return the session that ``auth["pid"]`` names, or a new one.

        It is asked again, with the same arguments, once the older connection of the session that it
        returned has ended.

        Args:
            session: the Engine.IO session.
            namespace: which is connected to.
            auth: the payload of CONNECT; ``offset`` is what the client says that it got last.

        Raises:
            NotNow: it can't be told.
            socketio.exceptions.ConnectionRefusedError: the client may not connect.
        """

    async def left(
        self,
        session: EngineSession,
        namespace: str,
        sid: str,
        rooms: Iterable[str],
        *,
        permanently: bool,
    ) -> None:
        """Note that a session's client is gone.

        Args:
            session: the Engine.IO session that carried it.
            namespace: which it was connected to.
            sid: its id there.
            rooms: those that it was in.
            for_good: one side has disconnected it; the end of a transport does not.
        """
