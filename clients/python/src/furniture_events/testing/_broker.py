"""A broker in memory, which answers the producer's requests as the contract says.

It opens no socket and never delivers. It keeps every event until it is cleared. Its answers are
the bytes that HTTP would carry, so that the client under test reads them with its production code.
"""

import copy
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from furniture_events._wire import Answer, Outcome, Request
from furniture_events.errors import FurnitureEventsError, Refused
from furniture_events.testing._rules import (
    check_body_size,
    check_event,
    check_member_size,
    id_conflict,
    problem_body,
    same_json,
)

__all__ = ["MemoryBroker", "RecordedEvent", "RecordedRevocation"]

_EPOCH = "memory"


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as a consumer would get it; ``furniture`` holds plain JSON values."""

    type: str
    furniture: dict[str, Any]
    id: str
    offset: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class RecordedRevocation:
    """A revocation: the subject of the tokens, their issuer or None, and the last time of issue."""

    sub: str
    iss: str | None
    before: datetime


@dataclass(frozen=True, slots=True)
class _Failure:
    error: FurnitureEventsError
    appended: bool


class MemoryBroker:
    """The appended events, in order and by id, and the failures of the next requests."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._events: list[RecordedEvent] = []
        self._by_id: dict[str, RecordedEvent] = {}
        self._appended = 0
        self._revocations: list[RecordedRevocation] = []
        self._failures: deque[_Failure] = deque()

    @property
    def events(self) -> list[RecordedEvent]:
        with self._lock:
            return list(self._events)

    @property
    def revocations(self) -> list[RecordedRevocation]:
        with self._lock:
            return list(self._revocations)

    def fail_next(self, error: FurnitureEventsError, times: int, *, appended: bool) -> None:
        with self._lock:
            self._failures.extend([_Failure(error, appended)] * times)

    def clear(self) -> None:
        with self._lock:
            self._events.clear()
            self._by_id.clear()
            self._revocations.clear()
            self._failures.clear()

    def handle(self, request: Request) -> Outcome:
        """Answer one request, or fail if ``fail_next`` asked for it."""
        with self._lock:
            failure = self._failures.popleft() if self._failures else None
            if failure is not None and not failure.appended:
                return copy.copy(failure.error)
            answer = self._answer(request)
            return answer if failure is None else copy.copy(failure.error)

    def _answer(self, request: Request) -> Answer:
        if request.method == "GET":
            return self._history(**dict(parse_qsl(urlsplit(request.target).query)))
        document = json.loads(request.body)
        if request.target == "/api/revocations":
            return self._revoke(document)
        if "events" in document:
            return _json_answer(200, {"results": [self._item(item) for item in document["events"]]})
        try:
            check_body_size(len(request.body))
            result = self._append(document)
        except Refused as error:
            return _json_answer(error.http_status, problem_body(error), "application/problem+json")
        return _json_answer(200 if result["duplicate"] else 201, result)

    def _history(self, limit: str = "0", since: str | None = None) -> Answer:
        offsets = [None, *(event.offset for event in self._events)]
        end = f"{_EPOCH}-{self._appended}"
        if since not in (*offsets, end):
            return _json_answer(200, {"events": [], "position": end, "more": False, "gap": True})
        later = [] if since == end else self._events[offsets.index(since) :]
        page = later[: int(limit)]
        more = len(page) < len(later) and limit != "0"
        events = [{**asdict(event), "timestamp": _text(event.timestamp)} for event in page]
        position = page[-1].offset if more else end
        return _json_answer(
            200, {"events": events, "position": position, "more": more, "gap": False}
        )

    def _revoke(self, document: dict[str, Any]) -> Answer:
        before = document.get("before") or _text(self._now())
        moment = datetime.fromisoformat(before)
        self._revocations.append(RecordedRevocation(document["sub"], document.get("iss"), moment))
        return _json_answer(201, {"sub": document["sub"], "before": before})

    def _item(self, event: dict[str, Any]) -> dict[str, object]:
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        try:
            check_member_size(len(text.encode()))
            return {"ok": True, **self._append(event)}
        except Refused as error:
            return {"ok": False, "error": problem_body(error)}

    def _append(self, event: dict[str, Any]) -> dict[str, object]:
        check_event(event)
        earlier = self._by_id.get(event["id"])
        if earlier is None:
            return self._result(self._record(event), duplicate=False)
        if earlier.type == event["type"] and same_json(earlier.furniture, event["furniture"]):
            return self._result(earlier, duplicate=True)
        raise id_conflict(event["id"])

    def _record(self, event: dict[str, Any]) -> RecordedEvent:
        self._appended += 1
        moment = self._now()
        recorded = RecordedEvent(
            type=event["type"],
            furniture=event["furniture"],
            id=event["id"],
            offset=f"{_EPOCH}-{self._appended}",
            timestamp=moment.replace(microsecond=moment.microsecond // 1000 * 1000),
        )
        self._events.append(recorded)
        self._by_id[recorded.id] = recorded
        return recorded

    def _result(self, event: RecordedEvent, *, duplicate: bool) -> dict[str, object]:
        return {
            "id": event.id,
            "offset": event.offset,
            "timestamp": _text(event.timestamp),
            "duplicate": duplicate,
        }


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _json_answer(status: int, document: object, media: str = "application/json") -> Answer:
    return Answer(status, {"content-type": media}, json.dumps(document).encode())
