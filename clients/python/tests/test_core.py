"""The core's operations, driven by the test: no socket, no clock, no sleep."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any, TypeVar

import pytest

from furniture_events._core import Core
from furniture_events._results import HistoryPage, Published, Revoked
from furniture_events._settings import Settings
from furniture_events._wire import Answer, Operation, Outcome, Request, Resumption, Send, Wait
from furniture_events.errors import (
    AnswerTimeout,
    ConnectionLost,
    Forbidden,
    FurnitureEventsError,
    InvalidFurniture,
    InvalidMessage,
    LogUnavailable,
    NotAttempted,
    RateLimited,
    TooLarge,
    UnexpectedAnswer,
    Unreachable,
)
from test_answers import answer, problem
from test_retry import DEFAULTS

T = TypeVar("T")
Make = Callable[..., dict[str, Any]]
Reply = Outcome | Callable[[Request], Outcome]

DARK = AnswerTimeout("late", maybe_appended=True)


def core(**changes: Any) -> Core:
    """Make a core with counted ids, whose random number is always one half."""
    numbers = count(1)
    settings = Settings(**DEFAULTS | {"key": "sesame"} | changes)
    return Core(settings, new_id=lambda: f"id-{next(numbers)}", random=lambda: 0.5)


def results(request: Request) -> Answer:
    """Answer that all events of a request are appended."""
    document = json.loads(request.body)
    items = [accepted(event["id"]) for event in document.get("events", [document])]
    return answer(200, {"results": items} if "events" in document else items[0])


def accepted(id: str) -> dict[str, Any]:
    """Make the result of one event."""
    time = "2024-01-15T14:30:00.000Z"
    return {"ok": True, "id": id, "offset": "e-1", "timestamp": time, "duplicate": False}


def failed(code: str) -> dict[str, Any]:
    """Make the error of one event in a batch."""
    return {"ok": False, "error": {"code": code, "message": "no"}}


class Played:
    """The steps of an operation, and its result or error."""

    def __init__(
        self, operation: Operation[Any], replies: Sequence[Reply], *, takes: float = 0.0
    ) -> None:
        self.sent: list[Request] = []
        self.budgets: list[float] = []
        self.waits: list[Wait] = []
        self.result: Any = None
        self.error: FurnitureEventsError | None = None
        now, left = 0.0, list(replies)
        try:
            step = next(operation)
            while True:
                outcome: Outcome | None = None
                if isinstance(step, Send):
                    self.sent.append(step.request)
                    self.budgets.append(step.budget)
                    reply = left.pop(0)
                    outcome = reply(step.request) if callable(reply) else reply
                    now += takes
                else:
                    self.waits.append(step)
                    now += step.seconds
                step = operation.send(Resumption(outcome, now))
        except StopIteration as done:
            self.result = done.value
        except FurnitureEventsError as error:
            self.error = error
        assert left == [], "replies that nobody asked for"

    def ids(self, attempt: int) -> list[str]:
        """Return the ids that one request carried."""
        return [event["id"] for event in json.loads(self.sent[attempt].body)["events"]]


def test_publish_sends_one_request_with_the_credential(event: Make) -> None:
    """There is one POST with a bearer token and JSON, and the client makes the id."""
    played = Played(core().publish(event(), 0.0), [results])
    (request,) = played.sent
    assert (request.method, request.target) == ("POST", "/api/events")
    assert request.headers["Authorization"] == "Bearer sesame"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body)["id"] == played.result.id == "id-1"
    assert "sesame" not in repr(request)


def test_no_key_means_no_credential(event: Make) -> None:
    """Without a key there is no Authorization header."""
    played = Played(core(key=None).publish(event(), 0.0), [results])
    assert "Authorization" not in played.sent[0].headers


def test_invalid_furniture_is_never_sent() -> None:
    """Furniture that cannot be encoded fails before the first request."""
    event = {"type": "furniture_created", "furniture": {}}
    played = Played(core().publish(event, 0.0), [])
    assert isinstance(played.error, InvalidFurniture)
    assert played.sent == []


@pytest.mark.parametrize(
    "failure",
    [
        Unreachable("gone"),
        DARK,
        ConnectionLost("broke", maybe_appended=True),
        problem(429, "rate_limited"),
        problem(500, "internal"),
        problem(503, "log_unavailable"),
        problem(503, "shutting_down"),
        problem(503, "of_the_future"),
        answer(429, b"", "text/html"),
        answer(500, b"", "text/html"),
        answer(502, b"", "text/html"),
        answer(503, b"", "text/html"),
        answer(504, b"", "text/html"),
    ],
    ids=repr,
)
def test_temporary_failure_is_tried_again_with_the_same_bytes(
    failure: Outcome, event: Make
) -> None:
    """The second attempt has the same id, so that the broker recognises it."""
    played = Played(core().publish(event(), 0.0), [failure, results])
    assert isinstance(played.result, Published)
    assert played.sent[0] == played.sent[1]
    assert [wait.attempt for wait in played.waits] == [2]


@pytest.mark.parametrize(
    "failure",
    [
        problem(400, "invalid_message"),
        problem(401, "unauthorized"),
        problem(403, "forbidden"),
        problem(409, "id_conflict"),
        problem(413, "too_large"),
        problem(422, "invalid_furniture"),
        answer(404, b"", "text/html"),
        answer(302, b"", "text/html"),
        answer(200, b"<html>", "text/html"),
        answer(501, b"", "text/html"),
    ],
    ids=repr,
)
def test_permanent_failure_is_not_tried_again(failure: Answer, event: Make) -> None:
    """A permanent failure is raised at once."""
    played = Played(core().publish(event(), 0.0), [failure])
    assert played.error is not None
    assert played.waits == []


def test_attempts_are_bounded(event: Make) -> None:
    """After the last attempt the last error is raised."""
    played = Played(core(attempts=3).publish(event(), 0.0), [Unreachable("gone")] * 3)
    assert isinstance(played.error, Unreachable)
    assert [wait.seconds for wait in played.waits] == [0.05, 0.1]
    assert not played.error.maybe_appended


def test_deadline_shrinks_the_budget_and_ends_the_call(event: Make) -> None:
    """Each attempt may take the remaining time. Without time there is no attempt."""
    played = Played(
        core(attempts=99, deadline=10.0, backoff=0).publish(event(), 0.0),
        [Unreachable("gone")] * 3,
        takes=4.0,
    )
    assert played.budgets == [10.0, 6.0, 2.0]
    assert isinstance(played.error, Unreachable)


def test_a_wait_past_the_deadline_ends_the_call(event: Make) -> None:
    """If a wait took too long, no further attempt begins."""
    operation = core(deadline=10.0).publish(event(), 0.0)
    next(operation)
    assert isinstance(operation.send(Resumption(Unreachable("gone"), 1.0)), Wait)
    with pytest.raises(Unreachable):
        operation.send(Resumption(None, 11.0))


def test_retry_after_beyond_the_deadline_is_not_waited_for(event: Make) -> None:
    """The error, with its retry_after, comes at once."""
    busy = answer(
        503,
        {"code": "log_unavailable", "message": "m"},
        "application/problem+json",
        retry_after="60",
    )
    played = Played(core(deadline=10.0).publish(event(), 0.0), [busy])
    assert isinstance(played.error, LogUnavailable)
    assert played.error.retry_after == 60.0


@pytest.mark.parametrize("retry_after_of", ["problem", "page"])
def test_retry_after_is_waited_for(retry_after_of: str, event: Make) -> None:
    """The wait is the Retry-After plus the jitter, for the broker and for a proxy."""
    media = "application/problem+json" if retry_after_of == "problem" else "text/html"
    busy = answer(503, {"code": "shutting_down", "message": "m"}, media, retry_after="2")
    played = Played(core().publish(event(), 0.0), [busy, results])
    assert [wait.seconds for wait in played.waits] == [2.05]


@pytest.mark.parametrize(
    "last",
    [Unreachable("gone"), problem(503, "log_unavailable"), problem(403, "forbidden")],
    ids=repr,
)
def test_maybe_appended_stays_over_later_attempts(last: Outcome, event: Make) -> None:
    """After a lost answer, a later refusal does not prove that no event was appended."""
    played = Played(core(attempts=2).publish(event(), 0.0), [DARK, last])
    assert played.error is not None
    assert played.error.maybe_appended


def test_batch_splits_and_keeps_order(event: Make) -> None:
    """Results are in the order of the events, over several requests."""
    events = [event(id=str(n)) for n in range(5)]
    played = Played(core(batch_events=2).publish_many(events, 0.0), [results] * 3)
    assert [played.ids(n) for n in range(3)] == [["0", "1"], ["2", "3"], ["4"]]
    assert [result.id for result in played.result] == ["0", "1", "2", "3", "4"]
    assert {request.target for request in played.sent} == {"/api/events/batch"}


def test_no_events_mean_no_request() -> None:
    """An empty call does nothing and returns an empty list."""
    played = Played(core().publish_many([], 0.0), [])
    assert played.result == []


def test_an_event_that_cannot_be_encoded_keeps_its_position(event: Make) -> None:
    """A bad event gets its error, at its position, and the other events are sent."""
    played = Played(
        core().publish_many([event(id="a"), {}, event(id="b", altura=1j), event(id="c")], 0.0),
        [results],
    )
    assert [type(item) for item in played.result] == [
        Published,
        InvalidMessage,
        InvalidFurniture,
        Published,
    ]
    assert played.ids(0) == ["a", "c"]
    assert played.result[1].__traceback__ is None


@pytest.mark.parametrize("code", ["log_unavailable", "shutting_down", "internal", "rate_limited"])
def test_only_temporarily_failed_events_are_sent_again(code: str, event: Make) -> None:
    """The second request has only the events that failed temporarily."""
    first = answer(
        200, {"results": [accepted("a"), failed(code), failed("invalid_furniture"), failed(code)]}
    )
    played = Played(core().publish_many([event(id=id) for id in "abcd"], 0.0), [first, results])
    assert played.ids(1) == ["b", "d"]
    kinds = [type(item) for item in played.result]
    assert kinds == [Published, Published, InvalidFurniture, Published]


def test_batch_obeys_retry_after_of_the_answer(event: Make) -> None:
    """The header of a batch's answer counts for its pending events."""
    first = answer(200, {"results": [failed("rate_limited")]}, retry_after="4")
    played = Played(core().publish_many([event(id="a")], 0.0), [first, results])
    assert [wait.seconds for wait in played.waits] == [4.05]
    assert isinstance(played.waits[0].reason, RateLimited)


