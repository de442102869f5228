"""The contract of a log's session store, in words. One test suite holds every store to it.

* **Owner.** A session belongs to the connection that put it or took it last; an owner's name is
  never used twice. Only its owner changes it, so that a connection which has lost its session,
  to one on whichever node, can't undo what the newer one does.
* **Durability.** What ``change`` and ``end`` return for is kept as durably as the log keeps events;
  what the others do outlives the process, though maybe not a power cut. A call that raises may
  have been done or not; doing it again does no harm.
* **Lifetime.** A session lives for the log's retention, counted from ``leave``; where its server
  ended without one, from about when that was, or from the server's next start.
* **Privacy.** Keys and data never reach a log line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import NamedTuple


class Superseded(NamedTuple):
    """A session's key, and its new owner."""

    key: str
    owner: str


class SessionStore(ABC):
    """Sessions that outlive their connection. All methods run in the log's event loop.

    A session's data is text that only the caller understands. Every method but ``superseded``
    raises ``LogUnavailable`` while the store can't be reached.
    """

    @abstractmethod
    async def create(self, key: str, owner: str, data: str) -> None:
        """Keep a new session."""

    @abstractmethod
    async def claim(self, key: str, owner: str) -> str | None:
        """Make a session another owner's; return its data, or None where there is no such session.

        Its former owner, if that is still connected, is told by ``superseded`` on its node.
        """

    @abstractmethod
    async def change(self, key: str, owner: str, data: str) -> bool:
        """Replace the data of a session; False where it is not the owner's (any more)."""

    @abstractmethod
    async def leave(self, key: str, owner: str, data: str) -> bool:
        """Note, as ``change`` does, that the owner is gone: the session's lifetime runs."""

    @abstractmethod
    async def end(self, key: str, owner: str) -> bool:
        """Forget a session for good; False where it is not the owner's (any more)."""

    @abstractmethod
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        """Yield each session that is taken from now on, in batches as it happens.

        For owners on this node, whoever took it; it may name sessions that nobody here has. Ends
        when the log is closed.
        """
