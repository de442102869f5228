"""How often something may happen: a sliding minute, and a bucket of tokens. No I/O."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from time import monotonic

from sio_server.contract.errors import ContractError, Flooding, RateLimited

WINDOW_SECONDS = 60
MAX_SLOTS = 1_000
"""The most entries of a rate. Where the limit allows more commands, those of a short time share an
entry, so that a rate needs little memory."""

COMPACT_SLOTS = 8
"""The entries of the rate of a connection that has ended."""

FLOODING_FACTOR = 10
"""At this many times its limit a connection is closed."""


_NO_COUNTS: array[int] = array("L")


class RateLimit:
    """The commands of one connection or address in a sliding minute.

    Args:
        limit: commands a minute.
        clock: seconds, monotonic.
    """

    __slots__ = ("_clock", "_counts", "_limit", "_number", "_slot_seconds", "_times")

    def __init__(self, limit: int, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._clock = clock
        is_exact = limit * FLOODING_FACTOR <= MAX_SLOTS
        self._slot_seconds = 0.0 if is_exact else WINDOW_SECONDS / MAX_SLOTS
        self._times: array[float] | None = None  # when each entry began
        self._counts = _NO_COUNTS  # the commands of each entry
        self._number = 0  # the sum of the counts

    @property
    def number(self) -> int:
        """The number of commands in the last minute."""
        self._forget(self._clock())
        return self._number

    @property
    def is_over(self) -> bool:
        """Whether there are more commands than the limit."""
        return self._number > self._limit and self.number > self._limit

    def count(self) -> None:
        """Count one command.

        Raises:
            RateLimited: there are more commands than the limit.
            Flooding: there are ten times as many.
        """
        kind = self._add()
        if kind is not None:
            raise self._error(kind)

    def _add(self) -> type[RateLimited] | None:
        """Count a command. If there are too many, return the type of the error."""
        now = self._clock()
        if self._times is None:
            self._times, self._counts = array("d"), array("L")
        self._forget(now)
        times = self._times
        if times and (now - times[-1] < self._slot_seconds or len(times) >= MAX_SLOTS):
            self._counts[-1] += 1
        else:
            self._times.append(now)
            self._counts.append(1)
        self._number += 1
        if self._number <= self._limit:
            return None
        return Flooding if self._number >= self._limit * FLOODING_FACTOR else RateLimited

    def _error(self, kind: type[RateLimited]) -> RateLimited:
        return kind(f"more than {self._limit} commands a minute")

    def count_failure(self, error: ContractError) -> ContractError:
        """Count a command that failed, if the client is at fault.

        Returns:
            The error to answer with: the same one, or the rate limit's if that is reached now.
        """
        if error.status < 500 and not isinstance(error, RateLimited):
            kind = self._add()
            if kind is not None:
                return self._error(kind)
        return error

    def compact(self) -> None:
        """Keep few entries, each of which ends with the last of its commands."""
        times, counts = self._times, self._counts
        if times is not None and len(times) > COMPACT_SLOTS:
            size = -(-len(times) // COMPACT_SLOTS)
            starts = range(0, len(times), size)
            self._counts = array("L", [sum(counts[it : it + size]) for it in starts])
            self._times = array("d", [times[it : it + size][-1] for it in starts])

    def _forget(self, now: float) -> None:
        """Forget the commands of more than a minute ago."""
        expired = 0
        for first in self._times or ():
            if first > now - WINDOW_SECONDS:
                break
            self._number -= self._counts[expired]
            expired += 1
        if expired and self._times is not None:
            del self._times[:expired], self._counts[:expired]


class Bucket:
    """Tokens that are taken one by one, and come back at a rate.

    Args:
        size: the most tokens; the bucket begins full.
        per_minute: how many tokens come back in a minute.
        clock: seconds, monotonic.
    """

    __slots__ = ("_clock", "_per_second", "_size", "_tokens", "_updated")

    def __init__(
        self, size: int, per_minute: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._size = self._tokens = float(size)
        self._per_second = per_minute / 60
        self._clock = clock
        self._updated = clock()

    def take(self) -> bool:
        """Take a token; return False if there is none."""
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._updated) * self._per_second)
        self._updated = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
