"""Ping every connection by one shared clock (Engine.IO protocol, "Heartbeat")."""

from __future__ import annotations

from typing import Protocol

from sio_server.net.deadlines import Deadlines


class HeartbeatMember(Protocol):
    """A connection that a heartbeat keeps alive."""

    def ping(self) -> None:
        """Send a ping to the client."""

    def ping_timeout(self) -> None:
        """Close: the client has not answered a ping in time."""

    def __hash__(self) -> int: ...


class Heartbeat:
    """Ping each member, and report the members that do not answer in time.

    Args:
        interval: seconds from one answer to the next ping.
        timeout: seconds that an answer may take.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._idle: Deadlines[HeartbeatMember] = Deadlines(interval, self._ping)
        self._pinged: Deadlines[HeartbeatMember] = Deadlines(
            timeout, lambda member: member.ping_timeout()
        )

    def add(self, member: HeartbeatMember) -> None:
        """Start pinging; the first ping is sent after one interval."""
        self._idle.add(member)

    def answered(self, member: HeartbeatMember) -> bool:
        """Note that the member has answered a ping; return False if there was none to answer."""
        if member not in self._pinged:
            return False
        self._pinged.discard(member)
        self._idle.add(member)
        return True

    def discard(self, member: HeartbeatMember) -> None:
        """Stop pinging."""
        self._idle.discard(member)
        self._pinged.discard(member)

    def _ping(self, member: HeartbeatMember) -> None:
        self._pinged.add(member)
        member.ping()
