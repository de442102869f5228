"""Split many events into the broker's batches, and keep the books of one batch over its retries.

Pure: this module counts and remembers; sending and waiting are the core's decisions.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress

from furniture_events._encoding import EncodedEvent
from furniture_events._results import Published
from furniture_events.errors import (
    FurnitureEventsError,
    Refused,
    UnexpectedAnswer,
)

__all__ = ["Batch", "batch_body", "split"]

_HEAD, _TAIL = b'{"events":[', b"]}"


def split(sizes: Sequence[int], max_events: int, max_bytes: int) -> Iterator[range]:
    """Cut events of these sizes in bytes into runs, in order, each as long as the bounds allow.

    `max_bytes` bounds the body with its brackets and commas. An event that alone is over it gets
    a run of its own: whether it is too large is for the broker to say.
    """
    start, total = 0, 0
    for index, size in enumerate(sizes):
        count = index - start
        grown = total + size + (1 if count else len(_HEAD) + len(_TAIL))
        if count and (count >= max_events or grown > max_bytes):
            yield range(start, index)
            start, grown = index, size + len(_HEAD) + len(_TAIL)
        total = grown
    if start < len(sizes):
        yield range(start, len(sizes))


def batch_body(events: Sequence[EncodedEvent]) -> bytes:
    """Join encoded events into the body of one batch."""
    return _HEAD + b",".join(event.body for event in events) + _TAIL


@dataclass(slots=True)
class Batch:
    """The events of one request, what became of each, and which are to be sent again."""

    events: list[EncodedEvent]
    results: list[Published | FurnitureEventsError | None] = field(init=False)
    _doubts: list[bool] = field(init=False)
    _pending: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.events)
        self._doubts = [False] * len(self.events)
        self._pending = list(range(len(self.events)))

    @property
    def pending(self) -> list[EncodedEvent]:
        """The events that the next request carries."""
        return [self.events[index] for index in self._pending]

    def settle(
        self, verdict: Sequence[Published | FurnitureEventsError] | FurnitureEventsError
    ) -> None:
        """Book the answer for the pending events; those that failed temporarily stay pending."""
        if isinstance(verdict, FurnitureEventsError):
            verdict = [copy.copy(verdict) for _ in self._pending]
        for index, result in zip(self._pending, verdict, strict=True):
            if isinstance(result, FurnitureEventsError):
                self._doubts[index] |= result.maybe_appended
                result.maybe_appended = self._doubts[index]
            self.results[index] = result
        temporary = [
            isinstance(result, FurnitureEventsError) and result.temporary for result in verdict
        ]
        self._pending = list(compress(self._pending, temporary))

    def failure(self) -> FurnitureEventsError | None:
        """Return the error of the pending event whose Retry-After is the longest, if any."""
        errors = [
            result
            for index in self._pending
            if isinstance(result := self.results[index], FurnitureEventsError)
        ]
        return max(errors, key=lambda error: retry_after(error) or 0.0, default=None)


def retry_after(error: FurnitureEventsError) -> float | None:
    """Return the wait in seconds that the broker, or a proxy before it, asked for."""
    return error.retry_after if isinstance(error, Refused | UnexpectedAnswer) else None
