"""Follows Valkey's stream of events on its own connection. A cut does not change the position."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import MovedError

from sio_server.contract.errors import StartError
from sio_server.contract.events import Offset, Record
from sio_server.eventlog.valkey.connection import (
    RefusedError,
    ValkeyConnection,
    ValkeyError,
    check_server,
)
from sio_server.eventlog.valkey.script import LOG_SCRIPT, LogScript, LogState

logger = logging.getLogger(__name__)

MAX_READ_EVENTS = 200
"""How many events one request reads at most."""

BLOCK_SECONDS = 1.0
"""How long Valkey waits for a new event before it answers that there is none."""

RETRY_SECONDS = 0.2
"""How long the follower waits before it tries again to reach Valkey."""


class Follower:
    """The tail of this node.

    Args:
        script: encodes the calls of the log's script.
        connection: used only by the follower.
        on_records: called with new records, in order.
        on_break: called when the tail breaks, with the position at which it continues. If ``open``
            could not reach Valkey, the tail also breaks when it first reaches Valkey.

    Attributes:
        position: the offset after which the follower reads. None until Valkey was reached once.
    """

    def __init__(
        self,
        script: LogScript,
        connection: ValkeyConnection,
        on_records: Callable[[Sequence[Record]], None],
        on_break: Callable[[Offset], None],
    ) -> None:
        self.position: Offset | None = None
        self._script = script
        self._connection = connection
        self._on_records = on_records
        self._on_break = on_break
        self._reading: asyncio.Timeout | None = None  # ``_end_read`` lets it expire
        self._must_check_state = False
        self._stopped = False
        self._failing = False

    async def start_at_end(self) -> None:
        """Find the log's end and take it as the position.

        Raises:
            StartError: Valkey cannot be used, and waiting does not help.
            ValkeyError: Valkey cannot be reached, or cannot answer yet.
        """
        await check_server(self._connection)
        try:
            state = await self._fetch_state()
        except RefusedError as error:
            if isinstance(error.__cause__, MovedError):
                raise StartError(
                    "SIO_EVENT_LOG: this node of a Valkey cluster does not hold the log, "
                    f"{error.__cause__.host}:{error.__cause__.port} does; the log needs one server "
                    "and its replicas, without Cluster mode"
                ) from None
            raise
        self._move_to(Offset(state.epoch, state.last))

    async def run(self) -> None:
        """Follow the stream until ``stop`` is called; reconnect after every failure."""
        while not self._stopped:
            try:
                await self._follow()
            except (ValkeyError, StartError) as error:
                self.note_failure(error)
            except Exception:
                logger.exception("event_log_tail_failed")
            await self._connection.close()
            await asyncio.sleep(RETRY_SECONDS)

    def note_failure(self, error: Exception) -> None:
        """Log a failure of Valkey, unless one was logged since Valkey was last reached."""
        if not self._failing:
            logger.error("event_log_unreachable error=%s", error)
        self._failing = True

    def check_epoch(self, epoch: str) -> None:
        """If an answer has another epoch, end the present read, so that the state is checked."""
        if self.position is not None and self.position.epoch != epoch:
            self._must_check_state = True  # there may be no request at the moment
            self._end_read()

    def stop(self) -> None:
        """End ``run``."""
        self._stopped = True
        self._end_read()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _follow(self) -> None:
        if self.position is None:
            await self.start_at_end()
            self._report_break()
        else:
            await check_server(self._connection)
            await self._check_position(await self._fetch_state())
        while not self._stopped:
            self._note_success()
            position = self.position
            assert position is not None
            read_events = (
                *("XREAD", "COUNT", MAX_READ_EVENTS, "BLOCK", int(BLOCK_SECONDS * 1000)),
                *("STREAMS", self._script.events_key, f"{position.seq}-0"),
            )
            # The state is read after the events: if the epoch is still the same, the events are of
            # this epoch.
            read_state = ("HMGET", self._script.log_key, "epoch", "start", "oldest", "last")
            answers = None if self._must_check_state else await self._read(read_events, read_state)
            if answers is None or not self._take_events(*answers):
                self._must_check_state = False
                await self._check_position(await self._fetch_state())

    async def _read(self, *commands: Sequence[Any]) -> list[Any] | None:
        """Send commands; return None if ``check_epoch`` or ``stop`` ended the wait for an answer.

        No task of its own: each task would delay an event by an iteration of the event loop.
        """
        try:
            async with asyncio.timeout(None) as self._reading:
                return await self._connection.request(*commands, extra_seconds=BLOCK_SECONDS)
        except TimeoutError:
            return None
        finally:
            self._reading = None

    def _end_read(self) -> None:
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(0)

    def _take_events(self, streams: Any, state: Sequence[Any]) -> bool:
        """Pass on the events of an answer. Return False if they do not follow the position."""
        position = self.position
        assert position is not None
        epoch, _, oldest, last = state
        entries = streams[0][1] if streams else []
        if epoch != position.epoch or int(last) < position.seq:
            return False
        records = [self._script.decode_entry(position.epoch, entry) for entry in entries]
        if not records:
            return int(oldest) <= position.seq
        if records[0].offset.seq != position.seq + 1:
            return False
        self._move_to(records[-1].offset)
        self._on_records(records)
        return True

    async def _check_position(self, state: LogState) -> None:
        """Keep the position if the log has all later events. Otherwise move and report a break."""
        position = self.position
        assert position is not None
        if state.epoch == position.epoch and state.oldest <= position.seq:
            return
        self._move_to(Offset(state.epoch, max(state.start, state.oldest)))
        logger.warning("event_log_tail_broke from=%s to=%s", position, self.position)
        self._report_break()

    async def _fetch_state(self) -> LogState:
        call = self._script.state_call()
        answer = await self._connection.run_script(LOG_SCRIPT, call.keys, *call.arguments)
        return self._script.decode_state(answer)

    def _move_to(self, position: Offset) -> None:
        self.position = self._script.last_seen = position

    def _report_break(self) -> None:
        assert self.position is not None
        self._on_break(self.position)

    def _note_success(self) -> None:
        if self._failing:
            logger.info("event_log_reached")
        self._failing = False
