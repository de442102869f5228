"""Many timers of one length as one timer: the oldest is always the next."""

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
        self._due: OrderedDict[Member, float] = OrderedDict()  # in the order of time
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, member: Member) -> bool:
        return member in self._due

    def add(self, member: Member) -> None:
        """Start the member's time, anew where it is a member already."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
        self._due[member] = due = self._loop.time() + self.seconds
        self._due.move_to_end(member)
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._tick)

    def discard(self, member: Member) -> None:
        """Forget the member, if it is one."""
        self._due.pop(member, None)

    def _tick(self) -> None:
        loop = self._loop
        now = loop.time()
        self._timer = None
        try:
            while self._due and self._next_due() <= now:
                member, _ = self._due.popitem(last=False)
                self._expired(member)
        finally:  # also where one member's expiry fails: the others have their time
            if self._due and self._timer is None:
                self._timer = loop.call_at(self._next_due(), self._tick)

    def _next_due(self) -> float:
        return next(iter(self._due.values()))
