"""Stand-ins for your own tests: producers with the same interface and no network.

`InMemoryProducer` is a `Producer` and `AsyncInMemoryProducer` an `AsyncProducer`, the same code
but for the exchange with the broker, which is in memory; so a test meets the encoding, the
validation and the errors of production. They never wait and never retry.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from furniture_events._async import AsyncProducer
from furniture_events._base import ProducerBase
from furniture_events._sync import Producer
from furniture_events._wire import Outcome, Send
from furniture_events.errors import FurnitureEventsError
from furniture_events.testing._broker import MemoryBroker, RecordedEvent

__all__ = ["AsyncInMemoryProducer", "InMemoryProducer", "RecordedEvent"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _InMemory(ProducerBase):
    """What both stand-ins add to a producer."""

    def __init__(self, *, now: Callable[[], datetime] = _utc_now) -> None:
        super().__init__("http://broker.invalid", attempts=1)
        self._broker = MemoryBroker(now)

    @property
    def events(self) -> list[RecordedEvent]:
        """The events appended so far, in order; duplicates and refused ones are not among them."""
        return self._broker.events

    def fail_next(
        self, error: FurnitureEventsError, *, times: int = 1, appended: bool = False
    ) -> None:
        """Make the next `times` requests fail with `error`.

        A call makes one request; `publish_many` one for every 1,000 events. With `appended` the
        events are recorded all the same, as when the broker's answer is lost.
        """
        self._broker.fail_next(error, times, appended=appended)

    def clear(self) -> None:
        """Forget all events and all failures still to come."""
        self._broker.clear()


class InMemoryProducer(_InMemory, Producer):
    """A `Producer` that publishes to memory. `now` gives the timestamps, aware datetimes."""

    def _exchange(self, send: Send) -> Outcome:
        return self._broker.handle(send.request)


class AsyncInMemoryProducer(_InMemory, AsyncProducer):
    """An `AsyncProducer` that publishes to memory. `now` gives the timestamps, aware datetimes."""

    async def _exchange(self, send: Send) -> Outcome:
        return self._broker.handle(send.request)
