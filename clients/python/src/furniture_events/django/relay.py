"""Drain the outbox: read the oldest rows, send them, delete the acknowledged ones.

A relay may die at any point. The next one sends the same events with the same ids, and the broker
recognises them. Revocations go first, and repeating them is harmless. The relay sends an event of a
piece only after the broker has answered the earlier event of that piece.
"""

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import Error, connections
from django.utils import timezone

from furniture_events import (
    Forbidden,
    FurnitureEventsError,
    IdConflict,
    InvalidFurniture,
    InvalidJson,
    InvalidMessage,
    Producer,
    Published,
    TooLarge,
    TooManyEvents,
    Unauthorized,
    UnexpectedAnswer,
    UnknownType,
)
from furniture_events._batches import retry_after
from furniture_events._encoding import EncodedEvent
from furniture_events.django import outbox
from furniture_events.django.conf import config
from furniture_events.django.leadership import leadership
from furniture_events.django.models import OutboxEvent, OutboxRevocation
from furniture_events.django.wakeups import (
    StopSignal,
    WakeNotifications,
    WakeSocket,
    can_listen,
    sleep,
)

__all__ = ["Relay", "rounds"]

_logger = logging.getLogger("furniture_events.django")

# The broker refuses one event permanently. Any other refusal is temporary, or is about the relay
# itself: its key or its address.
_EVENT_REFUSALS = (IdConflict, InvalidFurniture, InvalidJson, InvalidMessage, TooLarge, UnknownType)

_KEY_HINT = " (FURNITURE_EVENTS['KEY'] must be one of the broker's SIO_PRODUCER_KEYS)"

_MAX_DOUBLINGS = 32

_MAX_REVOCATIONS = 100

_MAX_TRANSACTION = timedelta(seconds=10)
"""A user may still have got a token while the transaction that revokes them was open. A transaction
of this length leaves none valid."""


