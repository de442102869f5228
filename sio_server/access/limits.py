"""Limits by count: commands a minute, rooms of a connection, connections at once."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection

from sio_server.contract.errors import ContractError, Flooding, RateLimited, TooManyConnections

WINDOW_SECONDS = 60
FLOODING_FACTOR = 10
"""At this many times its limit a connection is closed."""

MAX_ADDRESSES = 10_000
"""The most addresses with a rate. Beyond them, the address that was idle longest is forgotten."""


class RateLimit:
    """The commands of one connection or address in a sliding minute.

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
            RateLimited: there are more commands than the limit.
            Flooding: there are ten times as many.
        """
        now = self._clock()
        if self._times is None:
            self._times = deque(maxlen=self._limit * FLOODING_FACTOR)
        while self._times and self._times[0] <= now - WINDOW_SECONDS:
            self._times.popleft()
        self._times.append(now)
        count = len(self._times)
        if count > self._limit:
            kind = Flooding if count >= self._limit * FLOODING_FACTOR else RateLimited
            raise kind(f"more than {self._limit} commands a minute")

    def count_failure(self, error: ContractError) -> ContractError:
        """Count a command that failed, if the client is at fault.

        Returns:
            The error to answer with: the same one, or the rate limit's if that is reached now.
        """
        if error.status < 500 and not isinstance(error, RateLimited):
            try:
                self.count()
            except RateLimited as limited:
                return limited
        return error


class AddressRates:
    """A ``RateLimit`` for each address.

    Args:
        limit: commands a minute.
    """

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
    """The number of connections, in total and for each address.

    Args:
        maximum: the bound for the total.
        maximum_per_address: the bound for one address; 0: no bound.
    """

    def __init__(self, maximum: int, maximum_per_address: int) -> None:
        self._maximum = maximum
        self._maximum_per_address = maximum_per_address
        self._by_address: Counter[str] = Counter()
        self.total = 0

    def enter(self, address: str) -> Callable[[], None]:
        """Count a connection. Return the function to call, once, when it ends.

        Raises:
            TooManyConnections: the server has as many connections as it may have.
            RateLimited: the address has as many connections as it may have.
        """
        if self.total >= self._maximum:
            raise TooManyConnections(
                "the server has as many connections as it may have; try again later"
            )
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


class Limits:
    """All limits by count of one server.

    Args:
        rate_limit: commands a minute, of a connection or of an address.
        max_rooms: rooms of a connection.
        max_connections: connections at once.
        max_connections_per_address: connections at once from one address; 0: no bound.

    Attributes:
        connections: the open connections.
        addresses: the rates of addresses.
    """

    def __init__(
        self,
        rate_limit: int,
        max_rooms: int,
        max_connections: int,
        max_connections_per_address: int,
    ) -> None:
        self.connections = ConnectionLimits(max_connections, max_connections_per_address)
        self.addresses = AddressRates(rate_limit)
        self._rate_limit = rate_limit
        self._max_rooms = max_rooms

    def new_rate(self) -> RateLimit:
        """Return the rate limit of a new connection."""
        return RateLimit(self._rate_limit)

    def check_rooms(self, rooms: Collection[str]) -> None:
        """Check the number of a connection's rooms.

        Raises:
            RateLimited: there are too many.
        """
        if len(rooms) > self._max_rooms:
            raise RateLimited(f"more than {self._max_rooms} rooms")
