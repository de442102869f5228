"""Direct mode: publish at the commit, from the process that commits, without an outbox.

The commit waits for one round trip. Events that the broker cannot take then are lost. They are
logged and counted, and no error is raised. If the process is killed between its commit and the
broker's answer, its events are lost, too.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from django.db import connections, transaction

from furniture_events import FurnitureEventsError, Producer, Published, TransportError
from furniture_events._encoding import EncodedEvent
from furniture_events.django.conf import config, per_setting
from furniture_events.django.events import ChangeEvent, fields_at_fault

__all__ = ["counts", "lose_on_commit", "publish_on_commit", "revoke_on_commit"]

_logger = logging.getLogger("furniture_events.django")

counts: Counter[str] = Counter()
"""This process's events: ``published`` and ``lost``, which counts lost revocations, too."""


class _DirectProducer:
    """A producer that gives up soon, and that pauses after the broker did not answer."""

    def __init__(self) -> None:
        seconds = config().direct_timeout
        self._pause_seconds = seconds
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
        self.revoke = self._producer.revoke

    def publish_many(self, events: Sequence[EncodedEvent]) -> None:
        if time.monotonic() < self._resume_at:
            _lose("the broker did not answer a moment ago", len(events))
            return
        results = self._producer.publish_many(events)
        if any(isinstance(result, TransportError) for result in results):
            self._resume_at = time.monotonic() + self._pause_seconds
        for result in results:
            if isinstance(result, Published):
                counts["published"] += 1
            else:
                _lose(type(result).__name__, fields=fields_at_fault(result))


def _lose(reason: str, number: int = 1, fields: str = "") -> None:
    counts["lost"] += number
    for _ in range(number):
        _logger.error("event_lost reason=%r%s", reason, fields)


_direct_producer = per_setting(_DirectProducer)


class _CommitSender:
    """Sends all events of a commit in one call.

    Each event has its own commit callback, which adds the event to a sender. If a savepoint is
    rolled back, Django drops the callbacks of its events. The sender's own callback comes after
    them, and no savepoint drops it. A transaction's later sender takes the events of the earlier
    one, so that the last sender has all of them.
    """

    def __init__(self, earlier: "_CommitSender | None") -> None:
        self.publish = _publish  # read now: ``testing`` replaces it for a block
        self.events: list[EncodedEvent] = []
        if earlier is not None and earlier.publish is self.publish:
            self.events, earlier.events = earlier.events, []

    def send(self) -> None:
        events = self.events[:]
        self.events.clear()
        if not events:
            return
        try:
            self.publish(events)
        except Exception as error:
            _lose(type(error).__name__, len(events))
            raise  # Django logs it, with its traceback


def publish_on_commit(events: Sequence[ChangeEvent], using: str) -> None:
    """Publish events when the transaction that is open on the database ``using`` commits.

    They keep their order, and go in one request with all other events of the transaction.
    """
    callbacks = connections[using].run_on_commit  # Django has no public way to read them
    owners = (getattr(callback, "__self__", None) for _, callback, *_ in reversed(callbacks))
    earlier = next((owner for owner in owners if isinstance(owner, _CommitSender)), None)
    sender = _CommitSender(earlier)
    encoded, to_send = [event.encoded for event in events], sender.events
    _on_commit(lambda: to_send.extend(encoded), using)
    _on_commit(sender.send, using, survives_savepoints=True)


def revoke_on_commit(sub: str, using: str) -> None:
    """Revoke the tokens of a subject when the transaction that is open commits."""
    _on_commit(lambda: _revoke(sub), using)


def lose_on_commit(error: Exception, using: str) -> None:
    """Log and count an event that cannot be encoded, when its transaction commits."""
    reason, fields = type(error).__name__, fields_at_fault(error)
    _on_commit(lambda: _lose(reason, fields=fields), using)


def _on_commit(
    function: Callable[[], None], using: str, *, survives_savepoints: bool = False
) -> None:
    """Call a function of this module at the commit, before the callbacks of other code.

    If a callback of other code raises, Django drops all later callbacks.
    """
    connection = connections[using]
    transaction.on_commit(function, using=using, robust=True)
    if not connection.in_atomic_block:
        return  # it was called at once
    callbacks = connection.run_on_commit
    if survives_savepoints:
        callbacks[-1][0].clear()
    if any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        return  # nothing is committed, and captureOnCommitCallbacks looks for them at the end
    ours = callbacks.pop()
    is_foreign = [getattr(each, "__module__", None) != __name__ for _, each, *_ in callbacks]
    callbacks.insert([*is_foreign, True].index(True), ours)


def _publish(events: Sequence[EncodedEvent]) -> None:
    _direct_producer().publish_many(events)


def _revoke(sub: str) -> None:
    try:
        _direct_producer().revoke(sub)
    except Exception as error:
        counts["lost"] += 1
        _logger.error("revocation_lost reason=%r", type(error).__name__)  # noqa: TRY400
        if not isinstance(error, FurnitureEventsError):
            raise  # Django logs it, with its traceback
