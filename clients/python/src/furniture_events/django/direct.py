"""Direct mode: publish at the commit, from the process that commits, with no outbox.

It costs a round trip, and what the broker cannot take then is lost: logged and counted, never
raised. So is what a process that is killed between its commit and the answer had to say.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction

from furniture_events import FurnitureEventsError, Producer, TransportError
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
            attempts=1, deadline=seconds, timeout=seconds, connect_timeout=seconds
        )
        self.close = self._producer.close

    def publish(self, event: dict[str, Any]) -> None:
        if time.monotonic() < self._resume_at:
            return _lose("the broker did not answer a moment ago")
        try:
            self._producer.publish(event)
        except FurnitureEventsError as error:
            if isinstance(error, TransportError):
                self._resume_at = time.monotonic() + self._pause
            _lose(type(error).__name__)
        else:
            counts["published"] += 1
        return None


def _lose(reason: str) -> None:
    counts["lost"] += 1
    _logger.error("event_lost reason=%r", reason)


_direct = per_setting(_Direct)


def publish_on_commit(events: Sequence[EncodedEvent], using: str) -> None:
    """Publish events, in order, once the transaction on the database `using` is committed."""
    for event in events:
        transaction.on_commit(_publishing(json.loads(event.body)), using=using, robust=True)


def lose_on_commit(error: Exception, using: str) -> None:
    """Log and count an event that cannot be said, once its transaction is committed."""
    reason = type(error).__name__
    transaction.on_commit(lambda: _lose(reason), using=using, robust=True)


def _publishing(event: dict[str, Any]) -> Callable[[], None]:
    publish = _publish  # what `testing` has put there by now

    def publish_event() -> None:  # no partial: Django logs what a robust one raises by its name
        publish(event)

    return publish_event


def _publish(event: dict[str, Any]) -> None:
    _direct().publish(event)
