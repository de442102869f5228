"""Drains the outbox: reads what waits, publishes it, deletes what the broker has.

A relay that dies at any point repeats itself harmlessly: events keep their ids, and the broker
knows those that it has. Of one piece it sends an event only once the one before it was answered.
"""

import json
import logging
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus

from django.db import Error, connections

from furniture_events import (
    FurnitureEventsError,
    IdConflict,
    InvalidFurniture,
    InvalidJson,
    InvalidMessage,
    Producer,
    Published,
    TooLarge,
    TooManyEvents,
    UnexpectedAnswer,
    UnknownType,
)
from furniture_events._batches import retry_after
from furniture_events.django import outbox
from furniture_events.django.conf import config
from furniture_events.django.leadership import leadership
from furniture_events.django.models import OutboxEvent
from furniture_events.django.wake import Alarm, Notifications, WakeSocket, can_listen, sleep

__all__ = ["Relay", "rounds"]

_logger = logging.getLogger("furniture_events.django")

# What is wrong with one event, for good. Any other refusal is the relay's own (its key, its
# address), or passes.
_POISON = (IdConflict, InvalidFurniture, InvalidJson, InvalidMessage, TooLarge, UnknownType)


class Relay:
    """The relay of one database."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._alarm = Alarm()
        self._config = config()
        self._producer: Producer = self._config.producer(
            attempts=1,
            timeout=self._config.timeout,
            deadline=3 * self._config.timeout,
            batch_events=self._config.batch_events,
            batch_bytes=self._config.batch_bytes,
        )
        self._leadership = leadership(using)
        self._active: bool | None = None  # it is not known yet
        self._wakers: list[WakeSocket | Notifications] = []
        self._failures = 0
        self._most = self._config.batch_events

    def stop(self) -> None:
        """End `run` once the request that it is at is answered; safe in a signal handler."""
        self._alarm.ring()

    def run_once(self) -> bool:
        """Publish what waits, and close; False where another relay is, or became, the active one.

        Raises as `drain`.
        """
        try:
            return self._leadership.hold() and self.drain()
        finally:
            self._close()

    def run(self) -> None:
        """Relay until `stop`, or stand by while another relay is the active one."""
        while not self._alarm.rang():
            try:
                if self._lead():
                    self.drain()
                longest = min(self._config.poll_seconds, self._leadership.renew_seconds)
                sleep(longest, [self._alarm, *self._wakers])
            except (FurnitureEventsError, Error) as error:
                if isinstance(error, Error):
                    self._disconnect()
                sleep(self._back_off(error), [self._alarm])
        self._close()

    def drain(self) -> bool:
        """Publish until nothing waits; False where `stop`, or another relay, came before.

        Raises the error for which the broker takes nothing now, or the database's `Error`.
        """
        while rows := outbox.page(self._using, self._most, self._config.batch_bytes):
            for batch in rounds(rows):
                if self._alarm.rang() or not self._leadership.hold():
                    return False
                if not self._send(batch):
                    break
                self._failures = 0
                self._most = min(self._most + 1, self._config.batch_events)
        return True

    def _send(self, rows: Sequence[OutboxEvent]) -> bool:
        """Publish rows; False where it takes smaller requests to tell which of them is at fault."""
        results = self._producer.publish_many([json.loads(row.event) for row in rows])
        taken, refused, undecided, failure = [], [], [], None
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, Published):
                taken.append(row)
            elif _is_too_much(result) and len(rows) > 1 and not self._was_alone(row):
                undecided.append(result)
            elif _is_too_much(result) or isinstance(result, _POISON):
                refused.append((row, result))
            else:
                failure = failure or result
        outbox.take(taken, self._using)
        for row, error in refused:
            _logger.error("event_refused row=%d reason=%s", row.pk, type(error).__name__)
            outbox.refuse(row, str(error), self._using)
        if failure is not None:
            raise failure
        if undecided:
            self._most = max(1, len(undecided) // 2)
            _logger.warning("batch_refused reason=%r most=%d", str(undecided[0]), self._most)
        return not undecided

    def _was_alone(self, row: OutboxEvent) -> bool:
        """Tell whether it is larger than a batch, and so has had a request of its own."""
        return len(row.event.encode()) > self._config.batch_bytes

    def _lead(self) -> bool:
        active = self._leadership.hold()
        if active != self._active:
            state = "relay_active" if active else "relay_stands_by"
            _logger.info("%s database=%s", state, self._using)
            self._close_wakers()
            if active:
                self._wakers = self._open_wakers()
        self._active = active
        return active

    def _open_wakers(self) -> list[WakeSocket | Notifications]:
        match self._config.wake:
            case "listen" if can_listen(connections[self._using]):
                return [Notifications(self._using)]
            case "socket":
                try:
                    return [WakeSocket(self._using)]
                except OSError as error:
                    _logger.warning("wake_socket_failed reason=%r", error)
        return []

    def _close_wakers(self) -> None:
        for waker in self._wakers:
            waker.close()
        self._wakers = []

    def _disconnect(self) -> None:
        self._active = None
        self._close_wakers()  # before there is another relay, which opens its own
        with suppress(Error):
            self._leadership.release()  # a pool keeps the connection, and with it the lock
        connections[self._using].close()

    def _close(self) -> None:
        self._disconnect()
        self._producer.close()
        self._alarm.close()

    def _back_off(self, error: Exception) -> float:
        """Return how long to wait: random, up to a doubling bound, on top of what is asked for."""
        doubled = self._config.backoff_seconds * 2.0 ** min(self._failures, 32)
        self._failures += 1
        asked = (retry_after(error) if isinstance(error, FurnitureEventsError) else None) or 0.0
        delay = random.random() * min(doubled, self._config.backoff_max_seconds)  # noqa: S311
        delay += min(asked, self._config.retry_after_max_seconds)
        _logger.warning(
            "relay_waits failures=%d delay=%.3f reason=%r", self._failures, delay, str(error)
        )
        return delay


def rounds(rows: Iterable[OutboxEvent]) -> list[list[OutboxEvent]]:
    """Cut rows into batches that hold one event of a piece each, in the order of its rows.

    An event of a batch can fail while others are taken: the next one of its piece must wait.
    """
    batches: list[list[OutboxEvent]] = []
    seen: Counter[str] = Counter()
    for row in rows:
        place = seen[row.furniture_id]
        seen[row.furniture_id] += 1
        if place == len(batches):
            batches.append([])
        batches[place].append(row)
    return batches


def _is_too_much(error: FurnitureEventsError) -> bool:
    """Tell whether a request was refused as a whole for what is in it: smaller ones tell more."""
    if isinstance(error, UnexpectedAnswer):
        return error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return isinstance(error, (*_POISON, TooManyEvents)) and error.status is not None
