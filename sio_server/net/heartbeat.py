"""Pings for every connection from one shared clock (Engine.IO protocol, "Heartbeat")."""

from __future__ import annotations

from typing import Protocol

from sio_server.net.deadlines import Deadlines


class Beating(Protocol):
    """What a heartbeat keeps alive."""

    def ping(self) -> None:
        """Send a ping to the client."""

    def ping_timeout(self) -> None:
        """Close: the client has not answered a ping in time."""

    def __hash__(self) -> int: ...


class Heartbeat:
    """Ping each member, and tell those that do not answer.

    Args:
        interval: seconds from one answer to the next ping.
        timeout: seconds that an answer may take.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._resting: Deadlines[Beating] = Deadlines(interval, self._ping)
        self._pinged: Deadlines[Beating] = Deadlines(timeout, lambda member: member.ping_timeout())

    def add(self, member: Beating) -> None:
        """Start pinging; the first ping goes out after one interval."""
        self._resting.add(member)

    def beat(self, member: Beating) -> None:
        """Note that the member has answered; an answer to no ping counts for nothing."""
        if member in self._pinged:
            self._pinged.discard(member)
            self._resting.add(member)

    def discard(self, member: Beating) -> None:
        """Stop pinging."""
        self._resting.discard(member)
        self._pinged.discard(member)

    def _ping(self, member: Beating) -> None:
        self._pinged.add(member)
        member.ping()
