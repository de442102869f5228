"""The broker's answers are read: results, refusals and unexpected answers."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furniture_events._answers import ERRORS_BY_CODE, AnswerReader
from furniture_events._results import Detail, HistoryPage, Published
from furniture_events._wire import Answer
from furniture_events.errors import (
    FurnitureEventsError,
    RateLimited,
    Refused,
    UnexpectedAnswer,
)

READER = AnswerReader("sesame")
RESULT: dict[str, Any] = {
    "id": "a",
    "offset": "e-1",
    "timestamp": "2024-01-15T14:30:00.250Z",
    "duplicate": False,
}
PUBLISHED = Published("a", "e-1", datetime(2024, 1, 15, 14, 30, 0, 250_000, UTC), duplicate=False)


def answer(status: int, document: Any, media: str = "application/json", **headers: str) -> Answer:
    """Make an answer with a document, or with raw bytes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": media} | named, body)


def problem(status: int, code: str, message: str = "no", **more: Any) -> Answer:
    """Make one of the contract's errors."""
    return answer(
        status,
        {"type": "about:blank", "status": status, "code": code, "message": message, **more},
        "application/problem+json; charset=utf-8",
    )


@pytest.mark.parametrize("status", [200, 201])
def test_result_is_read_with_an_aware_timestamp(status: int) -> None:
    """A 200 and a 201 hold a result, with its timestamp in UTC."""
    assert READER.published(answer(status, RESULT), "a") == PUBLISHED


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"},
        {"id": None},
        {"offset": ""},
        {"offset": "ñ"},
        {"offset": "e-1\n"},
        {"offset": "x" * 65},
        {"offset": 7},
        {"timestamp": "yesterday"},
        {"timestamp": "2024-01-15T14:30:00"},
        {"timestamp": 7},
        {"timestamp": "0001-01-01T00:00:00+23:00"},
        {"duplicate": 0},
        {"duplicate": None},
    ],
    ids=str,
)
def test_result_with_a_wrong_field_is_no_answer(change: dict[str, Any]) -> None:
    """A result that breaks the contract is unexpected, and the event may be appended."""
    error = READER.published(answer(201, RESULT | change), "a")
    assert isinstance(error, UnexpectedAnswer)
    assert error.maybe_appended
    assert not error.temporary


@pytest.mark.parametrize("code", sorted(ERRORS_BY_CODE))
def test_each_code_becomes_its_class(code: str) -> None:
    """A problem document becomes the error of its code, with all its members."""
    details = [{"field": "f", "message": "m"}, "junk"]
    error = READER.published(problem(499, code, "why", details=details), "a")
    assert type(error) is ERRORS_BY_CODE[code]
    assert (error.code, error.message, error.status) == (code, "why", 499)
    assert error.details == (Detail("f", "m"),)
    assert not error.maybe_appended


def test_unknown_code_becomes_the_generic_refusal() -> None:
    """A code that this version does not know is on a plain ``Refused``."""
    error = READER.published(problem(409, "brand_new"), "a")
    assert type(error) is Refused
    assert error.code == "brand_new"


def test_retry_after_is_on_the_error() -> None:
    """Refusals and unexpected answers have the seconds of their Retry-After."""
    limited = READER.published(
        answer(
            429,
            {"code": "rate_limited", "message": "m"},
            "application/problem+json",
            retry_after="7",
        ),
        "a",
    )
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 7.0
    proxy = READER.published(answer(503, b"busy", "text/plain", retry_after="8"), "a")
    assert isinstance(proxy, UnexpectedAnswer)
    assert proxy.retry_after == 8.0


@pytest.mark.parametrize(
    "foreign",
    [
        answer(502, b"<html>Bad gateway</html>", "text/html"),
        answer(503, {"code": "log_unavailable", "message": "a gateway's JSON"}),
        answer(302, b"", "text/html", location="http://elsewhere"),
        answer(200, b"<html>Log in to the Wi-Fi</html>", "text/html"),
        answer(200, b"{", "application/json"),
        answer(200, b"[" * 100_000, "application/json"),
        answer(200, b"\xff\xfe"),
        answer(201, [RESULT]),
        answer(204, b""),
        answer(500, b"", "application/problem+json"),
        answer(500, [], "application/problem+json"),
        answer(500, {"code": 7, "message": "m"}, "application/problem+json"),
        answer(500, {"code": "internal"}, "application/problem+json"),
        Answer(500, {}, b""),
    ],
    ids=lambda item: f"{item.status} {item.body[:20]!r}",
)
def test_unexpected_answer_is_typed_and_maybe_appended(foreign: Answer) -> None:
    """After an answer outside the contract, one event or many may be appended."""
    for verdict in (READER.published(foreign, "a"), READER.batch(foreign, ["a"])):
        assert isinstance(verdict, UnexpectedAnswer)
        assert verdict.maybe_appended
        assert verdict.status == foreign.status
        assert verdict.temporary == (foreign.status in {500, 502, 503})


