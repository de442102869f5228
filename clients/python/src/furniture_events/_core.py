"""A producer's decisions: which request to send, how to read its answer, when to try again.

Pure: no HTTP library, no clock, no sleep. Each resumption brings the time, and two functions bring
ids and randomness. ``Producer`` and ``AsyncProducer`` carry out these operations.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote

from furniture_events._answers import AnswerReader
from furniture_events._batches import Batch, batch_body, retry_after, split
from furniture_events._encoding import EncodedEvent, encode_event
from furniture_events._results import HistoryPage, Published, Revoked
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

# Refusals of a whole batch because of its content. The broker may accept the next batch.
_ABOUT_THE_CONTENT = (InvalidJson, InvalidMessage, TooLarge, TooManyEvents)


class Core:
    """The operations. They share only the settings, so any number of them may run at once."""

    def __init__(
        self, settings: Settings, *, new_id: Callable[[], str], random: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._new_id = new_id
        self._random = random
        self._reader = AnswerReader(settings.key)

    # -- operations --------------------------------------------------------------------------

    def publish(self, event: Mapping[str, object], started: float) -> Operation[Published]:
        """Publish one event, and try again while failures are temporary."""
        encoded = encode_event(event, self._new_id)
        request = self._request("POST", "/api/events", encoded.body, (encoded,))
        return (
            yield from self._send_with_retries(
                request, lambda outcome: self._reader.published(outcome, encoded.id), started
            )
        )

    def publish_many(
        self, events: Sequence[object], started: float
    ) -> Operation[list[Published | FurnitureEventsError]]:
        """Publish events in order, batch after batch. Return each event's result or error."""
        results: list[Published | FurnitureEventsError | None] = [None] * len(events)
        positions: list[int] = []
        encoded: list[EncodedEvent] = []
        for position, event in enumerate(events):
            try:
                encoded.append(
                    event if isinstance(event, EncodedEvent) else encode_event(event, self._new_id)
                )
                positions.append(position)
            except Refused as error:
                results[position] = error.with_traceback(None)

        now = started
        failure: FurnitureEventsError | None = None
        sizes = [len(event.body) for event in encoded]
        for indexes in split(sizes, self._settings.batch_events, self._settings.batch_bytes):
            batch = Batch([encoded[index] for index in indexes])
            if failure is None:
                failure, now = yield from self._send_batch(batch, now)
            else:
                batch.settle([_not_attempted(failure) for _ in indexes])
            for index, result in zip(indexes, batch.results, strict=True):
                results[positions[index]] = result
        return [result for result in results if result is not None]

    def position(self, started: float) -> Operation[str]:
        """Ask for the log's end."""
        request = self._request("GET", "/api/events?limit=0")
        return (yield from self._send_with_retries(request, self._reader.position, started))

    def history(self, since: str | None, limit: int, started: float) -> Operation[HistoryPage]:
        """Ask for a page of the log."""
        target = f"/api/events?limit={limit}"
        if since is not None:
            target += f"&since={quote(since, safe='')}"
        request = self._request("GET", target)
        return (yield from self._send_with_retries(request, self._reader.history, started))

    def revoke(
        self, sub: str, iss: str | None, before: datetime | None, started: float
    ) -> Operation[Revoked]:
        """Revoke the tokens of a subject, and try again while failures are temporary."""
        body = _encode_revocation(sub, iss, before)
        request = self._request("POST", "/api/revocations", body)
        return (
            yield from self._send_with_retries(
                request, lambda outcome: self._reader.revoked(outcome, sub), started
            )
        )

    def ping(self, started: float) -> Operation[float]:
        """Measure one round trip to the broker, without a second attempt."""
        request = self._request("GET", "/healthz")
        outcome, now = yield Send(request, self._settings.deadline)
        health = self._reader.health(_present(outcome))
        if isinstance(health, FurnitureEventsError):
            raise health
        return now - started

    # -- attempts ----------------------------------------------------------------------------

    def _send_with_retries(
        self,
        request: Request,
        read: Callable[[Outcome], T | FurnitureEventsError],
        started: float,
    ) -> Operation[T]:
        """Send until there is a result, a permanent failure, or no attempt left."""
        retries = Retries(self._settings, self._random, started)
        now, maybe_appended = started, False
        while True:
            outcome, now = yield Send(request, retries.seconds_left(now))
            result = read(_present(outcome))
            if not isinstance(result, FurnitureEventsError):
                return result
            maybe_appended = maybe_appended or result.maybe_appended
            result.maybe_appended = maybe_appended
            wait = _next_wait(retries, result, now)
            if wait is None:
                raise result
            _, now = yield wait
            if retries.seconds_left(now) <= 0:
                raise result

    def _send_batch(
        self, batch: Batch, started: float
    ) -> Operation[tuple[FurnitureEventsError | None, float]]:
        """Send one batch until no event is pending, or no attempt is left.

        Returns:
            The error that forbids sending the later batches, if any, and the time.
        """
        retries = Retries(self._settings, self._random, started)
        now = started
        while True:
            pending = batch.pending
            request = self._request("POST", "/api/events/batch", batch_body(pending), pending)
            ids = [event.id for event in pending]
            outcome, now = yield Send(request, retries.seconds_left(now))
            results = self._reader.batch(_present(outcome), ids)
            batch.settle(results)
            failure = batch.failure()
            if failure is None:
                error = results if isinstance(results, FurnitureEventsError) else None
                return (None if isinstance(error, _ABOUT_THE_CONTENT) else error), now
            wait = _next_wait(retries, failure, now)
            if wait is None:
                return failure, now
            _, now = yield wait
            if retries.seconds_left(now) <= 0:
                return failure, now

    # -- requests ----------------------------------------------------------------------------

    def _request(
        self, method: str, target: str, body: bytes = b"", events: Sequence[EncodedEvent] = ()
    ) -> Request:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": _USER_AGENT,
        }
        if body:
            headers["Content-Type"] = "application/json"
        if self._settings.key is not None:
            headers["Authorization"] = f"Bearer {self._settings.key}"
        return Request(method, target, headers, body, events)


def _encode_revocation(sub: object, iss: object, before: object) -> bytes:
    """Encode a revocation.

    Raises:
        InvalidMessage: an argument is invalid.
    """
    if not isinstance(sub, str) or not sub:
        raise InvalidMessage("sub must be a string with at least one character")
    if iss is not None and not isinstance(iss, str):
        raise InvalidMessage("iss must be a string or None")
    if before is not None and (not isinstance(before, datetime) or before.tzinfo is None):
        raise InvalidMessage("before must be a datetime with a time zone, or None")
    message: dict[str, object] = {"sub": sub}
    if iss is not None:
        message["iss"] = iss
    if before is not None:
        # The broker compares in milliseconds: a part of one counts as a whole one.
        moment = before.astimezone(UTC) + timedelta(microseconds=999)
        message["before"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    try:
        return json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidMessage("sub and iss must be text without lone surrogates") from None


def _next_wait(retries: Retries, error: FurnitureEventsError, now: float) -> Wait | None:
    if not error.temporary:
        return None
    delay = retries.next_delay(now, retry_after(error))
    return None if delay is None else Wait(delay, retries.attempt, error)


def _not_attempted(reason: FurnitureEventsError) -> NotAttempted:
    return NotAttempted("not sent: an earlier batch of the same call failed", reason=reason)


def _present(outcome: Outcome | None) -> Outcome:
    """Treat a ``Send`` without an outcome as a lost connection."""
    return ConnectionLost("no outcome", maybe_appended=True) if outcome is None else outcome
