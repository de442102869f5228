"""The SQLite event log's thread: it alone touches the file, and appends in groups.

What waits to be appended when the thread comes to it is one group: one transaction, one commit,
one hand-over of all answers to the event loop. Questions and trimming take their turns between
groups. After a failure the thread opens the file anew, as often as it takes. An append is refused
only where nothing of it can be in the file; where a commit's outcome is unknown, its appends wait
until the file has told.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from time import monotonic

from sio_server.contract.events import Offset, Record
from sio_server.eventlog.contract import TRIM_PAUSE_FACTOR
from sio_server.eventlog.sqlite.jobs import (
    Append,
    Job,
    Outcome,
    Question,
    Rewrite,
    Stop,
    refusal,
    unavailable,
)
from sio_server.eventlog.sqlite.store import Store

logger = logging.getLogger(__name__)

GROUP_EVENTS = 1_000
"""A group takes further appends until it holds this many events."""

QUESTIONS_BETWEEN_GROUPS = 4

CHECKPOINT_PAGES = 1_000
"""How long the journal grows before its pages are brought into the database."""

RETRY_SECONDS = 0.5
"""How long the thread waits before it tries again to open the file, or to write a checkpoint."""

CLOSE_SECONDS = 5.0
"""How long closing waits to learn an unknown outcome."""


@dataclass(eq=False, slots=True)
class _Doubt:
    """A group whose commit was begun and whose appends are not answered yet."""

    records: list[Record]
    outcomes: list[Outcome]


class Writer:
    """What runs in the thread.

    Args:
        jobs: from the event loop.
        post: hands new records and outcomes to the event loop, in this order.
        reopen: opens the store again after a failure; may raise anything.
        sweep_seconds: how often events that grew too old are looked for.
    """

    def __init__(
        self,
        jobs: SimpleQueue[Job | Stop],
        post: Callable[[Sequence[Record], Sequence[Outcome]], None],
        reopen: Callable[[], Store],
        sweep_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._post = post
        self._reopen = reopen
        self._sweep_seconds = sweep_seconds
        self._store: Store | None = None
        self._appends: deque[Append] = deque()
        self._rewrites: deque[Rewrite] = deque()
        self._questions: deque[Question] = deque()
        self._doubt: _Doubt | None = None
        self._left_at: Offset | None = None
        self._stop_at: float | None = None
        self._failing = False
        self._reopen_at = self._sweep_at = self._checkpoint_at = 0.0

    def run(self, store: Store) -> None:
        """Do the jobs, until the last."""
        self._store = store
        try:
            while not self._is_done():
                self._collect()
                if self._is_usable():
                    self._append_group()
                    self._answer_questions()
                    self._tidy()
                else:
                    self._refuse_waiting()
        except BaseException:
            if self._store is not None:
                self._store.discard()
            raise
        if self._store is not None:
            self._store.close()

    def abandoned(self) -> list[Outcome]:
        """Return how what ``run`` has left undone has to be answered, once it has ended."""
        doubtful = self._doubt.outcomes if self._doubt else []
        return [
            *(Outcome(outcome.answer, known=False) for outcome in doubtful),
            *self._refusals(),
        ]

    def _is_done(self) -> bool:
        if self._stop_at is None or self._appends or self._rewrites or self._questions:
            return False
        return self._doubt is None or monotonic() > self._stop_at

    def _collect(self) -> None:
        """Take the jobs that wait; wait for one where there is nothing else to do."""
        wait = 0.0
        if not (self._appends or self._rewrites or self._questions):
            wait = max(0.0, (self._sweep_at if self._store else self._reopen_at) - monotonic())
        try:
            job = self._jobs.get(wait > 0, wait)
            while True:
                if isinstance(job, Append):
                    self._appends.append(job)
                elif isinstance(job, Rewrite):
                    self._rewrites.append(job)
                elif isinstance(job, Question):
                    self._questions.append(job)
                else:
                    self._stop_at = monotonic() + CLOSE_SECONDS
                job = self._jobs.get_nowait()
        except Empty:
            pass

    def _append_group(self) -> None:
        store, appends, rewrites = self._store, self._next_appends(), self._next_rewrites()
        if store is None or not (appends or rewrites):
            return
        try:
            step = store.new_plan()
            outcomes = [
                Outcome(append.answer, [step.add(event) for event in append.events])
                for append in appends
            ]
            if step.records or rewrites:
                store.begin(synced=bool(step.records) or any(it.synced for it in rewrites))
            if step.records:
                store.write(step)
            outcomes += [Outcome(it.answer, store.rewrite(it.change)) for it in rewrites]
        except Exception as error:
            self._fail(error)
            self._drop(appends, rewrites)
            self._post([], [*map(refusal, appends), *map(refusal, rewrites)])
            return
        doubt = _Doubt(list(step.records.values()), outcomes)
        if step.records:
            self._doubt = doubt
        self._drop(appends, rewrites)
        if step.records or rewrites:
            try:
                store.commit()
            except Exception as error:
                self._fail(error)
                if not step.records:
                    self._post([], [*outcomes[: len(appends)], *map(refusal, rewrites)])
                return
            self._succeed()
        self._post(doubt.records, doubt.outcomes)
        self._doubt = None

    def _next_appends(self) -> list[Append]:
        group: list[Append] = []
        events = 0
        for append in self._appends:
            group.append(append)
            events += len(append.events)
            if events >= GROUP_EVENTS:
                break
        return group

    def _next_rewrites(self) -> list[Rewrite]:
        return list(islice(self._rewrites, GROUP_EVENTS))

    def _drop(self, appends: Sequence[Append], rewrites: Sequence[Rewrite]) -> None:
        for _ in appends:
            self._appends.popleft()
        for _ in rewrites:
            self._rewrites.popleft()

    def _answer_questions(self) -> None:
        for _ in range(QUESTIONS_BETWEEN_GROUPS):
            if self._store is None or not self._questions:
                return
            question = self._questions[0]
            try:
                outcome = Outcome(question.answer, question.ask(self._store))
            except Exception as error:
                self._fail(error)
                outcome = refusal(question)
            self._questions.popleft()
            self._post([], [outcome])

    def _tidy(self) -> None:
        """Trim, shrink and checkpoint where it is time to, a small step of each."""
        if self._store is None:
            return
        now = monotonic()
        try:
            if now >= self._sweep_at:
                more = self._store.trim() or self._store.shrink()
                ended = monotonic()
                rest = TRIM_PAUSE_FACTOR * (ended - now) if more else self._sweep_seconds
                self._sweep_at = ended + rest
        except Exception as error:
            self._fail(error)
            return
        if self._store.journal_pages >= CHECKPOINT_PAGES and now >= self._checkpoint_at:
            try:
                self._store.checkpoint()
            except Exception as error:
                logger.warning("event_log_checkpoint_failed error=%r", error)
                self._checkpoint_at = now + RETRY_SECONDS

    # Failing and recovering.

    def _fail(self, error: Exception) -> None:
        """Let the file go, which undoes what was written and not committed."""
        if not self._failing:
            logger.error("event_log_failed error=%r", error)
        self._failing = True
        self._reopen_at = 0.0
        store, self._store = self._store, None
        if store is not None:
            self._left_at = store.position
            store.discard()

    def _succeed(self) -> None:
        if self._failing:
            logger.info("event_log_recovered")
        self._failing = False

    def _is_usable(self) -> bool:
        """Open the file again where it was let go, and let it settle what is in doubt."""
        if self._store is None and monotonic() >= self._reopen_at:
            store = None
            try:
                store = self._reopen()
                self._settle(store)
            except Exception as error:
                logger.warning("event_log_reopen_failed error=%r", error)
                if store is not None:
                    store.discard()
                self._reopen_at = monotonic() + RETRY_SECONDS
            else:
                self._store, self._doubt = store, None
        return self._store is not None

    def _settle(self, store: Store) -> None:
        """Answer the group in doubt by where the file says that the log ends."""
        doubt = self._doubt
        if doubt is not None and store.position == doubt.records[-1].offset:
            store.checkpoint()  # its sync had failed: now it is on disk
            self._post(doubt.records, doubt.outcomes)
        elif store.position == self._left_at:
            outcomes = doubt.outcomes if doubt else []
            self._post([], [Outcome(outcome.answer, unavailable()) for outcome in outcomes])
        else:
            raise OSError("the file was replaced, or used by another server meanwhile")

    def _refuse_waiting(self) -> None:
        self._post([], self._refusals())
        for waiting in (self._appends, self._rewrites, self._questions):
            waiting.clear()

    def _refusals(self) -> list[Outcome]:
        waiting: list[Job] = [*self._appends, *self._rewrites, *self._questions]
        return [refusal(job) for job in waiting]
