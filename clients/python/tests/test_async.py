"""The producer for asyncio works against a real server on 127.0.0.1."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from furniture_events import (
    AnswerTimeout,
    AsyncProducer,
    ConnectionLost,
    InvalidFurniture,
    ProducerClosed,
    Published,
    Unreachable,
)
from furniture_events._contract import EVENT_TYPES
from loopback import Broker, append_then_hang_up, hang, raw, refuse

Make = Callable[..., dict[str, Any]]


@pytest_asyncio.fixture
async def producer(broker: Broker) -> AsyncIterator[AsyncProducer]:
    """Make a producer with short waits."""
    async with AsyncProducer(broker.url, key="sesame", backoff=0.001) as producer:
        yield producer


@pytest.mark.parametrize("event_type", EVENT_TYPES)
async def test_publishes_each_type(
    event_type: str, producer: AsyncProducer, broker: Broker, furniture: dict[str, Any]
) -> None:
    """The event arrives in the contract's form, and its result is typed."""
    published = await getattr(producer, event_type)(furniture, id="mine")
    assert (published.id, published.offset, published.duplicate) == ("mine", "e-1", False)
    (seen,) = broker.seen
    assert seen.json == {"type": event_type, "furniture": furniture, "id": "mine"}
    assert seen.headers["authorization"] == "Bearer sesame"


async def test_ping_position_and_one_connection(
    producer: AsyncProducer, broker: Broker, event: Make
) -> None:
    """All calls use one connection, which stays open."""
    await producer.publish(event())
    assert 0 < await producer.ping() < 10
    assert await producer.position() == "e-1"
    assert (await producer.history(limit=0)).position == "e-1"
    assert len(broker.seen) == 4
    assert len(set(broker.ports)) == 1


