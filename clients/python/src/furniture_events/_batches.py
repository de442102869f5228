"""Split many events into batches, and keep the results of one batch over its retries.

Pure: this module only counts and remembers. The core decides when to send and when to wait.
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
    """Divide events into batches, in order, each as long as the bounds allow.

    An event that is larger than ``max_bytes`` gets its own batch: the broker decides whether the
    event is too large.

    Args:
        sizes: each event's size in bytes.
        max_events: how many events a batch has at most.
        max_bytes: how many bytes a body has at most, with its brackets and commas.

    Returns:
        The indexes of each batch.
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
    """The events of one request, the result of each, and which of them to send again."""

    events: list[EncodedEvent]
    results: list[Published | FurnitureEventsError | None] = field(init=False)
    _maybe_appended: list[bool] = field(init=False)
    _pending: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.events)
        self._maybe_appended = [False] * len(self.events)
        self._pending = list(range(len(self.events)))

    @property
    def pending(self) -> list[EncodedEvent]:
        """The events that the next request carries."""
        return [self.events[index] for index in self._pending]

    def settle(
        self, results: Sequence[Published | FurnitureEventsError] | FurnitureEventsError
    ) -> None:
        """Store the results of the pending events. Events that failed temporarily stay pending.

        Args:
            results: one for each pending event, or one error for all of them.
        """
        if isinstance(results, FurnitureEventsError):
            results = [copy.copy(results) for _ in self._pending]
        for index, result in zip(self._pending, results, strict=True):
            if isinstance(result, FurnitureEventsError):
                self._maybe_appended[index] |= result.maybe_appended
                result.maybe_appended = self._maybe_appended[index]
            self.results[index] = result
        temporary = [
            isinstance(result, FurnitureEventsError) and result.temporary for result in results
        ]
        self._pending = list(compress(self._pending, temporary))

    def failure(self) -> FurnitureEventsError | None:
        """Return the error of a pending event with the longest Retry-After, if there is one."""
        errors = [
            result
            for index in self._pending
            if isinstance(result := self.results[index], FurnitureEventsError)
        ]
        return max(errors, key=lambda error: retry_after(error) or 0.0, default=None)


def retry_after(error: FurnitureEventsError) -> float | None:
    """Return the seconds that the broker, or a proxy before it, asked the producer to wait."""
    return error.retry_after if isinstance(error, Refused | UnexpectedAnswer) else None
