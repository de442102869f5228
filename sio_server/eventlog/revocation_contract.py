"""The contract of a log's revocations, in words. One test suite checks every store against it.

* **Durability.** When ``add`` returns, the revocation is as durable as the log's events. A call
  that raises may have had its effect or not. Repeating it does no harm.
* **Order.** The revocations have one order, in which they were added. ``read`` returns those after
  a position, each at least once, from every node.
* **Lifetime.** A revocation is kept for the retention's ``revocation_seconds`` from its ``add``,
  and is forgotten soon after. A later one of the same subject and issuer may replace it.
* **Loss.** If the store was lost or an older state was restored, ``read`` may return revocations
  again that it has returned before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from sio_server.contract.revocations import Revocation

PAGE_REVOCATIONS = 1_000
"""How many revocations one read returns at most."""


class RevocationPage(NamedTuple):
    """The result of a read.

    Attributes:
        revocations: in order.
        position: where the next read starts.
        at_end: whether these are all.
    """

    revocations: list[Revocation]
    position: str
    at_end: bool


class RevocationStore(ABC):
    """Revocations beside a log. Every method raises ``LogUnavailable`` if it cannot be reached."""

    @abstractmethod
    async def add(self, revocation: Revocation) -> None:
        """Store a revocation."""

    @abstractmethod
    async def read(self, after: str) -> RevocationPage:
        """Return revocations that were added after a position; "": from the oldest kept one."""