async def test_retry_after_of_a_503_is_slept(
    producer: AsyncProducer, broker: Broker, event: Make
) -> None:
    """The producer waits at least for the Retry-After, and then publishes the event."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    producer._sleep = sleep  # type: ignore[assignment]
    broker.script += [refuse(503, "log_unavailable", Retry_After="3")]
    assert isinstance(await producer.publish(event()), Published)
    assert len(slept) == 1
    assert 3.0 <= slept[0] <= 3.001


async def test_lost_answer_ends_in_a_duplicate(
    producer: AsyncProducer, broker: Broker, event: Make
) -> None:
    """The broker recognises the retry of an appended event."""
    broker.script += [append_then_hang_up]
    assert (await producer.publish(event())).duplicate
    assert len(broker.log) == 1


async def test_failures_are_typed(broker: Broker, event: Make) -> None:
    """A timeout, a broken answer, a refusal and a missing broker have different errors."""
    broker.script += [hang, raw(b"HTTP/1.1 201 Cre")]
    async with AsyncProducer(broker.url, timeout=0.05, attempts=1) as producer:
        with pytest.raises(AnswerTimeout) as late:
            await producer.publish(event())
        with pytest.raises(ConnectionLost) as lost:
            await producer.publish(event())
        with pytest.raises(InvalidFurniture) as refused:
            await producer.publish(event(nombre=""))
    broker.stop()
    async with AsyncProducer(broker.url, attempts=2, backoff=0) as producer:
        with pytest.raises(Unreachable) as absent:
            await producer.publish(event())
    maybe_appended = [caught.value.maybe_appended for caught in (late, lost, refused, absent)]
    assert maybe_appended == [True, True, False, False]


async def test_batch_reports_each_event(
    producer: AsyncProducer, broker: Broker, event: Make
) -> None:
    """Batches are divided, retried and reported as by the blocking producer."""
    broker.script += [append_then_hang_up]
    events = [event(id=str(n)) for n in range(1001)] + [event(nombre="")]
    results = await producer.publish_many(events)
    assert [result.id for result in results if isinstance(result, Published)] == [
        str(n) for n in range(1001)
    ]
    assert isinstance(results[-1], InvalidFurniture)
    assert [len(seen.json["events"]) for seen in broker.seen] == [1000, 1000, 2]


async def test_fifty_tasks_share_a_producer(broker: Broker, event: Make) -> None:
    """Fifty tasks at once publish through few connections, and every event arrives once."""
    async with AsyncProducer(broker.url, max_connections=8) as producer:
        published = await asyncio.gather(*(producer.publish(event()) for _ in range(50)))
    assert len({result.offset for result in published}) == len(broker.log) == 50
    assert len(set(broker.ports)) <= 8


async def test_a_call_can_be_cancelled(broker: Broker, event: Make) -> None:
    """A cancelled call raises ``CancelledError``, and the producer still works."""
    broker.script += [hang]
    async with AsyncProducer(broker.url) as producer:
        call = asyncio.create_task(producer.publish(event()))
        await asyncio.to_thread(broker.arrived.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert isinstance(await producer.publish(event()), Published)


def test_each_event_loop_gets_its_own_connections(broker: Broker, event: Make) -> None:
    """One producer publishes in several ``asyncio.run`` calls, one after another."""
    producer = AsyncProducer(broker.url)

    async def once() -> Published:
        await producer.ping()
        return await producer.publish(event())

    assert [asyncio.run(once()).offset for _ in range(3)] == ["e-1", "e-2", "e-3"]
    assert (len(broker.ports), len(set(broker.ports))) == (6, 3)


def test_two_hundred_event_loops_leave_no_descriptor(broker: Broker) -> None:
    """``asyncio.run`` ends the connections of its loop, without ``aclose``."""
    producer = AsyncProducer(broker.url)
    before = open_descriptors()
    for _ in range(200):
        asyncio.run(producer.ping())
    assert len(set(broker.ports)) == 200
    assert producer._pool._clients == {}
    wait_for_descriptors(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_loops_that_are_only_closed_leave_no_descriptor(broker: Broker) -> None:
    """Python frees the connections of such a loop, with a warning, if nothing refers to them."""
    producer = AsyncProducer(broker.url)
    before = open_descriptors()
    for _ in range(200):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(producer.ping())
        loop.close()
        assert len(producer._pool._clients) == 1
        del loop
    del producer
    gc.collect()
    wait_for_descriptors(before)


def wait_for_descriptors(count: int) -> None:
    """Wait until at most this many are open. The broker's threads close their ends a bit later."""
    deadline = time.monotonic() + 10
    while open_descriptors() > count:
        assert time.monotonic() < deadline, open_descriptors()
        time.sleep(0.01)


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def test_a_loop_whose_generators_were_closed_can_go_on(broker: Broker) -> None:
    """The producer opens a new connection in it."""
    producer = AsyncProducer(broker.url)

    async def ping_again() -> None:
        await producer.ping()
        await asyncio.get_running_loop().shutdown_asyncgens()
        with pytest.warns(ResourceWarning, match="shutdown_asyncgens"):
            await producer.ping()
        await producer.aclose()

    asyncio.run(ping_again())
    assert len(set(broker.ports)) == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_child_publishes_in_its_own_loop(broker: Broker, event: Make) -> None:
    """A child that was forked after the parent's loop publishes in its own loop."""
    producer = AsyncProducer(broker.url)

    async def once(id: str) -> None:
        await producer.publish(event(id=id))
        await producer._pool.aclose()
        producer._pool._closed = False

    asyncio.run(once("parent"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(once("child"))
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(broker.log) == ["parent", "child"]


async def test_a_closed_producer_raises(broker: Broker, event: Make) -> None:
    """After ``aclose`` every call raises ``ProducerClosed``. ``aclose`` may be called twice."""
    producer = AsyncProducer(broker.url)
    await producer.ping()
    await producer.aclose()
    await producer.aclose()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: producer.publish(event()),
        lambda: producer.publish_many([event()]),
        producer.ping,
        producer.position,
    ]
    for call in calls:
        with pytest.raises(ProducerClosed):
            await call()


async def test_close_during_a_call_ends_it(broker: Broker, event: Make) -> None:
    """A call that is closed between its attempts ends with ``maybe_appended``."""
    broker.script += [raw(b"")]
    producer = AsyncProducer(broker.url)

    async def close(_: float) -> None:
        await producer.aclose()

    producer._sleep = close  # type: ignore[assignment]
    with pytest.raises(ProducerClosed) as caught:
        await producer.publish(event())
    assert caught.value.maybe_appended
