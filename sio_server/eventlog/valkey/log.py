"""The event log in Valkey or Redis: for any number of servers, which share it.

This is where its parts meet: the writer appends, the follower is the tail, questions go through
connections of their own, a sweeper trims.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from typing_extensions import override

from sio_server.contract.errors import LogUnavailable, StartError
from sio_server.contract.events import Event, Offset, Record
from sio_server.eventlog import reading
from sio_server.eventlog.contract import (
    TRIM_PAUSE_FACTOR,
    AppendResult,
    Bounds,
    EventLog,
    Page,
    Retention,
)
from sio_server.eventlog.tails import Tails
from sio_server.eventlog.valkey.connection import (
    Link,
    LinkError,
    Links,
    RefusedError,
    Script,
    Server,
)
from sio_server.eventlog.valkey.follower import Follower
from sio_server.eventlog.valkey.script import SCRIPT, SWEPT, Request, Store
from sio_server.eventlog.valkey.sessions import ValkeySessions
from sio_server.eventlog.valkey.writer import CLOSE_SECONDS, Writer, unavailable

logger = logging.getLogger(__name__)

PREFIX = "{furniture}"


class ValkeyLog(EventLog):
    """An event log in a Valkey or Redis server, as durable as that is set up to be.

    A server that can't be reached yet is waited for: until then the log is unavailable. Where
    closing can't learn what became of an append, that append is cancelled: it gets no answer.

    Args:
        url: the server's.
        retention: how long events are kept.
        clock: seconds since the Unix epoch.
        sweep_seconds: how often events that grew too old are looked for.
        prefix: of every key, one hash tag; logs with the same prefix are the same log.

    Raises:
        StartError: the URL is none that can be used.
    """

    shared = True

    def __init__(
        self,
        url: str,
        retention: Retention,
        *,
        clock: Callable[[], float] = time.time,
        sweep_seconds: float = 1.0,
        prefix: str = PREFIX,
    ) -> None:
        server = Server(url)
        self._sweep_seconds = sweep_seconds
        self._tails: Tails[Record] = Tails()
        self._links = Links(server)
        self._store = Store(prefix, reading.new_epoch(), retention, clock)
        self._follower = Follower(self._store, Link(server), self._publish, self._break)
        self._writer = Writer(
            self._store, Link(server), lambda: self._follower.position, self._follower.doubt
        )
        self._sessions = self.sessions = ValkeySessions(
            prefix, retention.seconds, Link(server), self._run
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._accepting = False
        self._questions = 0
        self._quiet = asyncio.Event()
        self._closing: asyncio.Future[None] | None = None

    @override
    async def open(self) -> None:
        try:
            await self._follower.begin()
            await self._sessions.subscribe()
        except LinkError as error:
            self._follower.unreachable(error)
        except StartError:
            await self.close()
            raise
        self._accepting = True
        work: tuple[Coroutine[Any, Any, None], ...] = (
            self._follower.run(),
            self._sessions.listen(),
            self._sessions.keep(),
            self._sweep(),
        )
        self._tasks = [asyncio.create_task(each) for each in work]

    @override
    async def close(self) -> None:
        if self._closing is None:
            self._accepting = False
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    @override
    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        self._check()
        return await self._writer.append(events)

    @override
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        wanted = None if rooms is None else frozenset(rooms)  # the caller's may change meanwhile
        answer = await self._ask(self._store.read(after, wanted, limit))
        page = self._store.page(after, wanted, limit, answer)
        self._follower.doubt(page.position.epoch)
        return page

    @override
    async def bounds(self) -> Bounds:
        bounds = self._store.marks(await self._ask(self._store.look())).bounds
        self._follower.doubt(bounds.position.epoch)
        return bounds

    @override
    def tail(self) -> AsyncIterator[list[Record]]:
        return self._tails.open()

    def _check(self) -> None:
        if not self._accepting:
            raise LogUnavailable("the event log is closed")
        if self._follower.position is None:
            raise unavailable()

    async def _ask(self, request: Request) -> str:
        answer: str = await self._run(SCRIPT, request.keys, *request.arguments)
        return answer

    async def _run(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script that may be run again, for whoever asks."""
        self._check()
        self._questions += 1
        try:
            return await self._links.run(script, keys, *arguments)
        except LinkError as error:
            if isinstance(error, RefusedError):
                logger.warning("event_log_refused error=%s", error)
            raise unavailable() from error
        finally:
            self._questions -= 1
            if not self._questions:
                self._quiet.set()

    def _publish(self, records: Sequence[Record]) -> None:
        self._tails.publish(records)
        self._writer.passed(records[-1].offset)

    def _break(self, position: Offset) -> None:
        self._tails.clear()
        if self.on_break is not None:
            self.on_break(position)
        self._writer.broke(position)

    async def _sweep(self) -> None:
        """Trim, in small steps, what is beyond the retention."""
        loop = asyncio.get_running_loop()
        while True:
            began, pause = loop.time(), self._sweep_seconds
            with suppress(LogUnavailable):
                if int(await self._ask(self._store.sweep())) == SWEPT:
                    pause = TRIM_PAUSE_FACTOR * (loop.time() - began)
            await asyncio.sleep(pause)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._questions:
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            pass
        await self._writer.close()
        self._follower.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._follower.close()
        await self._sessions.close()
        await self._links.close()
        self._tails.end()
