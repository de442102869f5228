"""The face for asyncio: carries out the core's steps by awaiting. It decides nothing itself."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

from furniture_events import _log
from furniture_events._base import ProducerBase
from furniture_events._http import AsyncPool
from furniture_events._results import Published
from furniture_events._wire import Operation, Outcome, Resumption, Send, Wait
from furniture_events.errors import FurnitureEventsError

__all__ = ["AsyncProducer"]

T = TypeVar("T")


class AsyncProducer(ProducerBase):
    """Publish furniture events, awaiting the broker's answer.

    One producer serves any number of tasks at once; each event loop that it is used in gets
    connections of its own. Close it in that loop, or use it in an `async with` block.
    """

    _sleep = staticmethod(asyncio.sleep)

    async def furniture_created(
        self, furniture: object, *, id: str | UUID | None = None
    ) -> Published:
        """Publish that a piece was created; see `publish`.

        `furniture` is a mapping or a dataclass instance, sent with all its fields, or any object
        with the seven attributes, of which these alone are sent.
        """
        return await self.publish({"type": "furniture_created", "furniture": furniture, "id": id})

    async def furniture_updated(
        self, furniture: object, *, id: str | UUID | None = None
    ) -> Published:
        """Publish that a piece was updated; see `furniture_created`."""
        return await self.publish({"type": "furniture_updated", "furniture": furniture, "id": id})

    async def furniture_deleted(
        self, furniture: object, *, id: str | UUID | None = None
    ) -> Published:
        """Publish that a piece was deleted, all seven fields included; see `furniture_created`."""
        return await self.publish({"type": "furniture_deleted", "furniture": furniture, "id": id})

    async def publish(self, event: Mapping[str, object]) -> Published:
        """Publish `{"type", "furniture", "id"?}` and return once the log has it for good.

        Without an `id` a UUIDv7 is made, so that a retry is recognised by the broker. Raises
        `InvalidFurniture` or `InvalidMessage` before anything is sent, `Refused` for what the
        broker refuses, `TransportError` where no proper answer came; `maybe_appended` on the
        error says whether the event may be in the log. A cancelled call leaves that open too.
        """
        return await self._run(self._core.publish(event, self._clock()))

    async def publish_many(
        self, events: Iterable[Mapping[str, object]]
    ) -> list[Published | FurnitureEventsError]:
        """Publish events in order and return, in order, each one's `Published` or error.

        Nothing is raised for an event, nor for a broker that fails or is not there, so that no
        result is lost. Of a batch only the events that failed temporarily are sent again. Once a
        batch fails for good as a whole, or its retries are used up, the batches after it are not
        sent: their events get `NotAttempted`. Raises `ProducerClosed`.
        """
        results = await self._run(self._core.publish_many(list(events), self._clock()))
        _log.incomplete(results)
        return results

    async def position(self) -> str:
        """Return the log's end, an opaque offset. Raises as `publish`."""
        return await self._run(self._core.position(self._clock()))

    async def ping(self) -> float:
        """Return the seconds of one round trip to the broker, tried once. Raises as `publish`."""
        return await self._run(self._core.ping(self._clock()))

    async def aclose(self) -> None:
        """Close the running loop's connections; calls in flight fail. Twice does nothing more."""
        self._closed = True
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _open_pool(self, ssl_context: ssl.SSLContext | None) -> None:
        self._pool = AsyncPool(self._settings, ssl_context)

    async def _exchange(self, send: Send) -> Outcome:
        return await self._pool.exchange(send)

    async def _run(self, operation: Operation[T]) -> T:
        self._check_open()
        try:
            step = next(operation)
            while True:
                outcome: Outcome | None = None
                if isinstance(step, Wait):
                    _log.retrying(step)
                    await self._sleep(step.seconds)
                else:
                    begun = self._clock()
                    outcome = await self._exchange(step)
                    _log.answered(step, outcome, self._clock() - begun)
                step = operation.send(Resumption(outcome, self._clock()))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            operation.close()
