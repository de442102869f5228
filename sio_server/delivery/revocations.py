"""Revocations between the log, the known ones of this server, and its open connections."""

from __future__ import annotations

import asyncio

from sio_server.access.revocations import Revocations
from sio_server.contract.errors import LogUnavailable
from sio_server.contract.revocations import Revocation
from sio_server.delivery.connections import Connections
from sio_server.eventlog.contract import EventLog
from sio_server.logs import get_logger

log = get_logger("sio_server")

POLL_SECONDS = 1.0
"""How often the server asks a shared log for the revocations of other servers."""


class RevocationFollower:
    """Lets revocations count on this server, and ends the connections of their tokens.

    Args:
        event_log: keeps the revocations of all servers.
        known: the revocations that count here.
        connections: the open connections.
    """

    def __init__(self, event_log: EventLog, known: Revocations, connections: Connections) -> None:
        self._event_log = event_log
        self._known = known
        self._connections = connections
        self._position = ""

    async def add(self, revocation: Revocation) -> None:
        """Revoke tokens: on this server at once, on the others soon, and after restarts.

        Raises:
            LogUnavailable: the log cannot be reached. The tokens may be revoked.
        """
        await self._event_log.revocations.add(revocation)
        self._apply([revocation])

    async def load(self) -> None:
        """Take the revocations that any server has added since the last call.

        Raises:
            LogUnavailable: the log cannot be reached.
        """
        at_end = False
        while not at_end:
            page = await self._event_log.revocations.read(self._position)
            at_end, self._position = page.at_end, page.position
            if page.revocations:
                self._apply(page.revocations)
        self._known.are_known = True

    async def follow(self) -> None:
        """Take the revocations of other servers, until cancelled."""
        while self._event_log.shared or not self._known.are_known:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.load()
            except LogUnavailable:
                pass  # the log says so
            except Exception:  # one failure must not end all of this
                log.exception("revocations_not_loaded")

    def _apply(self, revocations: list[Revocation]) -> None:
        self._known.add(revocations)
        self._connections.end_revoked()
