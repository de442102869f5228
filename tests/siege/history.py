"""The events that are in the log before a siege, which attackers read."""

from __future__ import annotations

from typing import Any

from tests.siege.besieged import Besieged
from tests.siege.publisher import event

LARGE_EVENTS = 1000
"""The oldest events are large, so that a page of them is a large answer."""

SMALL_EVENTS = 9000
LARGE_EVENT_CHARACTERS = 9_900
BATCH_EVENTS = 90
"""Large events that fit into one batch. Ten times as many small ones do."""


def fill_log(server: Besieged) -> None:
    """Publish these events."""
    sizes = [LARGE_EVENT_CHARACTERS] * LARGE_EVENTS + [1] * SMALL_EVENTS
    while sizes:
        count = BATCH_EVENTS if sizes[0] > 1 else 10 * BATCH_EVENTS
        batch, sizes = sizes[:count], sizes[count:]
        events = [_event(len(sizes) + number, size) for number, size in enumerate(batch)]
        status, _ = server.request("/api/events/batch", {"events": events})
        assert status == 200, status


def _event(number: int, description_characters: int) -> dict[str, Any]:
    made = event(number)
    made["furniture"]["descripcion"] = "x" * description_characters
    return made | {"id": f"fill-{number}"}
