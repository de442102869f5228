"""Producers for your own tests, with the same interface and without a network.

``InMemoryProducer`` is a ``Producer`` and ``AsyncInMemoryProducer`` is an ``AsyncProducer``. Only
the exchange with the broker is replaced, so a test sees the encoding, the validation and the errors
of production. They never wait and never retry.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from furniture_events._async import AsyncProducer
from furniture_events._base import ProducerBase
from furniture_events._sync import Producer
from furniture_events._wire import Outcome, Send
from furniture_events.errors import FurnitureEventsError
from furniture_events.testing._broker import MemoryBroker, RecordedEvent, RecordedRevocation

__all__ = ["AsyncInMemoryProducer", "InMemoryProducer", "RecordedEvent", "RecordedRevocation"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _InMemory(ProducerBase):
    """The part that both in-memory producers add to a producer."""

    def __init__(self, *, now: Callable[[], datetime] = _utc_now) -> None:
        super().__init__("http://broker.invalid", attempts=1)
        self._broker = MemoryBroker(now)

    @property
    def events(self) -> list[RecordedEvent]:
        """The appended events, in order, without duplicates and refused events."""
        return self._broker.events

    @property
    def revocations(self) -> list[RecordedRevocation]:
        """The revocations, in order."""
        return self._broker.revocations

    def fail_next(
        self, error: FurnitureEventsError, *, times: int = 1, appended: bool = False
    ) -> None:
        """Make the next requests fail.

        A call makes one request; ``publish_many`` makes one for every 1,000 events.

        Args:
            error: the error of each request.
            times: the number of requests.
            appended: record the events nevertheless, as if only the broker's answer was lost.
        """
        self._broker.fail_next(error, times, appended=appended)

    def clear(self) -> None:
        """Forget all events and revocations, and all failures that ``fail_next`` asked for."""
        self._broker.clear()


class InMemoryProducer(_InMemory, Producer):
    """A ``Producer`` that publishes to memory. ``now`` returns timestamps, aware datetimes."""

    def _exchange(self, send: Send) -> Outcome:
        return self._broker.handle(send.request)


class AsyncInMemoryProducer(_InMemory, AsyncProducer):
    """An ``AsyncProducer`` that publishes to memory. ``now`` returns timestamps."""

    async def _exchange(self, send: Send) -> Outcome:
        return self._broker.handle(send.request)
