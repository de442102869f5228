"""The producer for asyncio. It carries out the core's steps by awaiting, and decides nothing."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from uuid import UUID

from furniture_events import _log
from furniture_events._base import ProducerBase
from furniture_events._contract import CREATED, DELETED, MAX_PAGE_EVENTS, UPDATED
from furniture_events._encoding import EncodedEvent
from furniture_events._http import AsyncPool
from furniture_events._results import HistoryPage, Published, Revoked
from furniture_events._wire import Operation, Outcome, Resumption, Send, Wait
from furniture_events.errors import FurnitureEventsError

if TYPE_CHECKING:
    from furniture_events._tracing import TracedAsyncPool

__all__ = ["AsyncProducer"]

T = TypeVar("T")


class AsyncProducer(ProducerBase):
    """Publish furniture events and await the broker's answer.

    One producer serves any number of tasks at once. Each event loop that uses it gets its own
    connections. Close it in that loop, or use it in an ``async with`` block.
    """

    _sleep = staticmethod(asyncio.sleep)

    async def furniture_created(
        self, furniture: object, *, id: str | UUID | None = None
    ) -> Published:
        """Publish that a piece was created; see ``publish``.

        Args:
            furniture: a mapping or a dataclass instance, sent with all its fields; or any other
                object with the seven attributes, sent with only these.
            id: the event's id; made if None.
        """
        return await self.publish({"type": CREATED, "furniture": furniture, "id": id})

    async def furniture_updated(
        self, furniture: object, *, id: str | UUID | None = None
    ) -> Published:
        """Publish that a piece was updated; see ``furniture_created``."""
        return await self.publish({"type": UPDATED, "furniture": furniture, "id": id})

    async def furniture_deleted(
        self, furniture: object, *, id: str | UUID | None = None
    ) -> Published:
        """Publish that a piece was deleted, with all seven fields; see ``furniture_created``."""
        return await self.publish({"type": DELETED, "furniture": furniture, "id": id})

    async def publish(self, event: Mapping[str, object]) -> Published:
        """Publish ``{"type", "furniture", "id"?}``; return when the log has stored it.

        Without an ``id`` the producer makes a UUIDv7, so that the broker recognises a retry.
        ``maybe_appended`` of the error says whether the event may be in the log. After a
        cancelled call it is unknown, too.

        Raises:
            InvalidFurniture: the furniture cannot be encoded; nothing was sent.
            InvalidMessage: the event has no ``type``, or a bad ``id``; nothing was sent.
            Refused: the broker refuses the event.
            TransportError: no proper answer came.
            ProducerClosed: the producer is closed.
        """
        return await self._run(self._core.publish(event, self._clock()))

    async def publish_many(
        self, events: Iterable[Mapping[str, object] | EncodedEvent]
    ) -> list[Published | FurnitureEventsError]:
        """Publish events in order; return the ``Published`` or the error of each, in order.

        Errors of events and failures of the broker are returned, not raised, so no result is lost.
        From a batch, only the events that failed temporarily are sent again. If a batch fails for
        another reason than its content, or its retries are used up, the later batches are not sent
        and their events get ``NotAttempted``.

        Args:
            events: mappings as for ``publish``. An ``EncodedEvent``, which the Django outbox makes,
                was checked when it was made, and is not checked again.

        Raises:
            ProducerClosed: the producer is closed.
        """
        results = await self._run(self._core.publish_many(list(events), self._clock()))
        _log.incomplete(results)
        return results

    async def revoke(
        self, sub: str, *, iss: str | None = None, before: datetime | None = None
    ) -> Revoked:
        """Revoke the tokens of a user; return when the broker has stored it.

        The broker then refuses these tokens and closes their connections. A repeated call is
        harmless. It needs a producer key.

        Args:
            sub: the subject of the tokens.
            iss: their issuer. None: of every issuer.
            before: the last time of issue, with a time zone. None: the time at the broker. Tokens
                without a time of issue are revoked, too.

        Raises:
            InvalidMessage: an argument is invalid; nothing was sent.
            Refused: the broker refuses it.
            TransportError: no proper answer came. The tokens may be revoked.
            ProducerClosed: the producer is closed.
        """
        return await self._run(self._core.revoke(sub, iss, before, self._clock()))

    async def position(self) -> str:
        """Return the log's end, an opaque offset. Raise as ``publish`` does."""
        return await self._run(self._core.position(self._clock()))

    async def history(
        self, *, since: str | None = None, limit: int = MAX_PAGE_EVENTS
    ) -> HistoryPage:
        """Return a page of the log. Raise as ``publish`` does.

        A producer key sees all rooms. Read on with ``since=page.position`` while ``page.more``.

        Args:
            since: an offset, after which the page starts. None: the oldest event that the log has.
            limit: how many events the page has at most, from 0 to 1000. The broker may send fewer.
        """
        return await self._run(self._core.history(since, limit, self._clock()))

    async def ping(self) -> float:
        """Return the seconds of one round trip, without a retry. Raise as ``publish`` does."""
        return await self._run(self._core.ping(self._clock()))

    async def aclose(self) -> None:
        """Close the running loop's connections. Calls in flight fail. May be called twice."""
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
        self._pool: AsyncPool | TracedAsyncPool = AsyncPool(self._settings, ssl_context)
        if self._settings.tracing:
            from furniture_events import _tracing  # noqa: PLC0415 - it needs an extra

            self._pool = _tracing.TracedAsyncPool(self._pool, self._settings.url)

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
                    started = self._clock()
                    outcome = await self._exchange(step)
                    _log.answered(step, outcome, self._clock() - started)
                step = operation.send(Resumption(outcome, self._clock()))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            operation.close()
