"""One Socket.IO client: its outlet, the ``auth`` of its handshake, and its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sio_server.access.rates import RateLimit
from sio_server.access.sources import Source
from sio_server.contract import strictjson
from sio_server.contract.errors import ContractError, Flooding, InvalidMessage, RateLimited
from sio_server.contract.events import Offset, Record
from sio_server.contract.rooms import parse_rooms
from sio_server.delivery.connections import Connection
from sio_server.delivery.fanout import CaughtUp
from sio_server.delivery.resume import ResumeRequest, Start
from sio_server.engine import EngineSession, ProtocolError
from sio_server.net.frames import Frame

_EVENT = "42"  # Engine.IO MESSAGE, Socket.IO EVENT, namespace /


class SocketIOOutlet:
    """Writes events with the offset as the second argument. A recovering client sends it back.

    Args:
        session: the client's Engine.IO session.
    """

    __slots__ = ("_session", "write")

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self.write = session.write

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the frame of an event."""
        return Frame(_EVENT + record.event_arguments)

    def write_all(self, frames: Sequence[Frame]) -> bool:
        """Write several frames in one piece."""
        return self._session.write_all(frames)

    def unacknowledged_bytes(self) -> int:
        """Return how many written bytes the client's machine has not acknowledged."""
        return self._session.unacknowledged_bytes()

    async def drain(self) -> None:
        """Wait until the session's buffer is well below its bound."""
        await self._session.drain()

    def drop(self) -> None:
        """End the transport. The client may connect again."""
        self._session.end("transport error")


class OneArgumentOutlet(SocketIOOutlet):
    """Writes events without the offset, for clients whose handlers take one argument."""

    __slots__ = ()

    @staticmethod
    def encode(record: Record) -> Frame:
        """Return the frame of an event."""
        return Frame(_EVENT + record.event_argument)


class ConnectAuth(NamedTuple):
    """The ``auth`` of a handshake, checked.

    Attributes:
        token: the credential, or None.
        rooms: the rooms of the client; None while it names none and its default is not known.
        since: the offset after which it asks for events, or None.
        pid: the secret of a session that it wants to recover, unchecked; or None.
        offset: the offset of its last event in that session, unchecked.
        recovery: whether it wants a session, and offsets with its events.
    """

    token: str | None
    rooms: frozenset[str] | None
    since: Offset | None
    pid: object
    offset: object
    recovery: bool

    @classmethod
    def parse(cls, auth: Mapping[str, Any], max_json_depth: int) -> ConnectAuth:
        """Check the ``auth`` of a handshake.

        Raises:
            ContractError: a value is bad.
        """
        strictjson.check(auth, max_json_depth)
        token, rooms, since = auth.get("token"), auth.get("rooms"), auth.get("since")
        if token is not None and not isinstance(token, str):
            raise InvalidMessage("auth.token must be a string")
        if "room" in auth:
            raise InvalidMessage("auth has no room; did you mean rooms?")
        if isinstance(rooms, str):  # of a client whose auth holds strings only
            is_json = rooms.lstrip().startswith("[")
            rooms = strictjson.loads(rooms, max_json_depth) if is_json else [rooms]
        if rooms is not None and not isinstance(rooms, list):
            raise InvalidMessage("auth.rooms must be a list")
        return cls(
            token,
            None if rooms is None else parse_rooms(rooms),
            None if since is None else Offset.parse(since),
            auth.get("pid"),
            auth.get("offset"),
            auth.get("recovery") not in (False, "false"),
        )

    @property
    def past(self) -> ResumeRequest:
        """What the client says about its past."""
        claims_session = self.recovery and self.pid is not None
        return ResumeRequest(self.since, claims_session, self.offset, bool(self.rooms))


class SocketIOClient:
    """One Socket.IO client: the guest of an Engine.IO session; see ``Guest``.

    Args:
        source: the address from which it opened its Engine.IO session.
        bearer: the credential in the ``Authorization`` header of its handshake, or None.
        rate: the limit for its commands.
        leave: called once when the session has ended.

    Attributes:
        session: its Engine.IO session; set by its first CONNECT.
        connects: the number of its CONNECT packets.
        connection: None until the handshake has succeeded.
        decide: returns its start, given the head; set by the handshake.
    """

    __slots__ = (
        "bearer",
        "connection",
        "connects",
        "decide",
        "leave",
        "rate",
        "session",
        "source",
    )

    def __init__(
        self, source: Source, bearer: str | None, rate: RateLimit, leave: Callable[[], None]
    ) -> None:
        self.leave = leave
        self.source = source
        self.bearer = bearer
        self.rate = rate
        self.connects = 0
        self.connection: Connection | None = None
        self.session: EngineSession
        self.decide: Callable[[Offset], Start]

    @property
    def is_over_rate(self) -> bool:
        """Whether its events are refused before they are decoded."""
        connection = self.connection
        return self.rate.is_over if connection is None else connection.is_over_rate

    def count(self) -> bool:
        """Count a packet that is no message; return False if it must not be answered.

        Raises:
            ProtocolError: there are ten times as many as the limit.
        """
        try:
            self.rate.count()
        except Flooding:
            raise ProtocolError("far over the rate limit") from None
        except RateLimited:
            return False
        return True

    def caught_up(self, caught_up: CaughtUp) -> None:
        """Emit ``ready``, and note where a fresh session has begun."""
        connection, start = self.connection, caught_up.start
        assert connection is not None
        consumer_session = connection.session
        if consumer_session is not None and not (start.recovered or caught_up.replayed):
            consumer_session.start = caught_up.position
            consumer_session.began_with_gap = start.gap
        self.emit("ready", caught_up.ready_message(connection.cursor.rooms))

    def emit(self, event: str, argument: dict[str, Any]) -> None:
        """Emit an event with one argument."""
        self.session.write(Frame(f'{_EVENT}["{event}",{strictjson.dumps(argument)}]'))

    def refuse(self, error: ContractError) -> None:
        """Tell an error, and end the transport: the client's rights have ended."""
        self.emit("error", error.as_dict())
        self.close()

    def close(self) -> None:
        """End the transport. The client may connect again and recover its session."""
        self.session.end("transport close")