def test_unexpected_answer_is_quoted_within_bounds() -> None:
    """The error has the first characters of a proxy's page, to help find the proxy."""
    error = READER.published(answer(502, b"<html>" + b"x" * 9000, "text/html"), "a")
    assert isinstance(error, UnexpectedAnswer)
    assert error.excerpt.startswith("<html>")
    assert len(error.excerpt) == 200
    assert error.content_type == "text/html"
    assert "<html>" not in str(error)


def test_key_is_removed_from_texts_of_an_answer() -> None:
    """If a server repeats the key, no error holds it."""
    details = [{"field": "sesame", "message": "sesame"}]
    said = READER.published(problem(401, "xsesame", "key sesame is bad", details=details), "a")
    page = READER.published(answer(502, b"Bearer sesame", "text/sesame"), "a")
    for error in (said, page):
        assert isinstance(error, FurnitureEventsError)
        assert "sesame" not in f"{error} {vars(error)}"
        assert "***" in str(vars(error))


def test_texts_and_details_are_bounded() -> None:
    """An error is small, even if the answer is large."""
    details = [{"field": "f" * 5000, "message": "m"}] * 500
    error = READER.published(problem(422, "c" * 500, "m" * 5000, details=details), "a")
    assert isinstance(error, Refused)
    assert len(error.message) == len(error.details[0].field) == 1000
    assert (len(error.code), len(error.details)) == (64, 100)


def test_batch_is_read_item_by_item() -> None:
    """Each item is a result, a refusal without a status, or unexpected, in order."""
    document = {
        "results": [
            {"ok": True, **RESULT},
            {"ok": False, "error": {"code": "rate_limited", "message": "slow"}},
            {"ok": True, **RESULT},
            {"ok": "yes", **RESULT},
            {"ok": False},
            None,
        ]
    }
    verdicts = READER.batch(answer(200, document, retry_after="3"), ["a", "b", "c", "a", "e", "f"])
    assert isinstance(verdicts, list)
    first, limited, *rest = verdicts
    assert first == PUBLISHED
    assert isinstance(limited, RateLimited)
    assert (limited.status, limited.retry_after, limited.maybe_appended) == (None, 3.0, False)
    assert all(isinstance(item, UnexpectedAnswer) and item.maybe_appended for item in rest)


@pytest.mark.parametrize("results", [[], [{}, {}], {}, None, "x"])
def test_batch_of_another_length_is_no_answer(results: Any) -> None:
    """If the number of results is wrong, no event has a result."""
    assert isinstance(READER.batch(answer(200, {"results": results}), ["a"]), UnexpectedAnswer)


def test_position_and_health_are_never_maybe_appended() -> None:
    """A request that appends no event has no ``maybe_appended``."""
    assert READER.position(answer(200, {"position": "e-7"})) == "e-7"
    assert READER.health(answer(200, b"anything")) is True
    for verdict in (
        READER.position(answer(200, {"position": "no good"})),
        READER.position(answer(502, b"")),
        READER.health(answer(502, b"")),
        READER.health(problem(404, "not_found")),
    ):
        assert isinstance(verdict, FurnitureEventsError)
        assert not verdict.maybe_appended


PAGE = {"events": [], "position": "e-7", "more": False, "gap": False}


@pytest.mark.parametrize(
    "change",
    [
        {"position": "no good"},
        {"more": None},
        {"gap": 0},
        {"events": None},
        {"events": [7]},
        {"events": [{"type": "furniture_created", "furniture": {}}]},
        {"events": [{"type": 7, "furniture": {"furniture_id": "7"}}]},
    ],
)
def test_a_page_that_is_not_the_logs_is_no_answer(change: dict[str, object]) -> None:
    """It is an ``UnexpectedAnswer``, and nothing was appended."""
    assert READER.history(answer(200, PAGE)) == HistoryPage([], "e-7", more=False, gap=False)
    verdict = READER.history(answer(200, PAGE | change))
    assert isinstance(verdict, UnexpectedAnswer)
    assert not verdict.maybe_appended


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["results", "ok", "error", "code", "message", "details", *RESULT]),
            inner,
        )
    ),
    max_leaves=15,
)


@given(status=st.integers(100, 599), document=JSON, problem=st.booleans())
def test_no_answer_makes_the_reader_fail(status: int, document: Any, *, problem: bool) -> None:
    """Every answer becomes a result or an error value, and never an exception."""
    media = "application/problem+json" if problem else "application/json"
    made = answer(status, document, media)
    assert isinstance(READER.published(made, "a"), FurnitureEventsError)
    assert isinstance(READER.batch(made, ["a", "b"]), FurnitureEventsError | list)
    assert isinstance(READER.position(made), FurnitureEventsError | str)
    assert isinstance(READER.health(made), FurnitureEventsError | bool)
    assert isinstance(READER.history(made), FurnitureEventsError | HistoryPage)
