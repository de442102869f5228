"""The contract of the event log, in words.

Every log keeps every sentence below, and one test suite checks every log against them.

* **Order.** The events of a log have one order. ``seq`` counts them from 1 within an ``epoch``. An
  epoch is created with the log, and its name never comes back. So an offset names one event
  forever. (An epoch that begins on a restored older state continues the count of that state.)
* **Durability.** ``append`` returns when the log has stored the events permanently, as durably as
  this kind of log promises (memory: while the process lives; SQLite: synced to disk; Valkey: as
  durably as the server is configured to). If ``append`` raises an error, the log holds none of the
  events. If the log itself does not know an outcome, it finds out before it answers.
* **Dedupe.** An ``id`` that the log has seen within the retention appends nothing. The answer is
  the receipt of the first append, marked as a duplicate; or ``IdConflict``, if type or furniture
  differ (``strictjson.equal``). Two events of one call follow the same rule.
* **Rooms.** A record carries the rooms of its event and the rooms of the piece's last known state.
  If that state was in other rooms, the record carries the state, too. The log knows it until the
  piece is deleted, even if its events are beyond the retention. State and record change in one
  step. A duplicate changes nothing. (A log of an earlier version knows only the rooms.)
* **Pieces.** The log knows the last states of a bounded number of pieces. Beyond it, it forgets the
  pieces whose last event is the oldest, soon after they exceed it. The next event of a forgotten
  piece does not go to the rooms of its former state.
  ``pieces`` reads the last states, the latest changed piece first, also of pieces whose events are
  beyond the retention. It does not know the states that an earlier version has stored.
* **Retention.** The log removes events that are beyond the maximum number or older than the
  maximum age, soon after they exceed it. It removes the oldest events first, so that the
  remaining events are always the end of the order. Trimming delays no append noticeably.
* **Reads.** Reads delay no append noticeably, however many there are, and whatever they ask for.
  One read examines a bounded number of events and bytes, and appends go before waiting reads. A
  read may skip events without examining them: those that have none of its rooms.
* **Tail.** Every record reaches the tail once and in order; on the node that appended it, not later
  than ``append`` returns. If this is impossible, the tail **breaks**. There are four causes:

  - The log was lost, and starts again in another epoch.
  - An older state of the log was restored, and continues in another epoch.
  - The retention removed events that this node had not received yet.
  - The log could not be reached when it was opened, and now it can.

  When the tail breaks, it first drops the records that no consumer has taken yet. Then it calls
  ``on_break`` with the position at which it continues. The next records follow that position. To
  ``read``, an offset from before a loss is a gap.

  A record of the tail knows when it was committed. If servers share the log, this is when the
  server that appended it sent it, by that server's clock.
* **Time.** Timestamps never decrease along the log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass

from sio_server.contract.errors import ContractError
from sio_server.contract.events import Event, Offset, Receipt, Record
from sio_server.eventlog.revocation_contract import RevocationStore
from sio_server.eventlog.session_contract import SessionStore

AppendResult = Receipt | ContractError
"""The result of one event of an ``append``: a receipt, or ``IdConflict``."""


@dataclass(frozen=True, slots=True)
class Retention:
    """The bounds of a log: of its events, of its pieces, and of what is stored beside them.

    Attributes:
        seconds: the maximum age of an event, and how long a session lives after its owner has left.
        events: the maximum number of events.
        pieces: the maximum number of pieces whose last state is known.
        sessions: the maximum number of sessions whose owners have left.
        session_bytes: the maximum length of these sessions together. The sessions of connected
            owners may have as many bytes again; see ``session_contract``.
        revocation_seconds: how long a revocation of tokens is kept.
    """

    seconds: float = 86_400
    events: int = 100_000
    pieces: int = 1_000_000
    sessions: int = 200_000
    session_bytes: int = 268_435_456
    revocation_seconds: float = 86_400


@dataclass(frozen=True, slots=True)
class Page:
    """The result of a read.

    Attributes:
        records: the records of the requested rooms, in order.
        position: the offset after which the next read starts. If the page is full, this is the
            offset of its last record; otherwise, of the last event that the read examined.
        at_end: whether ``position`` was the log's end when the log was read.
        gap: whether the requested offset has another epoch, lies in the future, or is older than
            the oldest event of the log. Then the page has no records, and ``position`` is the
            log's end.
    """

    records: list[Record]
    position: Offset
    at_end: bool
    gap: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """The last known state of a piece of furniture.

    Attributes:
        offset: the piece's last event.
        rooms: the rooms that the piece is in.
        furniture: the piece as JSON.
    """

    offset: Offset
    rooms: tuple[str, ...]
    furniture: str


@dataclass(frozen=True, slots=True)
class PiecePage:
    """The result of a read of pieces.

    Attributes:
        pieces: the pieces, the latest changed one first.
        next: the offset before which the next read continues; None after the last piece.
    """

    pieces: list[Piece]
    next: Offset | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The two ends of a log.

    Attributes:
        oldest: the smallest offset after which a read can start without a gap.
        position: the log's end.
    """

    oldest: Offset
    position: Offset

    def has_all_after(self, offset: Offset) -> bool:
        """Tell whether a read can start after an offset; otherwise it is a gap."""
        return (
            offset.epoch == self.position.epoch
            and self.oldest.seq <= offset.seq <= self.position.seq
        )


