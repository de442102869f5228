"""The thread of the SQLite event log: only it accesses the file, and it appends in groups.

When the thread is free, it takes the waiting appends as one group: one transaction, one commit, one
hand-over of all answers to the event loop. Queries and trimming take their turns between groups.
After a failure the thread tries to open the file until it succeeds. It refuses an append only if
none of its events can be in the file. If the outcome of a commit is unknown, its appends wait until
the file shows the outcome.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from time import monotonic

from sio_server.contract.events import Offset, Record
from sio_server.eventlog.contract import TRIM_PAUSE_FACTOR
from sio_server.eventlog.sqlite.jobs import (
    AppendJob,
    ChangeJob,
    Job,
    JobQueues,
    JobResult,
    StopJob,
    refusal,
    unavailable,
)
from sio_server.eventlog.sqlite.store import SqliteStore

logger = logging.getLogger(__name__)

GROUP_EVENTS = 1_000
"""A group accepts further appends until it holds this many events."""

MAX_GROUP_CHANGES = 1_000
"""How many changes of the tables beside the events a group holds at most."""

QUERY_SECONDS_BETWEEN_GROUPS = 0.001
"""How long the thread answers queries between two groups; it answers at least one. So an append
waits for the running query only, however many queries wait, and queries are answered meanwhile."""

CHECKPOINT_PAGES = 1_000
"""The thread writes the journal into the database when it has this many pages."""

RETRY_SECONDS = 0.5
"""How long the thread waits before it tries again to open the file or to write a checkpoint."""

CLOSE_TIMEOUT_SECONDS = 5.0
"""How long closing waits for an unknown outcome at most."""


@dataclass(eq=False, slots=True)
class _GroupCommit:
    """A group whose commit has begun, until its outcome is known.

    Attributes:
        records: the new records of the group.
        results: the results of its jobs, if the file has the commit.
    """

    records: list[Record]
    results: list[JobResult]


class SqliteWriter:
    """The work of the thread.

    Args:
        jobs: the jobs from the event loop.
        post: hands new records and results to the event loop, in this order.
        reopen: opens the store again after a failure; may raise any exception.
        sweep_seconds: how often the thread looks for events that are too old.
    """

    def __init__(
        self,
        jobs: SimpleQueue[Job | StopJob],
        post: Callable[[Sequence[Record], Sequence[JobResult]], None],
        reopen: Callable[[], SqliteStore],
        sweep_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._post = post
        self._reopen = reopen
        self._sweep_seconds = sweep_seconds
        self._store: SqliteStore | None = None
        self._waiting = JobQueues()
        self._unknown_commit: _GroupCommit | None = None
        self._end_before_failure: Offset | None = None
        self._stop_at: float | None = None
        self._failing = False
        self._reopen_at = self._sweep_at = self._checkpoint_at = 0.0

    def run(self, store: SqliteStore) -> None:
        """Do all jobs up to the ``StopJob``."""
        self._store = store
        try:
            while not self._is_done():
                self._collect_jobs()
                if self._ensure_file_open():
                    self._write_group()
                    self._probe()
                    self._answer_queries()
                    self._maintain_file()
                else:
                    self._post([], self._waiting.refuse_all())
        except BaseException:
            if self._store is not None:
                self._store.discard()
            raise
        if self._store is not None:
            self._store.close()

    def unfinished_results(self) -> list[JobResult]:
        """Return the results of the jobs that ``run`` had not finished when it ended."""
        unknown = self._unknown_commit.results if self._unknown_commit else []
        return [
            *(JobResult(result.answer, known=False) for result in unknown),
            *self._waiting.refuse_all(),
        ]

    def _is_done(self) -> bool:
        if self._stop_at is None or self._waiting:
            return False
        return self._unknown_commit is None or monotonic() > self._stop_at

    def _collect_jobs(self) -> None:
        """Put the new jobs into their queues; if there is nothing to do, wait for a job."""
        wait_seconds = 0.0
        if not self._waiting:
            next_at = self._sweep_at if self._store else self._reopen_at
            wait_seconds = max(0.0, next_at - monotonic())
        try:
            job = self._jobs.get(wait_seconds > 0, wait_seconds)
            while True:
                if isinstance(job, StopJob):
                    self._stop_at = monotonic() + CLOSE_TIMEOUT_SECONDS
                else:
                    self._waiting.add(job)
                job = self._jobs.get_nowait()
        except Empty:
            pass

    def _write_group(self) -> None:
        store, appends, changes = self._store, self._next_append_jobs(), self._next_change_jobs()
        if store is None or not (appends or changes):
            return
        try:
            plan = store.new_plan()
            results = [
                JobResult(job.answer, [plan.add(event) for event in job.events]) for job in appends
            ]
            if plan.records or changes:
                store.begin(synced=bool(plan.records) or any(job.synced for job in changes))
            if plan.records:
                store.write(plan)
            results += [JobResult(job.answer, store.change_tables(job.change)) for job in changes]
        except Exception as error:
            self._handle_failure(error)
            self._remove_from_queues(appends, changes)
            self._post([], [*map(refusal, appends), *map(refusal, changes)])
            return
        commit = _GroupCommit(list(plan.records.values()), results)
        if plan.records:
            self._unknown_commit = commit
        self._remove_from_queues(appends, changes)
        if plan.records or changes:
            try:
                store.commit()
            except Exception as error:
                self._handle_failure(error)
                if not plan.records:
                    self._post([], [*results[: len(appends)], *map(refusal, changes)])
                return
            self._handle_success()
        self._post_commit(commit)
        self._unknown_commit = None

    def _post_commit(self, commit: _GroupCommit) -> None:
        committed_at = monotonic()
        for record in commit.records:
            record.note_commit(committed_at)
        self._post(commit.records, commit.results)

    def _next_append_jobs(self) -> list[AppendJob]:
        group: list[AppendJob] = []
        events = 0
        for job in self._waiting.appends:
            group.append(job)
            events += len(job.events)
            if events >= GROUP_EVENTS:
                break
        return group

    def _next_change_jobs(self) -> list[ChangeJob]:
        return list(islice(self._waiting.changes, MAX_GROUP_CHANGES))

    def _remove_from_queues(
        self, appends: Sequence[AppendJob], changes: Sequence[ChangeJob]
    ) -> None:
        for _ in appends:
            self._waiting.appends.popleft()
        for _ in changes:
            self._waiting.changes.popleft()

    def _probe(self) -> None:
        """Write one probe, if one waits. It shares no transaction with an append: it may fail."""
        if self._store is None or not self._waiting.probes:
            return
        job = self._waiting.probes[0]
        try:
            self._store.begin()
            self._store.write_probe()
            self._store.commit()
        except Exception as error:
            self._handle_failure(error)
            result = refusal(job)
        else:
            self._handle_success()
            result = JobResult(job.answer)
        self._waiting.probes.popleft()
        self._post([], [result])

    def _answer_queries(self) -> None:
        stop_at = monotonic() + QUERY_SECONDS_BETWEEN_GROUPS
        while self._store is not None and self._waiting.queries:
            job = self._waiting.queries[0]
            try:
                result = JobResult(job.answer, job.query(self._store))
            except Exception as error:
                self._handle_failure(error)
                result = refusal(job)
            self._waiting.queries.popleft()
            self._post([], [result])
            if monotonic() >= stop_at:
                return

    def _maintain_file(self) -> None:
        """Take one small step of trimming and the like, and write a checkpoint, if due."""
        if self._store is None:
            return
        now = monotonic()
        try:
            if now >= self._sweep_at:
                store = self._store
                self._sweep_at = now + self._sweep_seconds  # also if a step fails
                if store.trim() or store.summarise() or store.shrink():  # there may be more
                    ended = monotonic()
                    self._sweep_at = ended + TRIM_PAUSE_FACTOR * (ended - now)
        except Exception as error:
            self._handle_failure(error)
            return
        if self._store.journal_pages >= CHECKPOINT_PAGES and now >= self._checkpoint_at:
            try:
                self._store.checkpoint()
            except Exception as error:
                logger.warning("event_log_checkpoint_failed error=%r", error)
                self._checkpoint_at = now + RETRY_SECONDS

    # Failures and recovery.

    def _handle_failure(self, error: Exception) -> None:
        """Close the file, which undoes the writes of an open transaction."""
        if not self._failing:
            logger.error("event_log_failed error=%r", error)
        self._failing = True
        self._reopen_at = 0.0
        store, self._store = self._store, None
        if store is not None:
            self._end_before_failure = store.position
            store.discard()

    def _handle_success(self) -> None:
        if self._failing:
            logger.info("event_log_recovered")
        self._failing = False

    def _ensure_file_open(self) -> bool:
        """Tell whether the file is open; after a failure, try to open it and settle the commit."""
        if self._store is None and monotonic() >= self._reopen_at:
            store = None
            try:
                store = self._reopen()
                self._settle_unknown_commit(store)
            except Exception as error:
                logger.warning("event_log_reopen_failed error=%r", error)
                if store is not None:
                    store.discard()
                self._reopen_at = monotonic() + RETRY_SECONDS
            else:
                self._store, self._unknown_commit = store, None
        return self._store is not None

    def _settle_unknown_commit(self, store: SqliteStore) -> None:
        """Compare the log's end in the file with the unknown commit, and answer its jobs."""
        commit = self._unknown_commit
        if commit is not None and store.position == commit.records[-1].offset:
            store.checkpoint()  # the commit's own sync failed: this syncs it to disk
            self._post_commit(commit)
        elif store.position == self._end_before_failure:
            results = commit.results if commit else []
            self._post([], [JobResult(result.answer, unavailable()) for result in results])
        else:
            raise OSError(
                "the file was replaced, or another server has used it: stop that server, "
                "or restart this one"
            )
