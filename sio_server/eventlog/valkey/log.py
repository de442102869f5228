"""The event log in Valkey or Redis, which any number of servers share.

This module connects the parts. The writer appends; the follower is the tail; queries use a pool of
connections; the sweeper trims.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
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
    PiecePage,
    Retention,
)
from sio_server.eventlog.tails import Tails
from sio_server.eventlog.valkey.address import ValkeyAddress
from sio_server.eventlog.valkey.blocks import Blocks
from sio_server.eventlog.valkey.connection import (
    LuaScript,
    RefusedError,
    ValkeyConnection,
    ValkeyError,
    ValkeyPool,
)
from sio_server.eventlog.valkey.follower import Follower
from sio_server.eventlog.valkey.revocations import ValkeyRevocations
from sio_server.eventlog.valkey.script import LOG_SCRIPT, LogScript, ScriptCall
from sio_server.eventlog.valkey.sessions import ValkeySessions
from sio_server.eventlog.valkey.writer import CLOSE_TIMEOUT_SECONDS, ValkeyWriter, unavailable

logger = logging.getLogger(__name__)

PREFIX = "{furniture}"


class ValkeyLog(EventLog):
    """An event log in a Valkey or Redis server, as durable as that server is configured to be.

    If Valkey cannot be reached yet, the log opens and is unavailable until it can. If the
    outcome of an append is still unknown when closing times out, that append is cancelled: it gets
    no answer.

    Args:
        url: the URL of the Valkey server.
        retention: the bounds of the log.
        clock: returns the seconds since the Unix epoch.
        sweep_seconds: how often the log looks for events that are too old.
        prefix: of every key, one hash tag; logs with the same prefix are the same log.

    Raises:
        StartError: the URL cannot be used.
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
        address = ValkeyAddress(url)
        self._sweep_seconds = sweep_seconds
        self._tails: Tails[Record] = Tails()
        self._pool = ValkeyPool(address)
        self._script = LogScript(prefix, reading.new_epoch(), retention, clock)
        self._blocks = Blocks()
        self._follower = Follower(
            self._script, ValkeyConnection(address), self._publish, self._handle_break
        )
        self._writer = ValkeyWriter(
            self._script,
            ValkeyConnection(address),
            lambda: self._follower.position,
            self._follower.check_epoch,
        )
        self._sessions = self.sessions = ValkeySessions(
            prefix, retention, ValkeyConnection(address), self._run_script
        )
        self.revocations = ValkeyRevocations(prefix, retention, self._run_script)
        self._tasks: list[asyncio.Task[None]] = []
        self._accepting = False
        self._read_turn = asyncio.Lock()
        self._running_scripts = 0
        self._no_running_scripts = asyncio.Event()
        self._closing: asyncio.Future[None] | None = None

    @override
    async def open(self) -> None:
        try:
            await self._follower.start_at_end()
            assert self._follower.position is not None
            self._blocks.start_after(self._follower.position)
            self._accepting = True
            await self._sessions.start()
        except LogUnavailable:
            pass  # the sessions start again
        except ValkeyError as error:
            self._follower.note_failure(error)
        except StartError:
            await self.close()
            raise
        self._accepting = True
        work: tuple[Coroutine[Any, Any, None], ...] = (
            self._follower.run(),
            self._sessions.listen(),
            self._sessions.keep_alive(),
            self._sessions.sweep(),
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
        self._check_available()
        return await self._writer.append(events)

    @override
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        wanted = reading.selecting(rooms)
        with self._running_script():
            async with self._read_turn:  # so an append waits for one read of this node at most
                call = self._script.read_call(after, wanted, limit)
                answer = await self._pool.run_script(LOG_SCRIPT, call.keys, *call.arguments)
        page = self._script.decode_page(after, wanted, limit, answer)
        self._follower.check_epoch(page.position.epoch)
        return page

    @override
    async def pieces(self, before: Offset | None, limit: int) -> PiecePage:
        with self._running_script():
            async with self._read_turn:
                call = self._script.pieces_call(before, limit)
                answer = await self._pool.run_script(LOG_SCRIPT, call.keys, *call.arguments)
        page = self._script.decode_pieces(before, limit, answer)
        if page.next is not None:
            self._follower.check_epoch(page.next.epoch)
        return page

    @override
    async def bounds(self) -> Bounds:
        answer = await self._call(self._script.state_call())
        bounds = self._script.decode_state(answer).bounds
        self._follower.check_epoch(bounds.position.epoch)
        return bounds

    @override
    async def check_writable(self) -> None:
        await self.append([])  # it has the whole way of an append, and Valkey refuses it likewise

    @override
    def tail(self) -> AsyncIterator[list[Record]]:
        return self._tails.open()

    def _check_available(self) -> None:
        if not self._accepting:
            raise LogUnavailable("the event log is closed")
        if self._follower.position is None:
            raise unavailable()

    async def _call(self, call: ScriptCall) -> str:
        answer: str = await self._run_script(LOG_SCRIPT, call.keys, *call.arguments)
        return answer

    async def _run_script(self, script: LuaScript, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script that may run twice; raise ``LogUnavailable`` if it fails."""
        with self._running_script():
            return await self._pool.run_script(script, keys, *arguments)

    @contextmanager
    def _running_script(self) -> Iterator[None]:
        """Count a script that runs or waits, so that closing lets it finish; translate errors."""
        self._check_available()
        self._running_scripts += 1
        try:
            yield
        except ValkeyError as error:
            if isinstance(error, RefusedError):
                logger.warning("event_log_refused error=%s", error)
            raise unavailable() from error
        finally:
            self._running_scripts -= 1
            if not self._running_scripts:
                self._no_running_scripts.set()

    def _publish(self, records: Sequence[Record]) -> None:
        self._tails.publish(records)
        self._blocks.follow(records)
        self._writer.tail_passed(records[-1].offset)

    def _handle_break(self, position: Offset) -> None:
        self._tails.clear()
        self._blocks.start_after(position)
        if self.on_break is not None:
            self.on_break(position)
        self._writer.tail_broke(position)

    async def _sweep(self) -> None:
        """Trim, and let the log have all blocks, in small steps, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began, pause = loop.time(), self._sweep_seconds
            with suppress(LogUnavailable):
                if await self._sweep_once():
                    pause = TRIM_PAUSE_FACTOR * (loop.time() - began)
            await asyncio.sleep(pause)

    async def _sweep_once(self) -> bool:
        """Take one step of the sweep; return whether there may be more to do."""
        blocks = self._blocks
        call = self._script.sweep_call(blocks.epoch, blocks.offered())
        may_have_more, first = self._script.decode_sweep(await self._call(call))
        missing = blocks.missing(first)
        if missing:
            page = await self.read(first._replace(seq=first.seq - 1), None, missing)
            if not page.gap and page.position.epoch == blocks.epoch:
                blocks.add(first.seq, page)
        return may_have_more or missing > 0

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                while self._running_scripts:
                    self._no_running_scripts.clear()
                    await self._no_running_scripts.wait()
        except TimeoutError:
            pass
        await self._writer.close()
        self._follower.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._follower.close()
        await self._sessions.close()
        await self._pool.close()
        self._tails.end()
