"""The face for threads: carries out the core's steps by blocking. It decides nothing itself."""

import ssl
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

from furniture_events import _log
from furniture_events._base import ProducerBase
from furniture_events._http import Pool
from furniture_events._results import Published
from furniture_events._wire import Operation, Outcome, Resumption, Send, Wait
from furniture_events.errors import FurnitureEventsError

__all__ = ["Producer"]

T = TypeVar("T")


class Producer(ProducerBase):
    """Publish furniture events, blocking until the broker has answered.

    One producer serves any number of threads at once, and the children of a fork. Close it, or
    use it in a `with` block.
    """

    _sleep = staticmethod(time.sleep)

    def furniture_created(self, furniture: object, *, id: str | UUID | None = None) -> Published:
        """Publish that a piece was created; see `publish`.

        `furniture` is a mapping or a dataclass instance, sent with all its fields, or any object
        with the seven attributes, of which these alone are sent.
        """
        return self.publish({"type": "furniture_created", "furniture": furniture, "id": id})

    def furniture_updated(self, furniture: object, *, id: str | UUID | None = None) -> Published:
        """Publish that a piece was updated; see `furniture_created`."""
        return self.publish({"type": "furniture_updated", "furniture": furniture, "id": id})

    def furniture_deleted(self, furniture: object, *, id: str | UUID | None = None) -> Published:
        """Publish that a piece was deleted, all seven fields included; see `furniture_created`."""
        return self.publish({"type": "furniture_deleted", "furniture": furniture, "id": id})

    def publish(self, event: Mapping[str, object]) -> Published:
        """Publish `{"type", "furniture", "id"?}` and return once the log has it for good.

        Without an `id` a UUIDv7 is made, so that a retry is recognised by the broker. Raises
        `InvalidFurniture` or `InvalidMessage` before anything is sent, `Refused` for what the
        broker refuses, `TransportError` where no proper answer came; `maybe_appended` on the
        error says whether the event may be in the log.
        """
        return self._run(self._core.publish(event, self._clock()))

    def publish_many(
        self, events: Iterable[Mapping[str, object]]
    ) -> list[Published | FurnitureEventsError]:
        """Publish events in order and return, in order, each one's `Published` or error.

        Nothing is raised for an event, nor for a broker that fails or is not there, so that no
        result is lost. Of a batch only the events that failed temporarily are sent again. Once a
        batch fails for good as a whole, or its retries are used up, the batches after it are not
        sent: their events get `NotAttempted`. Raises `ProducerClosed`.
        """
        results = self._run(self._core.publish_many(list(events), self._clock()))
        _log.incomplete(results)
        return results

    def position(self) -> str:
        """Return the log's end, an opaque offset. Raises as `publish`."""
        return self._run(self._core.position(self._clock()))

    def ping(self) -> float:
        """Return the seconds of one round trip to the broker, tried once. Raises as `publish`."""
        return self._run(self._core.ping(self._clock()))

    def close(self) -> None:
        """Close the connections; calls in flight fail. A second time does nothing."""
        self._closed = True
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open_pool(self, ssl_context: ssl.SSLContext | None) -> None:
        self._pool = Pool(self._settings, ssl_context)

    def _exchange(self, send: Send) -> Outcome:
        return self._pool.exchange(send)

    def _run(self, operation: Operation[T]) -> T:
        self._check_open()
        try:
            step = next(operation)
            while True:
                outcome: Outcome | None = None
                if isinstance(step, Wait):
                    _log.retrying(step)
                    self._sleep(step.seconds)
                else:
                    begun = self._clock()
                    outcome = self._exchange(step)
                    _log.answered(step, outcome, self._clock() - begun)
                step = operation.send(Resumption(outcome, self._clock()))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            operation.close()