def test_earlier_results_are_returned_after_the_broker_fails(event: Make) -> None:
    """Nothing is raised: each event has its result, its error, or ``NotAttempted``."""
    played = Played(
        core(batch_events=1, attempts=2).publish_many([event(id=id) for id in "abcd"], 0.0),
        [results, DARK, Unreachable("gone")],
    )
    one, two, three, four = played.result
    assert isinstance(one, Published)
    assert isinstance(two, Unreachable)
    assert two.maybe_appended
    assert isinstance(three, NotAttempted)
    assert isinstance(four, NotAttempted)
    assert isinstance(three.reason, Unreachable)
    assert not three.maybe_appended
    assert three is not four


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (problem(403, "forbidden"), Forbidden),
        (answer(502, b"", "text/html"), UnexpectedAnswer),
        (answer(200, b"<html>", "text/html"), UnexpectedAnswer),
        (answer(200, {"results": [failed("log_unavailable")]}), LogUnavailable),
    ],
    ids=repr,
)
def test_a_failure_of_the_broker_stops_the_later_batches(
    reply: Answer, kind: type[FurnitureEventsError], event: Make
) -> None:
    """A failure of the broker itself stops the later batches."""
    played = Played(
        core(batch_events=1, attempts=1).publish_many([event(id="a"), event(id="b")], 0.0),
        [reply],
    )
    assert type(played.result[0]) is kind
    assert isinstance(played.result[1], NotAttempted)


