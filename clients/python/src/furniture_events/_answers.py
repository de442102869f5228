"""Read the broker's answers: results, the contract's errors, and unexpected answers.

Pure. An answer that is not the contract's is neither a result nor a refusal. Text from outside is
shortened before it gets into an error, and the key is removed from it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar

from furniture_events._contract import MAX_OFFSET_CHARACTERS
from furniture_events._results import Detail, HistoryPage, Published, Revoked
from furniture_events._retry import parse_retry_after
from furniture_events._wire import Answer, Outcome
from furniture_events.errors import (
    FurnitureEventsError,
    Refused,
    UnexpectedAnswer,
)

__all__ = ["ERRORS_BY_CODE", "AnswerReader"]

T = TypeVar("T")

ERRORS_BY_CODE: Mapping[str, type[Refused]] = MappingProxyType(
    {error.code: error for error in Refused.__subclasses__()}
)

_PROBLEM = "application/problem+json"
_OFFSET = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_OFFSET_CHARACTERS}}}")
_MAX_TEXT_CHARACTERS = 1000
_MAX_EXCERPT_CHARACTERS = 200
_MAX_EXCERPT_BYTES = 4096
_MAX_CODE_CHARACTERS = 64
_MAX_CONTENT_TYPE_CHARACTERS = 100
_MAX_DETAILS = 100


class AnswerReader:
    """Reads answers. It needs ``key`` only to remove the key from texts of an answer."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def published(self, outcome: Outcome, id: str) -> Published | FurnitureEventsError:
        """Read the answer to one event."""
        return self._read(outcome, (200, 201), lambda document: _published(document, id))

    def batch(
        self, outcome: Outcome, ids: Sequence[str]
    ) -> list[Published | FurnitureEventsError] | FurnitureEventsError:
        """Read the answer to a batch: one result for each id, or one error for the whole batch."""
        if isinstance(outcome, FurnitureEventsError):
            return outcome
        items = self._read(outcome, (200,), lambda document: _results(document, len(ids)))
        if isinstance(items, FurnitureEventsError):
            return items
        return [self._item(item, id, outcome) for item, id in zip(items, ids, strict=True)]

    def position(self, outcome: Outcome) -> str | FurnitureEventsError:
        """Read the log's end."""
        return self._read(
            outcome,
            (200,),
            lambda document: _offset(document, "position"),
            maybe_appended=False,
        )

    def history(self, outcome: Outcome) -> HistoryPage | FurnitureEventsError:
        """Read a page of the log."""
        return self._read(outcome, (200,), _history_page, maybe_appended=False)

    def revoked(self, outcome: Outcome, sub: str) -> Revoked | FurnitureEventsError:
        """Read the answer to a revocation."""
        return self._read(
            outcome, (201,), lambda document: _revoked(document, sub), maybe_appended=False
        )

    def health(self, outcome: Outcome) -> bool | FurnitureEventsError:
        """Read the answer to a ping, of which only the status counts."""
        if isinstance(outcome, Answer) and outcome.status == 200:  # noqa: PLR2004
            return True
        return self._read(outcome, (), bool, maybe_appended=False)

    def _read(
        self,
        outcome: Outcome,
        statuses: tuple[int, ...],
        read: Callable[[object], T | None],
        *,
        maybe_appended: bool = True,
    ) -> T | FurnitureEventsError:
        if not isinstance(outcome, Answer):
            return outcome
        document = _json(outcome.body)
        if outcome.status in statuses:
            result = read(document)
            if result is not None:
                return result
        elif outcome.status >= 400 and _media_type(outcome) == _PROBLEM:  # noqa: PLR2004
            error = self._refusal(document, outcome, status=outcome.status)
            if error is not None:
                return error
        return self._unexpected(outcome, maybe_appended=maybe_appended)

    def _item(self, item: object, id: str, answer: Answer) -> Published | FurnitureEventsError:
        if isinstance(item, dict):
            result: Published | FurnitureEventsError | None = None
            if item.get("ok") is True:
                result = _published(item, id)
            elif item.get("ok") is False:
                result = self._refusal(item.get("error"), answer, status=None)
            if result is not None:
                return result
        return self._unexpected(answer, maybe_appended=True)

    def _refusal(self, document: object, answer: Answer, *, status: int | None) -> Refused | None:
        if not isinstance(document, dict):
            return None
        code, message = document.get("code"), document.get("message")
        if not isinstance(code, str) or not isinstance(message, str):
            return None
        return ERRORS_BY_CODE.get(code, Refused)(
            self._text(message),
            code=self._text(code, _MAX_CODE_CHARACTERS),
            details=self._details(document.get("details")),
            status=status,
            retry_after=parse_retry_after(answer.headers),
        )

    def _details(self, details: object) -> tuple[Detail, ...]:
        if not isinstance(details, list):
            return ()
        return tuple(
            Detail(self._text(str(item.get("field", ""))), self._text(str(item.get("message", ""))))
            for item in details[:_MAX_DETAILS]
            if isinstance(item, dict)
        )

    def _unexpected(self, answer: Answer, *, maybe_appended: bool) -> UnexpectedAnswer:
        content_type = self._text(
            answer.headers.get("content-type", ""), _MAX_CONTENT_TYPE_CHARACTERS
        )
        return UnexpectedAnswer(
            f"the answer is not the broker's: status {answer.status},"
            f" content type {content_type or 'none'}",
            maybe_appended=maybe_appended,
            status=answer.status,
            content_type=content_type,
            excerpt=self._text(
                answer.body[:_MAX_EXCERPT_BYTES].decode(errors="replace"), _MAX_EXCERPT_CHARACTERS
            ),
            retry_after=parse_retry_after(answer.headers),
        )

    def _text(self, text: str, limit: int = _MAX_TEXT_CHARACTERS) -> str:
        if self._key:
            text = text.replace(self._key, "***")
        return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _media_type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _offset(document: object, name: str) -> str | None:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) and _OFFSET.fullmatch(value) else None


def _history_page(document: object) -> HistoryPage | None:
    position = _offset(document, "position")
    if not isinstance(document, dict) or position is None:
        return None
    events, more, gap = (document.get(name) for name in ("events", "more", "gap"))
    if not isinstance(events, list) or not isinstance(more, bool) or not isinstance(gap, bool):
        return None
    if not all(map(_is_event, events)):
        return None
    return HistoryPage(events, position, more, gap)


def _is_event(event: object) -> bool:
    furniture = event.get("furniture") if isinstance(event, dict) else None
    return (
        isinstance(event, dict)
        and isinstance(event.get("type"), str)
        and isinstance(furniture, dict)
        and isinstance(furniture.get("furniture_id"), str)
    )


def _results(document: object, count: int) -> list[object] | None:
    results = document.get("results") if isinstance(document, dict) else None
    return results if isinstance(results, list) and len(results) == count else None


def _published(document: object, id: str) -> Published | None:
    """Read a result. A result with another event's id does not answer this event."""
    offset = _offset(document, "offset")
    if not isinstance(document, dict) or offset is None or document.get("id") != id:
        return None
    duplicate, timestamp = document.get("duplicate"), _timestamp(document.get("timestamp"))
    if not isinstance(duplicate, bool) or timestamp is None:
        return None
    return Published(id=id, offset=offset, timestamp=timestamp, duplicate=duplicate)


def _revoked(document: object, sub: str) -> Revoked | None:
    if not isinstance(document, dict) or document.get("sub") != sub:
        return None
    before = _timestamp(document.get("before"))
    return None if before is None else Revoked(sub, before)


def _timestamp(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
