"""The contract of a log's session store, in words. One test suite checks every store against it.

* **Owner.** A session belongs to the connection that created or claimed it last. The name of an
  owner is never used twice. Only the owner changes its session. So a connection that has lost its
  session, to a connection on any node, cannot undo the changes of the newer owner.
* **Durability.** When ``change`` and ``end`` return, their effect is as durable as the log's
  events. The effect of the other methods outlives the process, but possibly not a power cut. A
  call that raises may have had its effect or not. Repeating it does no harm.
* **Lifetime.** A session lives for the log's retention after ``leave``. If its server ended without
  a ``leave``, the lifetime starts about when the server ended, or when the server starts again.
* **Privacy.** Keys and data never appear in a log line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import NamedTuple


class Superseded(NamedTuple):
    """A session that another connection has claimed: its key and its new owner."""

    key: str
    owner: str


class SessionStore(ABC):
    """Sessions that outlive their connection. All methods run in the log's event loop.

    The data of a session is text that only the caller understands. Every method except
    ``superseded`` raises ``LogUnavailable`` while the store cannot be reached.
    """

    @abstractmethod
    async def create(self, key: str, owner: str, data: str) -> None:
        """Store a new session."""

    @abstractmethod
    async def claim(self, key: str, owner: str) -> str | None:
        """Give a session a new owner.

        If the former owner is still connected, its node learns of the claim by ``superseded``.

        Returns:
            The data of the session; None if there is no such session.
        """

    @abstractmethod
    async def change(self, key: str, owner: str, data: str) -> bool:
        """Replace the data of a session; return False if ``owner`` does not own it (any more)."""

    @abstractmethod
    async def leave(self, key: str, owner: str, data: str) -> bool:
        """Replace the data as ``change`` does, and start the lifetime: the owner has gone."""

    @abstractmethod
    async def end(self, key: str, owner: str) -> bool:
        """Delete a session permanently; return False if ``owner`` does not own it (any more)."""

    @abstractmethod
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        """Yield every session that is claimed after this call, in batches, as it happens.

        This informs the owners on this node about claims from every node. It may also name
        sessions that no connection of this node owns. The iteration ends when the log is closed.
        """