def test_a_batch_refused_for_its_content_does_not_stop_the_later_batches(event: Make) -> None:
    """Only the event that is too large for any batch fails."""
    events = [event(id="a", descripcion="x" * 500), event(id="b")]
    played = Played(
        core(batch_bytes=400).publish_many(events, 0.0), [problem(413, "too_large"), results]
    )
    assert [type(item) for item in played.result] == [TooLarge, Published]


def test_each_batch_has_its_own_deadline(event: Make) -> None:
    """A list of several batches may take longer than one deadline."""
    played = Played(
        core(batch_events=1, deadline=5.0).publish_many([event(id=id) for id in "abc"], 0.0),
        [results] * 3,
        takes=4.0,
    )
    assert played.budgets == [5.0, 5.0, 5.0]


def test_position_asks_only_for_the_logs_end() -> None:
    """There is one GET with limit 0, with the retries of a publish."""
    end = answer(200, {"events": [], "position": "e-9", "oldest": "e-1", "gap": False})
    played = Played(core().position(0.0), [Unreachable("gone"), end])
    assert played.result == "e-9"
    assert (played.sent[1].method, played.sent[1].target) == ("GET", "/api/events?limit=0")
    assert "Content-Type" not in played.sent[0].headers


def test_history_asks_for_a_page_of_the_log() -> None:
    """The offset is quoted, and there are the retries of a publish."""
    event = {"type": "furniture_created", "furniture": {"furniture_id": "7"}, "id": "a"}
    document = {"events": [event], "position": "e-9", "oldest": "e-1", "gap": False, "more": True}
    page = HistoryPage([event], "e-9", more=True, gap=False)
    played = Played(core().history(None, 1000, 0.0), [Unreachable("gone"), answer(200, document)])
    assert played.result == page
    assert played.sent[1].target == "/api/events?limit=1000"
    played = Played(core().history("a&b", 1, 0.0), [answer(200, document)])
    assert (played.result, played.sent[0].target) == (page, "/api/events?limit=1&since=a%26b")