TRIM_PAUSE_FACTOR = 4
"""A trimming step is followed by a pause of this many times its own duration, for the appends."""


class EventLog(ABC):
    """An append-only log of furniture events. All methods run in one event loop.

    Attributes:
        sessions: the sessions that are stored beside the events.
        revocations: the revocations of tokens that are stored beside the events.
        shared: whether other servers append to the same log.
        on_break: called when the tail breaks, with the position at which it continues. A consumer
            that has received everything before the break cannot know which events it missed.
    """

    sessions: SessionStore
    revocations: RevocationStore
    shared: bool = False
    on_break: Callable[[Offset], object] | None = None

    @abstractmethod
    async def open(self) -> None:
        """Prepare the log for appends and reads.

        If the log cannot be reached yet, this succeeds. The log is then unavailable until it can
        be reached.

        Raises:
            StartError: the log cannot be used, and waiting does not help (no database, no
                permission). The message names the cause and the remedy.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish the calls that have started, then free everything. A second call does nothing."""

    @abstractmethod
    async def append(self, events: Sequence[Event]) -> list[AppendResult]:
        """Append events in their order, as one step: a reader sees all of them or none.

        Returns:
            A result for each event, in order.

        Raises:
            LogUnavailable: no event was appended.
            asyncio.CancelledError: the caller was cancelled, or the log was closed before it could
                find out the outcome. The events may be in the log.
        """

    @abstractmethod
    async def read(self, after: Offset | None, rooms: Collection[str] | None, limit: int) -> Page:
        """Read the records after an offset.

        Args:
            after: the offset; None reads from the oldest event of the log.
            rooms: read the records of any of these rooms, each record once; None reads all.
            limit: the maximum number of records. With 0, ``position`` is the log's end. A read may
                return fewer records with ``at_end`` False if it examined many events or if the
                events are large. Then the next read starts after ``position``.

        Raises:
            LogUnavailable: the log cannot be read now.
        """

    @abstractmethod
    async def pieces(self, before: Offset | None, limit: int) -> PiecePage:
        """Read the last states of pieces, the latest changed piece first.

        Args:
            before: read the pieces whose last event is before this offset; None reads all. Before
                an offset of another epoch there are none.
            limit: the maximum number of pieces, at least 1. A read may return fewer, or none, if it
                examined many pieces or if they are large. ``next`` then says where to continue.

        Raises:
            LogUnavailable: the log cannot be read now.
        """

    @abstractmethod
    async def bounds(self) -> Bounds:
        """Return the oldest offset and the log's end.

        Raises:
            LogUnavailable: the log cannot be read now.
        """

    @abstractmethod
    async def check_writable(self) -> None:
        """Try a write that changes no event, no piece and no session, as an append would write.

        Raises:
            LogUnavailable: the log would not take an append now.
            asyncio.CancelledError: the log was closed before it could find out the outcome.
        """

    @abstractmethod
    def tail(self) -> AsyncIterator[list[Record]]:
        """Yield every record that is appended after this call, in order, in batches.

        The iteration ends when the log is closed.
        """
