"""Direct mode: publish at the commit, from the process that commits, with no outbox.

It costs a round trip, and what the broker cannot take then is lost: logged and counted, never
raised. So is what a process that is killed between its commit and the answer had to say.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import connections, transaction

from furniture_events import Producer, Published, TransportError
from furniture_events._encoding import EncodedEvent
from furniture_events.django.conf import config, per_setting

__all__ = ["counts", "lose_on_commit", "publish_on_commit"]

_logger = logging.getLogger("furniture_events.django")

counts: Counter[str] = Counter()
"""Of this process: events `published`, and `lost`."""


class _Direct:
    """A producer that gives up soon, and for a while after the broker did not answer."""

    def __init__(self) -> None:
        seconds = config().direct_timeout
        self._pause = seconds
        self._resume_at = 0.0
        self._producer: Producer = config().producer(
            attempts=1,
            deadline=seconds,
            timeout=seconds,
            connect_timeout=seconds,
            batch_events=config().batch_events,
            batch_bytes=config().batch_bytes,
        )
        self.close = self._producer.close

    def publish_many(self, events: Sequence[dict[str, Any]]) -> None:
        if time.monotonic() < self._resume_at:
            for _ in events:
                _lose("the broker did not answer a moment ago")
            return
        results = self._producer.publish_many(events)
        if any(isinstance(result, TransportError) for result in results):
            self._resume_at = time.monotonic() + self._pause
        for result in results:
            if isinstance(result, Published):
                counts["published"] += 1
            else:
                _lose(type(result).__name__)


def _lose(reason: str) -> None:
    counts["lost"] += 1
    _logger.error("event_lost reason=%r", reason)


_direct = per_setting(_Direct)


class _Sender:
    """Sends, once, all events of a commit.

    Each event is a callback of its own, which a savepoint takes away when it is rolled back, and
    which else hands the event over to the commit's. A sender stands after it that no savepoint
    takes away; the last one of a transaction has all that was handed over.
    """

    def __init__(self, before: "_Sender | None") -> None:
        self.publish = _publish  # what `testing` has put there by now
        self.events: list[dict[str, Any]] = []
        if before is not None and before.publish is self.publish:
            self.events, before.events = before.events, []

    def send(self) -> None:
        events = self.events[:]
        self.events.clear()
        if events:
            self.publish(events)


def publish_on_commit(events: Sequence[EncodedEvent], using: str) -> None:
    """Publish events once the transaction that is open on the database `using` is committed.

    In order, and in one request with all others of the transaction.
    """
    callbacks = connections[using].run_on_commit  # Django has no public way to ask
    owners = (getattr(callback, "__self__", None) for _, callback, *_ in reversed(callbacks))
    sender = _Sender(next((owner for owner in owners if isinstance(owner, _Sender)), None))
    decoded, due = [json.loads(event.body) for event in events], sender.events
    transaction.on_commit(lambda: due.extend(decoded), using=using)
    transaction.on_commit(sender.send, using=using, robust=True)
    savepoints = callbacks[-1][0]
    savepoints.clear()


def lose_on_commit(error: Exception, using: str) -> None:
    """Log and count an event that cannot be said, once its transaction is committed."""
    reason = type(error).__name__
    transaction.on_commit(lambda: _lose(reason), using=using, robust=True)


def _publish(events: Sequence[dict[str, Any]]) -> None:
    _direct().publish_many(events)
