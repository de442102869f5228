"""The event log's contract, in words. Every log keeps all of it; one test suite holds them to it.

* **Order.** Events have one order. ``seq`` counts them from 1 within an ``epoch``; an epoch is
  made with the log and never comes back. An offset names one event for ever.
* **Durability.** ``append`` returns when the events are in the log for good, as durably as the
  log's kind promises (memory: while the process lives; SQLite: synced to disk). When it raises,
  none of them is in the log. An outcome that the log itself does not know, it finds out first.
* **Dedupe.** An ``id`` seen before, within the retention, appends nothing: the answer is the
  first append's receipt, marked duplicate, or ``IdConflict`` where type or furniture differ
  (``strictjson.equal``). This holds within one call too.
* **Rooms.** A record carries the rooms of its event and those of the piece's last known state,
  which is known until the piece is deleted, also past the retention. State and record change in
  one step. A duplicate changes nothing.
* **Retention.** Events beyond the count or older than the age go, oldest first, soon after they
  may (the oldest kept is always a suffix of the order); trimming delays no append noticeably.
* **Tail.** Every record reaches the tail, in order, once; on the node that appended it not later
  than the answer of ``append``. Where that can't be, the tail breaks: the log was lost, and begins
  anew with another epoch; an older state of it was restored; the retention passed what this node
  had not heard of; or the log could not be reached when it was opened, and is there now. The tail
  then forgets what it still holds, ``on_break`` is called with the position that it goes on from,
  and the records that come next follow on that. An offset from before a loss is a gap to ``read``.
* **Time.** Timestamps never decrease along the log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass

from sio_server.contract.errors import ContractError
from sio_server.contract.events import Event, Offset, Receipt, Record
from sio_server.eventlog.session_contract import SessionStore

AppendResult = Receipt | ContractError
"""What became of one event of an ``append``: a receipt, or ``IdConflict``."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long events are kept: at most ``seconds`` old and at most ``events`` of them."""

    seconds: float = 86_400
    events: int = 100_000


@dataclass(frozen=True, slots=True)
class Page:
    """What a read found after an offset.

    Attributes:
        records: in order; only those of the rooms asked for.
        position: where to read on. The last record's offset where the page was cut, else the
            last event that the read examined.
        at_end: nothing lay beyond ``position`` when the log was read.
        gap: the offset asked for is of another epoch, of the future, or older than what is kept.
            Then there are no records, and ``position`` is the log's end.
    """

    records: list[Record]
    position: Offset
    at_end: bool
    gap: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """The smallest offset that a read may start after without a gap, and the log's end."""

    oldest: Offset
    position: Offset

    def has_all_after(self, offset: Offset) -> bool:
        """Tell whether a read may start there; otherwise it is a gap."""
        return (
            offset.epoch == self.position.epoch
            and self.oldest.seq <= offset.seq <= self.position.seq
        )


TRIM_PAUSE_FACTOR = 4
"""How many times as long as a step of a long trimming took the next one waits, for appends."""


class EventLog(ABC):
    """An append-only log of furniture events. All methods run in one event loop.

    Attributes:
        sessions: the sessions that are kept beside the events.
        shared: whether other servers append to it too.
        on_break: called when the tail breaks; whoever has heard of all that came before it can't
            know what was lost.
    """

    sessions: SessionStore
    shared: bool = False
    on_break: Callable[[Offset], object] | None = None

    @abstractmethod
    async def open(self) -> None:
        """Make ready to append and read.

        A log that can't be reached yet is unavailable after this, until it is there.

        Raises:
            StartError: the log can't be used for good (no database, no permission); the message
                says which and what to do.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish what was asked for, then let everything go. A second call does nothing."""

    @abstractmethod
    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        """Append the events in their order, as one step that others see whole or not at all.

        Returns:
            An answer for each event, in order.

        Raises:
            LogUnavailable: nothing was appended.
            asyncio.CancelledError: the caller was cancelled, or the log was closed before it could
                learn what became of the events. They may be in the log.
        """

    @abstractmethod
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Read what came after an offset.

        Args:
            after: where to start; None: from the oldest kept.
            rooms: records of any of these rooms, each once; None: all.
            limit: how many records at most; with 0, ``position`` is the log's end. A read may
                return fewer with ``at_end`` False where it had to examine many events, or they
                are large: read on from ``position``.

        Raises:
            LogUnavailable: the log can't be read now.
        """

    @abstractmethod
    async def bounds(self) -> Bounds:
        """Return the oldest offset and the position.

        Raises:
            LogUnavailable: the log can't be read now.
        """

    @abstractmethod
    def tail(self) -> AsyncIterator[list[Record]]:
        """Yield every record appended after this call, in order, in batches as they come.

        Ends when the log is closed.
        """
