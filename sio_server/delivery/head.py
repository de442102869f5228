"""The head: how far this server has delivered the event log. No I/O."""

from __future__ import annotations

import asyncio

from sio_server.contract.events import Offset


class Head:
    """The position up to which the log's tail was delivered on this server.

    Attributes:
        position: the last delivered event.
    """

    def __init__(self) -> None:
        self.position = Offset("", 0)
        self._next_move: asyncio.Future[None] | None = None

    def move(self, position: Offset) -> None:
        """Set the head, and wake the tasks that wait for it."""
        self.position = position
        if self._next_move is not None:
            self._next_move.set_result(None)
            self._next_move = None

    async def moved(self) -> None:
        """Wait for the next move."""
        if self._next_move is None:
            self._next_move = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next_move)

    async def reach(self, position: Offset) -> None:
        """Wait until the head has come to a position, or is in another epoch."""
        while self.position.epoch == position.epoch and self.position.seq < position.seq:
            await self.moved()
