"""The contract of a log's session store, in words. One test suite checks every store against it.

* **Owner.** A session belongs to the connection that created or claimed it last. The name of an
  owner is never used twice. Only the owner changes its session. So a connection that has lost its
  session, to a connection on any node, cannot undo the changes of the newer owner.
* **Identity.** A session keeps the identity with which it was created. ``claim`` finds no session
  for another identity, or if one of the session's rooms is not allowed now. Then it changes
  nothing: the owner keeps the session and notices nothing.
* **Durability.** When ``change`` and ``end`` return, their effect is as durable as the log's
  events. The effect of the other methods outlives the process, but possibly not a power cut. A
  call that raises may have had its effect or not. Repeating it does no harm.
* **Lifetime.** A session lives for the log's retention after ``leave``. If its server ended without
  a ``leave``, the lifetime starts about when the server ended, or when the server starts again.
  An expired session does not exist for any call.
* **Bounds.** The length of a session is ``session_bytes``. The sessions whose owners have left are
  bounded by the retention's ``sessions`` and ``session_bytes``. Beyond either bound, the store
  drops **brief** sessions first, and then the others; in each group, it drops them in the order in
  which their owners left. A session is brief if it lasted less than ``BRIEF_SECONDS`` from its
  ``create`` to its ``leave``; a claim in between continues it. If a call leaves many sessions to
  drop, the store drops them in small steps.

  The sessions whose owners are connected do not count in these bounds. Together they may have
  ``session_bytes`` again. If a session would exceed that, ``create`` returns False, ``change``
  raises ``SessionsFull``, and a ``claim`` of a session that was left finds none; these calls change
  nothing. So all sessions together never have more than twice ``session_bytes``. If a Valkey server
  has a ``maxmemory``, an eighth of it replaces a larger ``session_bytes``.
* **Privacy.** Keys, identities, rooms and data never appear in a log line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import NamedTuple

from sio_server.contract.rooms import ALL_ROOMS, RoomFilter

BRIEF_SECONDS = 60
"""A session that lasted less than this many seconds is brief."""

SESSION_OVERHEAD_BYTES = 800
"""The bytes that count for a session besides its texts: about what a store needs for its key, its
owner and its places in the indexes. Measured in Valkey, which needs the most."""

ROOM_OVERHEAD_BYTES = 100
"""The bytes that count for a room besides its name."""


def room_bytes(room: str) -> int:
    """Return how many bytes a room adds to its session."""
    return ROOM_OVERHEAD_BYTES + len(room.encode())


def session_bytes(identity: str, data: str, rooms: Iterable[str]) -> int:
    """Return the length of a session: of its texts in UTF-8, and of the store's own overhead."""
    texts = len(identity.encode()) + len(data.encode())
    return SESSION_OVERHEAD_BYTES + texts + sum(map(room_bytes, rooms))


class Superseded(NamedTuple):
    """A session that another connection has claimed: its key and its new owner."""

    key: str
    owner: str


class SessionContent(NamedTuple):
    """The content of a claimed session.

    Attributes:
        data: the text of ``create`` or of the last ``leave``.
        rooms: its rooms, each with its number.
    """

    data: str
    rooms: dict[str, int]


class SessionStore(ABC):
    """Sessions that outlive their connection. All methods run in the log's event loop.

    A session has a text and a set of rooms, each with a number. Only the caller understands them.
    Every method except ``superseded`` raises ``LogUnavailable`` while the store cannot be reached.
    """

    @abstractmethod
    async def create(
        self, key: str, owner: str, identity: str, data: str, rooms: Mapping[str, int]
    ) -> bool:
        """Store a new session. If the key has a session already, this changes nothing.

        Returns:
            Whether ``owner`` owns the session now; False if there is no space for it.
        """

    @abstractmethod
    async def claim(
        self, key: str, owner: str, identity: str, allowed: RoomFilter = ALL_ROOMS
    ) -> SessionContent | None:
        """Give a session a new owner, if its rooms are allowed.

        If the former owner is still connected, its node learns of the claim by ``superseded``.

        Returns:
            None if the identity has no such session, if one of its rooms is not allowed, or if
            there is no space for one more session of a connected owner.
        """

    @abstractmethod
    async def change(
        self, key: str, owner: str, added: Mapping[str, int], removed: Collection[str]
    ) -> bool:
        """Change the rooms of a session. The cost depends on the change only.

        Args:
            key: the session.
            owner: its owner.
            added: rooms with their numbers. A room that the session has gets the new number.
            removed: other rooms. A room that the session does not have is ignored.

        Returns:
            False if ``owner`` does not own the session (any more), or has left it.

        Raises:
            SessionsFull: there is no space for the added rooms.
        """

    @abstractmethod
    async def leave(
        self,
        key: str,
        owner: str,
        data: str,
        added: Mapping[str, int],
        removed: Collection[str],
    ) -> bool:
        """Replace the data, change the rooms, and start the lifetime: the owner has gone.

        Returns:
            False if ``owner`` does not own the session (any more).
        """

    @abstractmethod
    async def end(self, key: str, owner: str) -> bool:
        """Delete a session permanently; return False if ``owner`` does not own it (any more)."""

    @abstractmethod
    async def count_left(self) -> int:
        """Return how many sessions the store keeps for owners that have left."""

    @abstractmethod
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        """Yield every session that is claimed after this call, in batches, as it happens.

        This informs the owners on this node about claims from every node. It may also name
        sessions that no connection of this node owns, and a session twice. The iteration ends when
        the log is closed.
        """
