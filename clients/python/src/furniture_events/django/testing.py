"""The events that a block of code publishes, for a site's own tests.

::

    with capture_events() as events:
        client.post("/furniture/7/", {"material": "roble"})
    events.assert_published("furniture_updated", furniture_id="7", material="roble")

It works in ``TestCase``, in pytest-django's ``db`` and in their transactional variants. Nothing is
sent. Events that are rolled back are not captured. In direct mode events come at the commit: in a
``TestCase``, use ``captureOnCommitCallbacks(execute=True)`` inside the block.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from furniture_events._encoding import EncodedEvent
from furniture_events.django import direct, outbox
from furniture_events.django.conf import config
from furniture_events.django.models import OutboxEvent

__all__ = ["Events", "capture_events"]


class Events(list[dict[str, Any]]):
    """A block's events, oldest first, after the block: each ``type``, ``furniture`` and ``id``."""

    def assert_published(self, type: str, **furniture: object) -> dict[str, Any]:
        """Return the only event of this type whose furniture has these values.

        Raises:
            AssertionError: there is no such event, or more than one. It shows all events.
        """
        found = [
            event
            for event in self
            if event["type"] == type
            and all(event["furniture"].get(name) == value for name, value in furniture.items())
        ]
        if len(found) != 1:
            raise AssertionError(
                f"{len(found)} events are {type} with {furniture}, of {list(self)}"
            )
        return found[0]


@contextmanager
def capture_events(using: str = "default") -> Iterator[Events]:
    """Capture the events that the block publishes on the database ``using``."""
    events = Events()
    if config().mode == "direct":

        def capture(encoded: Sequence[EncodedEvent]) -> None:
            events.extend(json.loads(event.body) for event in encoded)

        with mock.patch.object(direct, "_publish", capture):
            yield events
        return
    last = OutboxEvent.objects.using(using).order_by("-id").first()
    yield events
    rows = outbox.waiting(using).filter(id__gt=last.pk if last else 0)
    events.extend(json.loads(row.event) for row in rows)
