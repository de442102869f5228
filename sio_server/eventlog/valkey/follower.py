"""Follows the stream of events, on a connection of its own, and keeps its place over every cut."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from sio_server.contract.errors import StartError
from sio_server.contract.events import Offset, Record
from sio_server.eventlog.valkey.connection import Link, LinkError, check
from sio_server.eventlog.valkey.script import SCRIPT, Marks, Store

logger = logging.getLogger(__name__)

BATCH = 200
"""How many events are read at a time."""

BLOCK_SECONDS = 1.0
"""How long the server waits for an event before it says that there is none."""

RETRY_SECONDS = 0.2
"""How long to wait before trying again to reach the server."""


class Follower:
    """This node's tail.

    Args:
        store: what it follows.
        link: its own.
        publish: takes records, in order.
        broke: called where the tail can't go on from where it was, with the position that it
            goes on from; also where it begins late.

    Attributes:
        position: the last event that was published; None until the server was reached first.
    """

    def __init__(
        self,
        store: Store,
        link: Link,
        publish: Callable[[Sequence[Record]], None],
        broke: Callable[[Offset], None],
    ) -> None:
        self.position: Offset | None = None
        self._store = store
        self._link = link
        self._publish = publish
        self._broke = broke
        self._asking: asyncio.Future[list[Any]] | None = None
        self._doubted = False
        self._stopped = False
        self._failing = False

    async def begin(self) -> None:
        """Find the log's end, for what comes from now on.

        Raises:
            StartError: the server can't be used for good.
            LinkError: it can't be reached, or can't answer yet.
        """
        await check(self._link)
        marks = await self._look()
        self._move(Offset(marks.epoch, marks.last))

    async def run(self) -> None:
        """Follow, until it is stopped."""
        while not self._stopped:
            try:
                await self._follow()
            except (LinkError, StartError) as error:
                self._fail(error)
            except Exception:
                logger.exception("event_log_tail_failed")
            await self._link.close()
            await asyncio.sleep(RETRY_SECONDS)

    def unreachable(self, error: Exception) -> None:
        """Note that ``begin`` failed: ``run`` will begin."""
        self._fail(error)

    def doubt(self, epoch: str) -> None:
        """Look at once whether the epoch is another, as an answer told."""
        if self.position is not None and self.position.epoch != epoch:
            self._doubted = True  # it may ask for nothing just now
            if self._asking is not None:
                self._asking.cancel()

    def stop(self) -> None:
        """End ``run``."""
        self._stopped = True
        if self._asking is not None:
            self._asking.cancel()

    async def close(self) -> None:
        """Let the connection go."""
        await self._link.close()

    async def _follow(self) -> None:
        if self.position is None:
            await self.begin()
            self._break()
        else:
            await check(self._link)
            await self._check_place(await self._look())
        while not self._stopped:
            self._recover()
            position = self.position
            assert position is not None
            command = (
                *("XREAD", "COUNT", BATCH, "BLOCK", int(BLOCK_SECONDS * 1000)),
                *("STREAMS", self._store.events, f"{position.seq}-0"),
            )
            # The epoch is asked for after the events: if it is still the same, they are of it.
            marks = ("HMGET", self._store.log, "epoch", "start", "oldest", "last")
            answers = None if self._doubted else await self._ask(command, marks)
            if answers is None or not self._take(*answers):
                self._doubted = False
                await self._check_place(await self._look())

    async def _ask(self, *commands: Sequence[Any]) -> list[Any] | None:
        """Ask; None where ``doubt`` or ``stop`` broke it off."""
        asking = asyncio.ensure_future(self._link.ask(*commands, patience=BLOCK_SECONDS))
        self._asking = asking
        try:
            await asyncio.wait([asking])
        finally:
            self._asking = None
            asking.cancel()
        return None if asking.cancelled() else asking.result()

    def _take(self, read: Any, marks: Sequence[Any]) -> bool:
        """Publish what was read; False where it doesn't follow on what was before."""
        position = self.position
        assert position is not None
        entries = read[0][1] if read else []
        if marks[0] != position.epoch or int(marks[3]) < position.seq:
            return False
        records = [self._store.record(position.epoch, entry) for entry in entries]
        if not records:
            return int(marks[2]) <= position.seq
        if records[0].offset.seq != position.seq + 1:
            return False
        self._move(records[-1].offset)
        self._publish(records)
        return True

    async def _check_place(self, marks: Marks) -> None:
        """Go on where it was; where that is nowhere any more, where what is new begins."""
        position = self.position
        assert position is not None
        if marks.epoch == position.epoch and marks.oldest <= position.seq:
            return
        self._move(Offset(marks.epoch, max(marks.start, marks.oldest)))
        logger.warning("event_log_broke from=%s to=%s", position, self.position)
        self._break()

    async def _look(self) -> Marks:
        request = self._store.look()
        return self._store.marks(await self._link.run(SCRIPT, request.keys, *request.arguments))

    def _move(self, position: Offset) -> None:
        self.position = self._store.seen = position

    def _break(self) -> None:
        assert self.position is not None
        self._broke(self.position)

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            logger.error("event_log_unreachable error=%s", error)
        self._failing = True

    def _recover(self) -> None:
        if self._failing:
            logger.info("event_log_reached")
        self._failing = False
