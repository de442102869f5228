"""What a producer does, without doing it: requests to send, answers to read, waits to make.

Pure: no HTTP library, no clock, no sleep; time comes in with each resumption, ids and randomness
from the two functions given. Both faces, `Producer` and `AsyncProducer`, drive these operations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from furniture_events._answers import AnswerReader
from furniture_events._batches import Batch, batch_body, retry_after, split
from furniture_events._encoding import EncodedEvent, encode_event
from furniture_events._results import Published
from furniture_events._retry import Retries
from furniture_events._settings import Settings
from furniture_events._wire import Operation, Outcome, Request, Send, Wait
from furniture_events.errors import (
    ConnectionLost,
    FurnitureEventsError,
    InvalidJson,
    InvalidMessage,
    NotAttempted,
    Refused,
    TooLarge,
    TooManyEvents,
)

__all__ = ["Core"]

T = TypeVar("T")

_USER_AGENT = "furniture-events-python/0.1.0"

# Refusals of a whole batch that are about its content: the next batch may well be accepted.
_ABOUT_THE_CONTENT = (InvalidJson, InvalidMessage, TooLarge, TooManyEvents)


class Core:
    """The operations; stateless but for the settings, so any number may run at once."""

    def __init__(
        self, settings: Settings, *, new_id: Callable[[], str], random: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._new_id = new_id
        self._random = random
        self._reader = AnswerReader(settings.key)

    # -- operations --------------------------------------------------------------------------

    def publish(self, event: Mapping[str, object], started: float) -> Operation[Published]:
        """Publish one event, trying again while failures are temporary."""
        encoded = encode_event(event, self._new_id)
        request = self._request("POST", "/api/events", encoded.body)
        return (
            yield from self._insist(
                request, lambda outcome: self._reader.published(outcome, encoded.id), started
            )
        )

    def publish_many(
        self, events: Sequence[object], started: float
    ) -> Operation[list[Published | FurnitureEventsError]]:
        """Publish events in order, batch after batch; each gets its result or its error."""
        results: list[Published | FurnitureEventsError | None] = [None] * len(events)
        places: list[int] = []
        sound: list[EncodedEvent] = []
        for place, event in enumerate(events):
            try:
                sound.append(encode_event(event, self._new_id))
                places.append(place)
            except Refused as error:
                results[place] = error.with_traceback(None)

        now = started
        failure: FurnitureEventsError | None = None
        sizes = [len(event.body) for event in sound]
        for run in split(sizes, self._settings.batch_events, self._settings.batch_bytes):
            batch = Batch([sound[index] for index in run])
            if failure is None:
                failure, now = yield from self._send_batch(batch, now)
            else:
                batch.settle([_not_attempted(failure) for _ in run])
            for index, result in zip(run, batch.results, strict=True):
                results[places[index]] = result
        return [result for result in results if result is not None]

    def position(self, started: float) -> Operation[str]:
        """Ask for the log's end."""
        request = self._request("GET", "/api/events?limit=0")
        return (yield from self._insist(request, self._reader.position, started))

    def ping(self, started: float) -> Operation[float]:
        """Measure one round trip to the broker, without a second attempt."""
        request = self._request("GET", "/healthz")
        outcome, now = yield Send(request, self._settings.deadline)
        verdict = self._reader.health(_present(outcome))
        if isinstance(verdict, FurnitureEventsError):
            raise verdict
        return now - started

    # -- attempts ----------------------------------------------------------------------------

    def _insist(
        self,
        request: Request,
        read: Callable[[Outcome], T | FurnitureEventsError],
        started: float,
    ) -> Operation[T]:
        """Send until there is a result, a failure that will not pass, or no attempt left."""
        retries = Retries(self._settings, self._random, started)
        now, doubt = started, False
        while True:
            outcome, now = yield Send(request, retries.left(now))
            verdict = read(_present(outcome))
            if not isinstance(verdict, FurnitureEventsError):
                return verdict
            doubt = doubt or verdict.maybe_appended
            verdict.maybe_appended = doubt
            wait = _next_wait(retries, verdict, now)
            if wait is None:
                raise verdict
            _, now = yield wait
            if retries.left(now) <= 0:
                raise verdict

    def _send_batch(
        self, batch: Batch, started: float
    ) -> Operation[tuple[FurnitureEventsError | None, float]]:
        """Send one batch until all is settled; return what forbids going on, and the time."""
        retries = Retries(self._settings, self._random, started)
        now = started
        while True:
            request = self._request("POST", "/api/events/batch", batch_body(batch.pending))
            ids = [event.id for event in batch.pending]
            outcome, now = yield Send(request, retries.left(now))
            verdict = self._reader.batch(_present(outcome), ids)
            batch.settle(verdict)
            failure = batch.failure()
            if failure is None:
                whole = verdict if isinstance(verdict, FurnitureEventsError) else None
                return (None if isinstance(whole, _ABOUT_THE_CONTENT) else whole), now
            wait = _next_wait(retries, failure, now)
            if wait is None:
                return failure, now
            _, now = yield wait
            if retries.left(now) <= 0:
                return failure, now

    # -- requests ----------------------------------------------------------------------------

    def _request(self, method: str, target: str, body: bytes = b"") -> Request:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": _USER_AGENT,
        }
        if body:
            headers["Content-Type"] = "application/json"
        if self._settings.key is not None:
            headers["Authorization"] = f"Bearer {self._settings.key}"
        return Request(method, target, headers, body)


def _next_wait(retries: Retries, error: FurnitureEventsError, now: float) -> Wait | None:
    if not error.temporary:
        return None
    delay = retries.next_delay(now, retry_after(error))
    return None if delay is None else Wait(delay, retries.attempt, error)


def _not_attempted(reason: FurnitureEventsError) -> NotAttempted:
    return NotAttempted("not sent: an earlier batch of the same call failed", reason=reason)


def _present(outcome: Outcome | None) -> Outcome:
    """Treat a face that brings nothing back from a `Send` as a lost connection."""
    return ConnectionLost("no outcome", maybe_appended=True) if outcome is None else outcome
