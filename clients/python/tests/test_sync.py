"""The blocking producer works against a real server on 127.0.0.1."""

import logging
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from furniture_events import (
    AnswerTimeout,
    ConnectionLost,
    FurnitureEventsError,
    HistoryPage,
    InvalidFurniture,
    LogUnavailable,
    NotAttempted,
    Producer,
    ProducerClosed,
    Published,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
)
from furniture_events._contract import EVENT_TYPES
from loopback import Broker, answer, append_then_hang_up, hang, raw, refuse

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def producer(broker: Broker) -> Iterator[Producer]:
    """Make a producer with short waits."""
    with Producer(broker.url, key="sesame", backoff=0.001) as producer:
        yield producer


@pytest.fixture
def closed_port() -> int:
    """Find a port without a listener."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_publishes_each_type(
    event_type: str, producer: Producer, broker: Broker, furniture: dict[str, Any]
) -> None:
    """The event arrives in the contract's form, and its result is typed."""
    method = getattr(producer, event_type)
    published = method(furniture, id="mine")
    assert published == Published(
        "mine", "e-1", datetime(2024, 1, 15, 14, 30, tzinfo=UTC), duplicate=False
    )
    (seen,) = broker.seen
    assert (seen.method, seen.path) == ("POST", "/api/events")
    assert seen.json == {"type": event_type, "furniture": furniture, "id": "mine"}
    assert seen.headers["authorization"] == "Bearer sesame"
    assert seen.headers["content-type"] == "application/json"


def test_prefix_of_the_url_is_kept(broker: Broker, event: Make) -> None:
    """A broker below a path is reached."""
    with Producer(f"{broker.url}/live/") as producer:
        producer.publish(event())
    assert broker.seen[0].path == "/live/api/events"


def test_ping_and_position_answer(producer: Producer, broker: Broker, event: Make) -> None:
    """The round trip is in seconds, and the position is the log's end."""
    producer.publish(event())
    assert 0 < producer.ping() < 10
    assert producer.position() == "e-1"
    assert [seen.path for seen in broker.seen][1:] == ["/healthz", "/api/events?limit=0"]


def test_history_returns_a_page(producer: Producer, broker: Broker) -> None:
    """From the start of the log, or after an offset."""
    document = {"events": [], "position": "e-1", "oldest": "e-0", "gap": False, "more": False}
    broker.script += [answer(200, document), answer(200, document)]
    assert producer.history() == HistoryPage([], "e-1", more=False, gap=False)
    producer.history(since="e-1", limit=5)
    paths = [seen.path for seen in broker.seen]
    assert paths == ["/api/events?limit=1000", "/api/events?limit=5&since=e-1"]


def test_one_connection_serves_many_calls(producer: Producer, broker: Broker, event: Make) -> None:
    """The connection stays open between calls, also after a refusal."""
    for _ in range(3):
        producer.publish(event())
        with pytest.raises(InvalidFurniture):
            producer.publish(event(nombre=""))
    assert len(broker.seen) == 6
    assert len(set(broker.ports)) == 1


def test_retry_after_of_a_503_is_slept(producer: Producer, broker: Broker, event: Make) -> None:
    """The producer waits at least for the Retry-After, and then publishes the event."""
    slept: list[float] = []
    producer._sleep = slept.append  # type: ignore[assignment]
    broker.script += [refuse(503, "log_unavailable", Retry_After="3")]
    assert not producer.publish(event()).duplicate
    assert len(slept) == 1
    assert 3.0 <= slept[0] <= 3.001
    assert broker.seen[0].body == broker.seen[1].body


def test_refused_connection_is_certainly_not_appended(closed_port: int, event: Make) -> None:
    """Without a listener every attempt fails, and nothing was sent."""
    with Producer(f"http://127.0.0.1:{closed_port}", attempts=3, backoff=0.001) as producer:
        with pytest.raises(Unreachable) as caught:
            producer.publish(event())
        with pytest.raises(Unreachable):
            producer.ping()
    assert not caught.value.maybe_appended
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_broker_that_comes_back_gets_the_event(
    producer: Producer, broker: Broker, event: Make
) -> None:
    """After several kinds of failures the event is appended once."""
    broker.script += [raw(b""), answer(502, b"<html>", "text/html"), refuse(500, "internal")]
    assert isinstance(producer.publish(event()), Published)
    assert len(broker.log) == 1


