"""Bounds on how often and how many: commands in a minute, connections at once."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

from sio_server.contract.errors import Flooding, RateLimited, TooManyConnections

WINDOW_SECONDS = 60
CLOSE_AT = 10
"""At so many times its limit a connection is closed."""

MAX_ADDRESSES = 10_000
"""Addresses whose commands are counted; beyond them the one idle longest is forgotten."""


class RateLimit:
    """A sliding minute of one connection's or address's commands.

    Args:
        limit: commands a minute.
        clock: seconds, monotonic.
    """

    __slots__ = ("_clock", "_limit", "_times")

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._times: deque[float] | None = None

    def count(self) -> None:
        """Count one command.

        Raises:
            RateLimited: it is over the limit.
            Flooding: it is ten times over.
        """
        now = self._clock()
        if self._times is None:
            self._times = deque(maxlen=self._limit * CLOSE_AT)
        while self._times and self._times[0] <= now - WINDOW_SECONDS:
            self._times.popleft()
        self._times.append(now)
        count = len(self._times)
        if count > self._limit:
            kind = Flooding if count >= self._limit * CLOSE_AT else RateLimited
            raise kind(f"more than {self._limit} commands a minute")


class AddressRates:
    """A ``RateLimit`` for each address."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rates: OrderedDict[str, RateLimit] = OrderedDict()

    def of(self, address: str) -> RateLimit:
        """Return the address's rate limit."""
        rate = self._rates.get(address)
        if rate is None:
            rate = self._rates[address] = RateLimit(self._limit)
            if len(self._rates) > MAX_ADDRESSES:
                self._rates.popitem(last=False)
        else:
            self._rates.move_to_end(address)
        return rate


class ConnectionLimits:
    """How many connections there are, in all and for each address.

    Args:
        maximum: in all.
        maximum_per_address: from one address; 0: no bound.
    """

    def __init__(self, maximum: int, maximum_per_address: int) -> None:
        self._maximum = maximum
        self._maximum_per_address = maximum_per_address
        self._by_address: Counter[str] = Counter()
        self.total = 0

    def enter(self, address: str) -> Callable[[], None]:
        """Count a connection; return what to call, once, when it ends.

        Raises:
            TooManyConnections: the server is full.
            RateLimited: the address has all that it may have.
        """
        if self.total >= self._maximum:
            raise TooManyConnections("the server has all the connections that it may have")
        if self._maximum_per_address and self._by_address[address] >= self._maximum_per_address:
            raise RateLimited("too many connections from this address")
        self.total += 1
        self._by_address[address] += 1

        def leave() -> None:
            self.total -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

        return leave