def test_ping_measures_one_round_trip_and_never_repeats_it() -> None:
    """The seconds are between the request and its answer. A failure is raised at once."""
    played = Played(core().ping(0.0), [answer(200, b"ok")], takes=0.25)
    assert played.result == 0.25
    assert played.sent[0].target == "/healthz"
    assert isinstance(Played(core().ping(0.0), [Unreachable("gone")]).error, Unreachable)
    assert isinstance(Played(core().ping(0.0), [answer(503, b"")]).error, UnexpectedAnswer)


def revoked(request: Request) -> Answer:
    """Answer that the tokens are revoked."""
    message = json.loads(request.body)
    return answer(
        201, {"sub": message["sub"], "before": message.get("before", "2024-01-15T14:30:00.000Z")}
    )


def test_a_revocation_is_one_request_and_is_repeated() -> None:
    """A part of a millisecond counts as a whole one, so that no token of that moment stays."""
    before = datetime(2024, 1, 15, 15, 30, 0, 1, tzinfo=timezone(timedelta(hours=1)))
    played = Played(core().revoke("ana", "me", before, 0.0), [DARK, revoked])
    assert played.result == Revoked("ana", datetime(2024, 1, 15, 14, 30, 0, 1_000, tzinfo=UTC))
    first, second = played.sent
    assert first == second
    assert (first.method, first.target) == ("POST", "/api/revocations")
    assert json.loads(first.body) == {
        "sub": "ana",
        "iss": "me",
        "before": "2024-01-15T14:30:00.001Z",
    }


def test_a_revocation_may_name_only_the_subject() -> None:
    """The broker then takes its own time."""
    played = Played(core().revoke("ñ", None, None, 0.0), [revoked])
    assert json.loads(played.sent[0].body) == {"sub": "ñ"}
    assert played.result.sub == "ñ"


@pytest.mark.parametrize(
    ("sub", "iss", "before"),
    [
        ("", None, None),
        (5, None, None),
        ("ana", 5, None),
        ("ana", None, datetime(2024, 1, 15)),  # noqa: DTZ001 - it has no time zone
        ("ana", None, "2024-01-15T14:30:00Z"),
        ("\ud800", None, None),
    ],
)
def test_a_bad_revocation_is_not_sent(sub: Any, iss: Any, before: Any) -> None:
    """The error says what is wrong."""
    played = Played(core().revoke(sub, iss, before, 0.0), [])
    assert isinstance(played.error, InvalidMessage)
    assert played.sent == []


@pytest.mark.parametrize(
    "document", [[], {"sub": "eva", "before": "2024-01-15T14:30:00Z"}, {"sub": "ana"}]
)
def test_an_answer_to_another_revocation_is_unexpected(document: Any) -> None:
    """It does not say that these tokens are revoked."""
    played = Played(core(attempts=1).revoke("ana", None, None, 0.0), [answer(201, document)])
    assert isinstance(played.error, UnexpectedAnswer)