def test_an_event_to_a_silent_broker_may_be_appended(broker: Broker, event: Make) -> None:
    """A request that was sent and not answered may have been appended."""
    broker.script += [hang, hang]
    with Producer(broker.url, timeout=0.05, attempts=2, backoff=0) as producer:
        with pytest.raises(AnswerTimeout) as caught:
            producer.publish(event())
    assert caught.value.maybe_appended
    first, second = broker.wait_for_requests(2)
    assert first.json["id"] == second.json["id"]


def test_deadline_bounds_an_attempt(broker: Broker, event: Make) -> None:
    """A read timeout that is longer than the deadline ends at the deadline."""
    broker.script += [hang]
    with Producer(broker.url, timeout=30.0, deadline=0.05) as producer:
        with pytest.raises(AnswerTimeout):
            producer.publish(event())
    assert len(broker.wait_for_requests(1)) == 1


def test_a_get_without_an_answer_is_never_maybe_appended(broker: Broker) -> None:
    """A request for the position appends no event."""
    broker.script += [hang]
    with Producer(broker.url, timeout=0.05, attempts=1) as producer:
        with pytest.raises(AnswerTimeout) as caught:
            producer.position()
    assert not caught.value.maybe_appended


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 201 Created\r\nContent-Le",
        b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"id"',
        b'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"',
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["nothing", "half the head", "half the body", "half a chunk", "not HTTP", "not gzip"],
)
def test_a_broken_answer_is_a_lost_answer(data: bytes, broker: Broker, event: Make) -> None:
    """If every answer breaks off, the event may be appended."""
    broker.script += [raw(data), raw(data)]
    with Producer(broker.url, attempts=2, backoff=0) as producer:
        with pytest.raises(ConnectionLost) as caught:
            producer.publish(event())
    assert caught.value.maybe_appended
    assert len(broker.seen) == 2


def test_lost_answer_ends_in_a_duplicate(producer: Producer, broker: Broker, event: Make) -> None:
    """The broker recognises the retry, and the event is in the log once."""
    broker.script += [append_then_hang_up]
    published = producer.publish(event())
    assert published.duplicate
    assert published.offset == "e-1"
    assert len(broker.log) == 1


def test_redirect_is_not_followed(producer: Producer, broker: Broker, event: Make) -> None:
    """The key is sent only to the host in ``url``."""
    broker.script += [answer(307, b"", "text/html", Location=f"{broker.url}/elsewhere")]
    with pytest.raises(UnexpectedAnswer) as caught:
        producer.publish(event())
    assert caught.value.status == 307
    assert len(broker.seen) == 1


