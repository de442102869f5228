"""The in-memory producers for users' own tests."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from furniture_events import (
    AnswerTimeout,
    HistoryPage,
    IdConflict,
    InvalidFurniture,
    InvalidMessage,
    LogUnavailable,
    NotAttempted,
    ProducerClosed,
    Published,
    TooLarge,
    UnknownType,
    Unreachable,
)
from furniture_events._contract import EVENT_TYPES
from furniture_events.testing import AsyncInMemoryProducer, InMemoryProducer, RecordedEvent

Make = Callable[..., dict[str, Any]]
NOON = datetime(2024, 1, 15, 12, 0, 0, 123_456, UTC)


@pytest.fixture
def producer() -> InMemoryProducer:
    """Make a producer whose clock stands at noon."""
    return InMemoryProducer(now=lambda: NOON)


def test_records_events_as_a_consumer_gets_them(
    producer: InMemoryProducer, furniture: dict[str, Any]
) -> None:
    """The record holds plain JSON values, the id, the offset and milliseconds."""
    published = producer.furniture_created(furniture | {"altura": Decimal("75.00")}, id="a")
    moment = NOON.replace(microsecond=123_000)
    assert published == Published("a", "memory-1", moment, duplicate=False)
    assert producer.events == [
        RecordedEvent("furniture_created", furniture, "a", "memory-1", moment)
    ]
    assert isinstance(producer.events[0].furniture["altura"], int)


def test_every_method_works(producer: InMemoryProducer, furniture: dict[str, Any]) -> None:
    """Each event type, ``ping`` and ``position`` answer like the broker."""
    assert producer.position() == "memory-0"
    for event_type in EVENT_TYPES:
        getattr(producer, event_type)(furniture)
    assert tuple(event.type for event in producer.events) == EVENT_TYPES
    assert producer.position() == f"memory-{len(EVENT_TYPES)}"
    assert producer.ping() >= 0


def test_history_has_pages_and_gaps(producer: InMemoryProducer, furniture: dict[str, Any]) -> None:
    """An offset that the broker has forgotten is a gap."""
    for id in "abc":
        producer.furniture_created(furniture, id=id)
    first = producer.history(limit=2)
    assert ([event["id"] for event in first.events], first.more) == (["a", "b"], True)
    assert first.events[0]["furniture"] == furniture
    second = producer.history(since=first.position)
    assert ([event["id"] for event in second.events], second.more) == (["c"], False)
    assert producer.history(since=second.position) == HistoryPage([], "memory-3", False, False)
    producer.clear()
    assert producer.history(since=first.position) == HistoryPage([], "memory-3", False, True)


def test_same_id_is_a_duplicate_or_a_conflict(producer: InMemoryProducer, event: Make) -> None:
    """The same event is appended once, and another event with its id is refused."""
    first = producer.publish(event(id="a", altura=75, extra={"x": 1, "y": 2}))
    again = producer.publish(event(id="a", altura=75.0, extra={"y": 2, "x": 1}))
    assert again == Published(first.id, first.offset, first.timestamp, duplicate=True)
    for change in ({"altura": 76}, {"extra": {"x": True, "y": 2}}, {"extra": [1]}, {}):
        with pytest.raises(IdConflict):
            producer.publish(event(id="a", **change))
    with pytest.raises(IdConflict):
        producer.publish(event(id="a", altura=75) | {"type": "furniture_deleted"})
    assert len(producer.events) == 1


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("furniture_id", ["x", "ñ" * 128], ["", "x" * 129, 7, None]),
        ("nombre", ["x", "ñ" * 255], ["", "x" * 256, None]),
        ("material", ["x", "ñ" * 255], ["", "x" * 256, True]),
        ("autor_username", ["x", "ñ" * 255], ["", "x" * 256, ["x"]]),
        ("descripcion", ["", "ñ" * 10_000], ["x" * 10_001, None]),
        ("altura", [0, 0.5, 10**99], [-1, -0.1, True, "75", None]),
        ("ancho", [0, 0.5, 10**99], [-1, -0.1, False, "75", None]),
    ],
)
def test_furniture_is_checked_by_the_contract(
    producer: InMemoryProducer, event: Make, field: str, good: list[Any], bad: list[Any]
) -> None:
    """Each field is checked at its bounds, and the error names it."""
    for value in good:
        producer.publish(event(**{field: value}))
    for value in bad:
        with pytest.raises(InvalidFurniture) as caught:
            producer.publish(event(**{field: value}))
        assert [detail.field for detail in caught.value.details] == [f"furniture.{field}"]
        assert caught.value.status == 422


def test_all_faults_are_named_at_once(producer: InMemoryProducer, event: Make) -> None:
    """Two bad fields are two details."""
    with pytest.raises(InvalidFurniture) as caught:
        producer.publish(event(nombre="", altura=-1))
    assert len(caught.value.details) == 2


@pytest.mark.parametrize("id", ["", "x" * 129, "ñ", "a\n"])
def test_bad_id_is_refused(producer: InMemoryProducer, event: Make, id: str) -> None:
    """An id is 1 to 128 printable ASCII characters, space included."""
    producer.publish(event(id="~ ok"))
    with pytest.raises(InvalidMessage):
        producer.publish(event(id=id))


def test_unknown_type_and_large_event_are_refused(producer: InMemoryProducer, event: Make) -> None:
    """An unknown type and an event over 65,536 bytes are refused."""
    with pytest.raises(UnknownType):
        producer.publish(event() | {"type": "furniture_sold"})
    with pytest.raises(TooLarge):
        producer.publish(event(extra="x" * 65_536))


def test_batch_reports_each_event(producer: InMemoryProducer, event: Make) -> None:
    """Results and errors are in the order of the events."""
    results = producer.publish_many([event(id="a"), event(nombre=""), {}, event(id="a")])
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Published", "InvalidFurniture", "InvalidMessage", "Published"]
    assert len(producer.events) == 1


def test_the_next_calls_fail_on_demand(producer: InMemoryProducer, event: Make) -> None:
    """Only the next requests fail, without a wait, and a batch reports the error."""
    producer.fail_next(Unreachable("asked for"), times=2)
    producer.fail_next(LogUnavailable("asked for"))
    for _ in range(2):
        with pytest.raises(Unreachable, match="asked for"):
            producer.publish(event())
    (result,) = producer.publish_many([event()])
    assert isinstance(result, LogUnavailable)
    assert isinstance(producer.publish(event()), Published)
    assert len(producer.events) == 1


def test_many_batches_stop_at_a_failure(producer: InMemoryProducer, event: Make) -> None:
    """After a failure of the first 1,000 events the others are not sent, as in production."""
    producer.fail_next(Unreachable("asked for"))
    results = producer.publish_many([event()] * 1001)
    assert isinstance(results[0], Unreachable)
    assert isinstance(results[1000], NotAttempted)
    assert producer.events == []


def test_lost_answer_leaves_the_event_recorded(producer: InMemoryProducer, event: Make) -> None:
    """The call fails, but the event is recorded."""
    producer.fail_next(AnswerTimeout("asked for", maybe_appended=True), appended=True)
    with pytest.raises(AnswerTimeout) as caught:
        producer.publish(event(id="a"))
    assert caught.value.maybe_appended
    assert producer.publish(event(id="a")).duplicate


def test_clear_forgets_events_and_failures(producer: InMemoryProducer, event: Make) -> None:
    """Events, ids and the next failures are forgotten, but not the position."""
    producer.publish(event(id="a"))
    producer.fail_next(Unreachable("asked for"))
    producer.clear()
    assert producer.events == []
    assert producer.publish(event(id="a")).offset == "memory-2"


def test_a_closed_in_memory_producer_raises(event: Make) -> None:
    """It closes like a producer."""
    with InMemoryProducer() as producer:
        producer.publish(event())
    with pytest.raises(ProducerClosed):
        producer.publish(event())


def test_many_threads_may_publish(producer: InMemoryProducer, event: Make) -> None:
    """Many threads get unique offsets."""
    with ThreadPoolExecutor(8) as threads:
        published = list(threads.map(lambda _: producer.publish(event()), range(200)))
    assert len({result.offset for result in published}) == len(producer.events) == 200


async def test_the_async_producer_does_the_same(event: Make) -> None:
    """It records, recognises, refuses and fails like the blocking one."""
    async with AsyncInMemoryProducer(now=lambda: NOON) as producer:
        await producer.publish(event(id="a"))
        assert (await producer.publish(event(id="a"))).duplicate
        with pytest.raises(InvalidFurniture):
            await producer.publish(event(altura=-1))
        producer.fail_next(Unreachable("asked for"))
        with pytest.raises(Unreachable):
            await producer.publish(event())
        (result,) = await producer.publish_many([event(id="b")])
        assert isinstance(result, Published)
        assert await producer.position() == "memory-2"
        assert await producer.ping() >= 0
        assert [recorded.id for recorded in producer.events] == ["a", "b"]


def test_revocations_are_recorded() -> None:
    """In order, apart from the events."""
    with InMemoryProducer() as producer:
        moment = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)
        assert producer.revoke("ana", iss="me", before=moment).before == moment
        producer.revoke("eva")
        assert [(it.sub, it.iss) for it in producer.revocations] == [("ana", "me"), ("eva", None)]
        assert producer.revocations[0].before == moment
        assert producer.events == []
        producer.clear()
        assert producer.revocations == []
