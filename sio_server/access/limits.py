"""Limits by count. This is the only place that counts connections and rates by address.

Each address has its own counts: TCP connections, consumers, new consumers, commands, and refused
credentials. Addresses of IPv6 count by their /64 network.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection

from sio_server.access.rates import WINDOW_SECONDS, Bucket, RateLimit
from sio_server.access.sources import network_of
from sio_server.contract.errors import RateLimited, TooManyConnections
from sio_server.logs import get_logger

log = get_logger("sio_server")

MAX_ADDRESSES = 10_000
"""The most addresses without a connection that are remembered. Beyond them, the address that was
idle longest is forgotten."""

MAX_LEFT_RATES = 1_000
"""The most rates of closed connections that are remembered for one address."""

TCP_FACTOR, TCP_SPARE = 1.1, 8
"""There may be this many times more TCP connections than consumers, and at least so many more."""

LOG_SECONDS = 60
"""At most one refusal of an address is logged in this time."""


class _Address:
    """The counts of one address.

    Attributes:
        limits: the limits, which count all addresses together.
        tcp: open TCP connections.
        consumers: connected consumers.
        connects: the bucket of new consumers.
        commands: commands over HTTP, refusals, and malformed requests.
        guesses: refused credentials.
        left: the rates of connections that have ended, the latest last.
        logged_at: when its last refusal was logged.
    """

    __slots__ = "commands", "connects", "consumers", "guesses", "left", "limits", "logged_at", "tcp"

    def __init__(
        self, limits: Limits, connects: Bucket, commands: RateLimit, guesses: RateLimit
    ) -> None:
        self.limits = limits
        self.tcp = self.consumers = 0
        self.connects = connects
        self.commands = commands
        self.guesses = guesses
        self.left: deque[RateLimit] = deque(maxlen=MAX_LEFT_RATES)
        self.logged_at = -float(LOG_SECONDS)

    # A method takes a quarter of the memory of a ``partial``, and each connection has one or two.

    def leave_tcp(self) -> None:
        """Note that a TCP connection has ended."""
        self.tcp -= 1
        self.limits.tcp -= 1

    def leave(self) -> None:
        """Note that the connection of a consumer has ended."""
        self.consumers -= 1
        self.limits.consumers -= 1


class Limits:
    """All limits by count of one server.

    Args:
        rate_limit: commands a minute, of a connection or of an address.
        max_rooms: rooms of a connection.
        max_connections: consumers at once.
        max_connections_per_address: consumers at once from one address; 0: no bound.
        connect_rate: new consumers a minute from one address; 0: no bound.
        max_tcp: TCP connections at once, if that is less than what follows from
            ``max_connections``.
        clock: seconds, monotonic.

    Attributes:
        consumers: the number of connected consumers.
        tcp: the number of open TCP connections.
    """

    def __init__(
        self,
        rate_limit: int,
        max_rooms: int,
        max_connections: int,
        max_connections_per_address: int,
        connect_rate: int = 0,
        max_tcp: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_limit = rate_limit
        self._max_rooms = max_rooms
        self._max_consumers = max_connections
        self._max_tcp = min(_with_spare(max_connections), max_tcp)
        self._max_per_address = max_connections_per_address
        self._connect_rate = connect_rate
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()  # the idle ones first
        # The addresses that have left rates, and when they left the last one; the earliest first.
        self._left_at: OrderedDict[_Address, float] = OrderedDict()
        self._full_logged_at = -float(LOG_SECONDS)
        self.consumers = 0
        self.tcp = 0

    # Connections.

    def enter_tcp(self, address: str, *, is_proxy: bool) -> Callable[[], None]:
        """Count a TCP connection.

        Args:
            address: of the peer.
            is_proxy: the peer is a trusted proxy. Its connections count in the total only.

        Returns:
            The function to call, once, when the connection ends.

        Raises:
            TooManyConnections, RateLimited: the server, or the address, has as many as it may have.
        """
        if self.tcp >= self._max_tcp:
            self._log_full()
            raise _full()
        if is_proxy:
            self.tcp += 1
            return self._leave_tcp
        entry = self._find(address)
        if self._max_per_address and entry.tcp >= _with_spare(self._max_per_address):
            raise self._address_full(address, entry)
        self.tcp += 1
        entry.tcp += 1
        return entry.leave_tcp

    def _leave_tcp(self) -> None:
        self.tcp -= 1

    def enter(self, address: str) -> Callable[[], None]:
        """Count a new consumer. Return the function to call, once, when its connection ends.

        Raises:
            TooManyConnections: the server has as many consumers as it may have.
            RateLimited: the address has as many consumers, or new ones, as it may have.
        """
        if self.consumers >= self._max_consumers:
            self._log_full()
            raise _full()
        entry = self._find(address)
        if self._max_per_address and entry.consumers >= self._max_per_address:
            raise self._address_full(address, entry)
        self.count_connect(address)
        self.consumers += 1
        entry.consumers += 1
        return entry.leave

    def count_connect(self, address: str) -> None:
        """Count a new consumer of an address; ``enter`` does it by itself.

        Raises:
            RateLimited: the address has connected too many consumers lately.
        """
        entry = self._find(address)
        if self._connect_rate and not entry.connects.take():
            self._log_refusal(address, entry, "SIO_CONNECT_RATE")
            raise RateLimited("too many new connections from this address", limit="connect_rate")

    # Rates.

    def new_rate(self, address: str) -> RateLimit:
        """Return the rate limit of a new connection.

        If a connection of the address has ended lately, this is the limit that it has left: leaving
        and coming back does not reset it.
        """
        left = self._find(address).left
        while left:
            rate = left.pop()
            if rate.number:
                return rate
        return RateLimit(self._rate_limit, self._clock)

    def leave_rate(self, address: str, rate: RateLimit) -> None:
        """Note that a connection has ended."""
        if rate.number:
            entry = self._find(address)
            left = entry.left
            while left and not left[0].number:
                left.popleft()
            rate.compact()
            left.append(rate)
            self._left_at[entry] = self._clock()
            self._left_at.move_to_end(entry)

    def commands_of(self, address: str) -> RateLimit:
        """Return the rate limit of an address's own commands and refusals."""
        return self._find(address).commands

    def guesses_of(self, address: str) -> RateLimit:
        """Return the rate limit of an address's refused credentials."""
        return self._find(address).guesses

    def note_refusal(self, address: str, setting: str = "SIO_RATE_LIMIT") -> None:
        """Log a refusal, the first one of the address in a minute."""
        self._log_refusal(address, self._find(address), setting)

    # Rooms.

    def check_rooms(self, rooms: Collection[str]) -> None:
        """Check the number of a connection's rooms.

        Raises:
            RateLimited: there are too many.
        """
        if len(rooms) > self._max_rooms:
            raise RateLimited(f"more than {self._max_rooms} rooms", limit="max_rooms")

    def _find(self, address: str) -> _Address:
        network = network_of(address)
        entry = self._addresses.get(network)
        if entry is None:
            entry = self._addresses[network] = _Address(
                self,
                Bucket(self._max_per_address or 1000, self._connect_rate, self._clock),
                RateLimit(self._rate_limit, self._clock),
                RateLimit(self._rate_limit, self._clock),
            )
            self._forget_idle()
        else:
            self._addresses.move_to_end(network)
        if self._left_at:
            self._forget_left()
        return entry

    def _forget_left(self) -> None:
        """Forget the rates that an address has left, if all are over."""
        entry, left_at = next(iter(self._left_at.items()))
        if self._clock() - left_at >= WINDOW_SECONDS:
            entry.left.clear()
            del self._left_at[entry]

    def _forget_idle(self) -> None:
        """Forget the address that was idle longest, if there are too many."""
        if len(self._addresses) <= MAX_ADDRESSES:
            return
        network, entry = next(iter(self._addresses.items()))
        if entry.tcp or entry.consumers:
            self._addresses.move_to_end(network)
        else:
            del self._addresses[network]
            self._left_at.pop(entry, None)

    def _log_refusal(self, address: str, entry: _Address, setting: str) -> None:
        now = self._clock()
        if now - entry.logged_at >= LOG_SECONDS:
            entry.logged_at = now
            log.warning("limit_reached", address=address, setting=setting)

    def _address_full(self, address: str, entry: _Address) -> RateLimited:
        self._log_refusal(address, entry, "SIO_MAX_CONNECTIONS_PER_ADDRESS")
        return RateLimited(
            "too many connections from this address", limit="max_connections_per_address"
        )

    def _log_full(self) -> None:
        now = self._clock()
        if now - self._full_logged_at >= LOG_SECONDS:
            self._full_logged_at = now
            log.warning(
                "limit_reached",
                setting="SIO_MAX_CONNECTIONS",
                consumers=self.consumers,
                tcp_connections=self.tcp,
            )


def _full() -> TooManyConnections:
    return TooManyConnections(
        "the server has as many connections as it may have; try again later",
        limit="max_connections",
    )


def _with_spare(consumers: int) -> int:
    """Return how many TCP connections there may be beside so many consumers."""
    return max(int(consumers * TCP_FACTOR), consumers + TCP_SPARE)