def test_environment_is_not_trusted(
    broker: Broker, event: Make, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment does not get the events."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Producer(broker.url, attempts=1) as producer:
        producer.publish(event())
    assert len(broker.seen) == 1


def test_endless_answer_is_cut_off(
    producer: Producer, broker: Broker, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer stops reading an answer that is far too long."""
    monkeypatch.setattr("furniture_events._http._MAX_ANSWER_BYTES", 1000)
    broker.script += [answer(200, b"x" * 5000)] * 5
    with pytest.raises(ConnectionLost, match="too long"):
        producer.publish(event())


def test_key_is_in_no_error(producer: Producer, broker: Broker, event: Make) -> None:
    """The text, the attributes, the causes and the pickle have no key."""
    echo = {"code": "unauthorized", "message": "key sesame is unknown"}
    broker.script += [answer(401, echo, "application/problem+json")]
    with pytest.raises(Unauthorized) as caught:
        producer.publish(event())
    error = caught.value
    assert "sesame" not in f"{error!r} {error} {vars(error)}"
    assert b"sesame" not in pickle.dumps(error)
    assert (error.__cause__, error.__context__) == (None, None)


def test_batch_splits_by_count_and_bytes(broker: Broker, event: Make) -> None:
    """2,500 events arrive in three requests, in order, and the results are in order."""
    with Producer(broker.url) as producer:
        results = producer.publish_many(event(id=f"n{n}") for n in range(2500))
        large = [event(id=f"l{n}", descripcion="x" * 60_000) for n in range(20)]
        results += producer.publish_many(large)
    assert all(isinstance(result, Published) for result in results)
    counts = [len(seen.json["events"]) for seen in broker.seen]
    assert counts == [1000, 1000, 500, 17, 3]
    assert all(len(seen.body) <= 1_048_576 for seen in broker.seen)
    sent = [item["id"] for seen in broker.seen for item in seen.json["events"]]
    assert sent == [result.id for result in results if isinstance(result, Published)]


def test_batch_reports_each_event(producer: Producer, broker: Broker, event: Make) -> None:
    """A bad event does not change the others, and a lost answer loses no event."""
    broker.script += [append_then_hang_up]
    results = producer.publish_many([event(id="a"), event(id="b", nombre=""), {}, event(id="d")])
    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Published", "InvalidFurniture", "InvalidMessage", "Published"]
    assert len(broker.log) == 2


def test_a_batch_without_a_broker_returns_errors(closed_port: int, event: Make) -> None:
    """Without a listener ``publish_many`` raises nothing, and returns every error."""
    url = f"http://127.0.0.1:{closed_port}"
    with Producer(url, attempts=1, batch_events=1) as producer:
        one, two = producer.publish_many([event(), event()])
    assert isinstance(one, Unreachable)
    assert isinstance(two, NotAttempted)


def test_twenty_threads_share_a_producer(broker: Broker, event: Make) -> None:
    """Twenty threads at once publish through few connections, and every event arrives once."""
    start = threading.Barrier(20)
    shared = Producer(broker.url, max_connections=8)

    def publish(thread: int) -> list[Published]:
        start.wait()
        return [shared.publish(event(id=f"{thread}-{n}")) for n in range(10)]

    with shared, ThreadPoolExecutor(20) as threads:
        published = [result for some in threads.map(publish, range(20)) for result in some]
    assert len(broker.log) == 200
    assert len({result.offset for result in published}) == 200
    assert not any(result.duplicate for result in published)
    assert len(set(broker.ports)) <= 8


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_child_has_its_own_connections(
    producer: Producer, broker: Broker, event: Make
) -> None:
    """Parent and child both publish after a fork, each through its own socket."""
    producer.publish(event(id="before"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            producer.publish(event(id="child"))
            producer.publish(event(id="child again"))
            producer.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    producer.publish(event(id="after"))
    before, one, two, after = broker.ports
    assert before == after
    assert one == two != before
    assert list(broker.log) == ["before", "child", "child again", "after"]


def test_a_closed_producer_raises(broker: Broker, event: Make) -> None:
    """After ``close`` every call raises ``ProducerClosed``. ``close`` may be called twice."""
    producer = Producer(broker.url)
    producer.ping()
    producer.close()
    producer.close()
    calls: list[Callable[[], object]] = [
        lambda: producer.publish(event()),
        lambda: producer.publish_many([event()]),
        producer.ping,
        producer.position,
        producer.history,
    ]
    for call in calls:
        with pytest.raises(ProducerClosed):
            call()


def test_close_during_a_call_ends_it(broker: Broker, event: Make) -> None:
    """A call that another thread closes between its attempts has ``maybe_appended``."""
    broker.script += [raw(b"")]
    producer = Producer(broker.url)
    producer._sleep = lambda _: producer.close()
    with pytest.raises(ProducerClosed) as caught:
        producer.publish(event())
    assert caught.value.maybe_appended


def test_log_lines_are_bounded_and_hold_no_secret(
    producer: Producer, broker: Broker, event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A retry and an incomplete batch are one warning each, without key, furniture or id."""
    caplog.set_level(logging.DEBUG, "furniture_events")
    broker.script += [refuse(503, "log_unavailable")]
    producer.publish(event(id="hidden-id", nombre="Mesa secreta"))
    results = producer.publish_many([event(nombre="")] * 500)
    assert all(isinstance(result, InvalidFurniture) for result in results)
    lines = [record.getMessage() for record in caplog.records if record.name == "furniture_events"]
    warnings = [line for line in lines if not line.startswith("exchange ")]
    assert len(warnings) == 2
    assert warnings[0].startswith("retry attempt=2 delay=0.00")
    assert warnings[0].endswith("reason=LogUnavailable")
    assert warnings[1] == "publish_many_incomplete failed=500 of=500 first=InvalidFurniture"
    assert len(lines) == 5
    assert all(len(line) < 200 for line in lines)
    assert not any(word in line for line in lines for word in ("sesame", "secreta", "hidden"))


def test_contract_error_of_the_last_attempt_is_raised(broker: Broker, event: Make) -> None:
    """After the last attempt the error has the broker's own words."""
    broker.script += [refuse(503, "log_unavailable", Retry_After="0")] * 2
    with Producer(broker.url, attempts=2, backoff=0) as producer:
        with pytest.raises(LogUnavailable) as caught:
            producer.publish(event())
    assert isinstance(caught.value, FurnitureEventsError)
    assert (caught.value.status, caught.value.retry_after) == (503, 0.0)
    assert not caught.value.maybe_appended
