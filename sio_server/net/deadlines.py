"""Many timers of the same length as one timer of the event loop: the oldest always expires next."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class Deadlines(Generic[Member]):
    """Call ``expired(member)`` once a member has stayed for ``seconds``.

    Args:
        seconds: how long a member may stay.
        expired: called in the event loop; it may add and discard members.
    """

    def __init__(self, seconds: float, expired: Callable[[Member], object]) -> None:
        self.seconds = seconds
        self._expired = expired
        self._due: OrderedDict[Member, float] = OrderedDict()  # sorted by time
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, member: Member) -> bool:
        return member in self._due

    def add(self, member: Member) -> None:
        """Start the member's time; restart it if the member is already here."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
        self._due[member] = due = self._loop.time() + self.seconds
        self._due.move_to_end(member)
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._expire_due)

    def discard(self, member: Member) -> None:
        """Remove the member, if it is here."""
        self._due.pop(member, None)

    def _expire_due(self) -> None:
        loop = self._loop
        now = loop.time()
        self._timer = None
        try:
            while self._due and self._next_due() <= now:
                member, _ = self._due.popitem(last=False)
                self._expired(member)
        finally:  # a failure of one member must not keep the others from expiring
            if self._due and self._timer is None:
                self._timer = loop.call_at(self._next_due(), self._expire_due)

    def _next_due(self) -> float:
        return next(iter(self._due.values()))
