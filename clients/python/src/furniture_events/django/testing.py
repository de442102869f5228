"""For a site's own tests: what a block of code publishes.

::

    with capture_events() as events:
        client.post("/furniture/7/", {"material": "roble"})
    events.assert_published("furniture_updated", furniture_id="7", material="roble")

It works in `TestCase`, in pytest-django's `db` and in their transactional relatives. Nothing is
sent. What is rolled back is not among the events; in direct mode they come at the commit: in a
`TestCase` use `captureOnCommitCallbacks(execute=True)` inside the block.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from furniture_events.django import direct, outbox
from furniture_events.django.conf import config
from furniture_events.django.models import OutboxEvent

__all__ = ["Events", "capture_events"]


class Events(list[dict[str, Any]]):
    """The events of a block, once it is left, oldest first: each `type`, `furniture` and `id`."""

    def assert_published(self, type: str, **furniture: object) -> dict[str, Any]:
        """Return the only event of this type whose furniture has these values.

        Raises `AssertionError`, with all events, where there is none or more than one.
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
    """Capture what the block publishes on the database `using`."""
    events = Events()
    if config().mode == "direct":
        with mock.patch.object(direct, "_publish", events.extend):
            yield events
        return
    before = OutboxEvent.objects.using(using).order_by("-id").first()
    yield events
    rows = outbox.waiting(using).filter(id__gt=before.pk if before else 0)
    events.extend(json.loads(row.event) for row in rows)
