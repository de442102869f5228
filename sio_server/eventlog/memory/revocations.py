"""The revocations of the memory log. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from typing_extensions import override

from sio_server.contract.revocations import Revocation
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.revocation_contract import (
    PAGE_REVOCATIONS,
    RevocationPage,
    RevocationStore,
)


class _Stored(NamedTuple):
    number: int
    revocation: Revocation
    added_at: float


class MemoryRevocations(RevocationStore):
    """Revocations that end with the process.

    Args:
        retention: how long a revocation is kept.
        clock: returns the seconds since the Unix epoch.
        check_open: raises ``LogUnavailable`` if the log is closed.
    """

    def __init__(
        self, retention: Retention, clock: Callable[[], float], check_open: Callable[[], None]
    ) -> None:
        self._seconds = retention.revocation_seconds
        self._clock = clock
        self._check_open = check_open
        self._stored: deque[_Stored] = deque()
        self._last = 0

    @override
    async def add(self, revocation: Revocation) -> None:
        self._check_open()
        self.trim()
        self._last += 1
        self._stored.append(_Stored(self._last, revocation, self._clock()))

    @override
    async def read(self, after: str) -> RevocationPage:
        self._check_open()
        self.trim()
        last = int(after or 0)
        later = (stored for stored in self._stored if stored.number > last)
        found = list(islice(later, PAGE_REVOCATIONS))
        position = str(found[-1].number) if found else after
        at_end = len(found) < PAGE_REVOCATIONS
        return RevocationPage([stored.revocation for stored in found], position, at_end)

    def trim(self) -> None:
        """Forget the revocations beyond their lifetime."""
        oldest = self._clock() - self._seconds
        while self._stored and self._stored[0].added_at < oldest:
            self._stored.popleft()