class Relay:
    """The relay of one database.

    Attributes:
        database: the alias of the database.
        drained: the number of rows that it has published.
        failures: the number of failures since its last success.
    """

    def __init__(self, using: str) -> None:
        self.database = using
        self._stop_signal = StopSignal()
        self._config = config()
        self._producer: Producer = self._config.producer(
            attempts=1,
            timeout=self._config.timeout,
            deadline=3 * self._config.timeout,
            batch_events=self._config.batch_events,
            batch_bytes=self._config.batch_bytes,
        )
        self._leadership = leadership(using)
        self._active: bool | None = None  # unknown until the database has answered
        self._wake_sources: list[WakeSocket | WakeNotifications] = []
        self.drained = self.failures = 0
        self._revoke_at = 0.0
        self._max_events = self._config.batch_events

    @property
    def is_active(self) -> bool:
        """Whether it drains the outbox. A relay that stands by does not."""
        return self._active is True

    def stop(self) -> None:
        """End ``run`` when its current request is answered. Safe in a signal handler."""
        self._stop_signal.set()

    def run_once(self) -> bool:
        """Publish the waiting events, then close.

        Returns:
            False if another relay is the active one, or became it.

        Raises:
            FurnitureEventsError: the broker takes no events now.
            Error: the database failed.
        """
        try:
            return self._leadership.hold() and self.drain()
        finally:
            self.close()

    def run(self) -> None:
        """Relay until ``stop``, or stand by while another relay is the active one."""
        while not self._stop_signal.is_set():
            try:
                if self._become_active():
                    self.drain()
                    self._note_recovery()
                seconds = min(self._config.poll_seconds, self._leadership.renew_seconds)
                sleep(seconds, [self._stop_signal, *self._wake_sources])
            except (FurnitureEventsError, Error) as error:
                if isinstance(error, Error):
                    self._disconnect()
                sleep(self._back_off(error), [self._stop_signal])
        self.close()
        _logger.info("relay_stopped database=%s", self.database)

    def _note_recovery(self) -> None:
        if self.failures:
            _logger.info("relay_recovered failures=%d", self.failures)
        self.failures = 0

    def drain(self) -> bool:
        """Publish until no event waits.

        Returns:
            False if ``stop`` was called, or another relay became the active one.

        Raises:
            FurnitureEventsError: the broker takes no events now.
            Error: the database failed.
        """
        failure = self._revoke()
        while rows := outbox.oldest(self.database, self._max_events, self._config.batch_bytes):
            for batch in rounds(rows):
                if self._stop_signal.is_set() or not self._leadership.hold():
                    return False
                if not self._send(batch):
                    break
                self._note_recovery()
                self._max_events = min(self._max_events + 1, self._config.batch_events)
        if failure is not None:
            raise failure
        return True

    def _revoke(self) -> FurnitureEventsError | None:
        """Send the waiting revocations. Return the failure, if it probably forbids events, too.

        A broker that takes no revocations, for example because the relay has no key, may still
        take events. So the relay then tries again only after a while.
        """
        if time.monotonic() < self._revoke_at:
            return None
        while rows := outbox.oldest_revocations(self.database, _MAX_REVOCATIONS):
            for row in rows:
                if self._stop_signal.is_set() or not self._leadership.hold():
                    return None
                try:
                    self._producer.revoke(row.sub, before=_before(row))
                except InvalidMessage as error:
                    _logger.error("revocation_refused row=%d", row.pk)  # noqa: TRY400
                    outbox.refuse(row, str(error), self.database)
                except FurnitureEventsError as error:
                    if error.temporary:
                        return error
                    _logger.error("revocations_wait reason=%r", str(error))  # noqa: TRY400
                    self._revoke_at = time.monotonic() + self._config.backoff_max_seconds
                    return None
                else:
                    outbox.delete([row], self.database)
                    self.drained += 1
        return None

    def _send(self, rows: Sequence[OutboxEvent]) -> bool:
        """Publish rows. Return False if rows must be sent again before later ones."""
        results = self._producer.publish_many([self._encoded(row) for row in rows])
        published, refused, undecided, failure = [], [], [], None
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, Published):
                published.append(row)
            elif _refuses_request(result) and len(rows) > 1 and not self._had_own_request(row):
                undecided.append(result)
            elif _refuses_request(result) or isinstance(result, _EVENT_REFUSALS):
                refused.append((row, result))
            else:
                failure = failure or result
        if isinstance(failure, UnexpectedAnswer):  # a text may have broken the JSON of the batch
            broken = [row for row in rows if _decoded(row.event) is row.event]
            refused += [(row, InvalidJson("the stored event is no JSON")) for row in broken]
        outbox.delete(published, self.database)
        self.drained += len(published)
        waiting = [row for row, error in refused if not self._refuse(row, error)]
        if failure is not None:
            raise failure
        if undecided:
            self._max_events = max(1, len(undecided) // 2)
            _logger.warning(
                "batch_refused reason=%r next_batch_events=%d", str(undecided[0]), self._max_events
            )
        return not undecided and not waiting

    def _encoded(self, row: OutboxEvent) -> Any:
        """Return the event of a row, as the producer takes it.

        A text that this app has not written is checked and encoded like any mapping.
        """
        event = EncodedEvent.from_text(row.event) or _decoded(row.event)
        if self._config.tracing and row.traceparent and isinstance(event, EncodedEvent):
            from furniture_events._tracing import TracedEvent  # noqa: PLC0415 - it needs an extra

            return TracedEvent.of(event, row.traceparent)
        return event

    def _refuse(self, row: OutboxEvent, error: FurnitureEventsError) -> bool:
        """Set a row aside, and return True.

        An event may be too large only because of its trace. Then the row waits to be sent without
        the trace, and the result is False.
        """
        if row.traceparent is not None and isinstance(error, (TooLarge, UnexpectedAnswer)):
            outbox.forget_trace(row, self.database)
            return False
        outbox.log_refused(row, error)
        outbox.refuse(row, str(error), self.database)
        return True

    def _had_own_request(self, row: OutboxEvent) -> bool:
        """Tell whether the event is larger than a batch, and so was sent alone."""
        return len(row.event.encode()) > self._config.batch_bytes

    def _become_active(self) -> bool:
        active = self._leadership.hold()
        if active != self._active:
            state = "relay_active" if active else "relay_standby"
            _logger.info("%s database=%s", state, self.database)
            self._close_wake_sources()
            if active:
                self._wake_sources = self._open_wake_sources()
        self._active = active
        return active

    def _open_wake_sources(self) -> list[WakeSocket | WakeNotifications]:
        match self._config.wake:
            case "listen" if can_listen(connections[self.database]):
                return [WakeNotifications(self.database)]
            case "socket":
                try:
                    return [WakeSocket(self.database)]
                except OSError as error:
                    _logger.warning("wake_socket_failed reason=%r", error)
        return []

    def _close_wake_sources(self) -> None:
        for source in self._wake_sources:
            source.close()
        self._wake_sources = []

    def _disconnect(self) -> None:
        self._active = None
        self._close_wake_sources()  # before another relay becomes active and opens its own
        with suppress(Error):
            self._leadership.release()  # a pool would keep the connection, and the lock with it
        if not connections[self.database].in_atomic_block:  # closing would lose its transaction
            connections[self.database].close()

    def close(self) -> None:
        """Free everything. ``run`` and ``run_once`` do it at their end."""
        self._disconnect()
        self._producer.close()
        self._stop_signal.close()

    def _back_off(self, error: Exception) -> float:
        """Return the seconds to wait: random up to a doubling bound, plus the Retry-After."""
        doubled = self._config.backoff_seconds * 2.0 ** min(self.failures, _MAX_DOUBLINGS)
        self.failures += 1
        seconds = (retry_after(error) if isinstance(error, FurnitureEventsError) else None) or 0.0
        delay = random.random() * min(doubled, self._config.backoff_max_seconds)  # noqa: S311
        delay += min(seconds, self._config.retry_after_max_seconds)
        reason = str(error)
        if isinstance(error, (Unauthorized, Forbidden)):
            reason += _KEY_HINT
        _logger.warning(
            "relay_waits failures=%d delay=%.3f reason=%r", self.failures, delay, reason
        )
        return delay


def rounds(rows: Iterable[OutboxEvent]) -> list[list[OutboxEvent]]:
    """Divide rows into batches with at most one event of each piece, in the order of the rows.

    One event of a batch can fail while the others are appended. Then the piece's next event must
    not be sent yet.
    """
    batches: list[list[OutboxEvent]] = []
    events_of_piece: Counter[str] = Counter()
    for row in rows:
        number = events_of_piece[row.furniture_id]
        events_of_piece[row.furniture_id] += 1
        if number == len(batches):
            batches.append([])
        batches[number].append(row)
    return batches


def _decoded(text: str) -> Any:
    """Return the value of a JSON text. Return another text as it is: the producer refuses it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _before(row: OutboxRevocation) -> datetime:
    """Return until when the tokens of a user were issued that are revoked: up to now, if possible.

    If the relay is late, the user may have signed in again. So this is not long after the row.
    """
    before = min(timezone.now(), row.created_at + _MAX_TRANSACTION)
    return before if settings.USE_TZ else timezone.make_aware(before)


def _refuses_request(error: FurnitureEventsError) -> bool:
    """Tell whether the whole request was refused for its content. Smaller requests then help."""
    if isinstance(error, UnexpectedAnswer):
        return error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return isinstance(error, (*_EVENT_REFUSALS, TooManyEvents)) and error.status is not None
