"""The healthy consumers understand the server's bytes, however these are cut."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sio_server.net.frames import Frame
from tests.siege.consumers import (
    Consumer,
    Lost,
    PlainConsumer,
    PollingConsumer,
    SocketIOConsumer,
    StreamConsumer,
)

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
READY = '{"type":"ready","position":"e.0","gap":false}'


def event(number: int) -> str:
    """Return an event without its offset."""
    return f'{{"type":"furniture_updated","furniture":{{}},"id":"siege-{number}"'


def text(message: str) -> bytes:
    """Return a server's text frame."""
    return Frame(message).websocket


def chunk(message: str) -> bytes:
    """Return a chunk of a stream."""
    return b"%x\r\n%b\r\n" % (len(message), message.encode())


def response(body: str) -> bytes:
    """Return the answer to a poll or a post."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


PLAIN = [
    SWITCHED,
    text(READY),
    *(text(f'{event(it)},"offset":"e.{it}"}}') for it in (1, 2, 3)),
]
SOCKETIO = [
    SWITCHED,
    text('0{"sid":"s","pingInterval":25000}'),
    text('40{"sid":"c","pid":"p"}'),
    text(f'42["ready",{READY}]'),
    *(text(f'42["furniture_updated",{event(it)}}},"e.{it}"]') for it in (1, 2, 3)),
]
STREAM = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    chunk("retry: 2000\n\n"),
    chunk(f"event: ready\nid: e.0\ndata: {READY}\n\n"),
    *(chunk(f"id: e.{it}\ndata: {event(it)}}}\n\n") for it in (1, 2)),
    chunk(": \n\n"),
    chunk(f"id: e.3\ndata: {event(3)}}}\n\n"),
]
POLLING = [
    response('0{"sid":"s","pingInterval":25000}'),
    response("ok"),
    response(f'40{{"sid":"c","pid":"p"}}\x1e42["ready",{READY}]'),
    response(f'42["furniture_updated",{event(1)}}},"e.1"]\x1e2'),
    response("ok"),
    response("\x1e".join(f'42["furniture_updated",{event(it)}}},"e.{it}"]' for it in (2, 3))),
]
KINDS = [
    pytest.param(PlainConsumer, PLAIN, id="plain"),
    pytest.param(SocketIOConsumer, SOCKETIO, id="socketio"),
    pytest.param(StreamConsumer, STREAM, id="stream"),
    pytest.param(PollingConsumer, POLLING, id="polling"),
]


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("kind", "answers"), KINDS)
def test_each_kind_gets_its_events(
    kind: type[Consumer], answers: Sequence[bytes], size: int
) -> None:
    """The bytes arrive one by one, in small pieces, or whole."""
    consumer = kind("it", "e.0")
    assert consumer.opening().startswith(b"GET /")
    for answer in answers:
        for start in range(0, len(answer), size):
            consumer.feed(answer[start : start + size])
    assert (consumer.runs, consumer.offset, consumer.ready) == ([[1, 3]], "e.3", True)
    consumer.ended()
    assert (consumer.ready, consumer.cuts, consumer.refusals) == (False, 1, 0)


@pytest.mark.parametrize(
    ("kind", "answers", "said"),
    [
        (PlainConsumer, PLAIN, b"since=e.3"),
        (StreamConsumer, STREAM, b"since=e.3"),
        (SocketIOConsumer, SOCKETIO, b'{"pid": "p", "offset": "e.3"}'),
        (PollingConsumer, POLLING, b'{"pid": "p", "offset": "e.3"}'),
    ],
)
def test_each_kind_comes_back_with_its_last_offset(
    kind: type[Consumer], answers: Sequence[bytes], said: bytes
) -> None:
    """A Socket.IO client recovers its session; the others continue with ``since``."""
    consumer = kind("it", "e.0")
    consumer.opening()
    for answer in answers:
        consumer.feed(answer)
    consumer.ended()
    sent = consumer.opening() + consumer.feed(answers[0])
    if kind is SocketIOConsumer:
        sent += _unmasked(consumer.feed(answers[1]))
    assert said in sent


def _unmasked(sent: bytes) -> bytes:
    """Return the payload of a short client's frame."""
    mask, payload = sent[2:6], sent[6:]
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def test_a_ping_is_answered() -> None:
    """On WebSocket with a pong of the same payload, in Engine.IO with its packet."""
    plain = PlainConsumer("it", "e.0")
    plain.feed(SWITCHED)
    assert _unmasked(plain.feed(b"\x89\x02hi")) == b"hi"
    socketio = SocketIOConsumer("it", "e.0")
    socketio.feed(SWITCHED)
    assert _unmasked(socketio.feed(text("2"))) == b"3"
    polling = PollingConsumer("it", "e.0")
    polling.opening()
    polling.feed(POLLING[0])
    assert polling.feed(response("2")).endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("kind", [PlainConsumer, StreamConsumer, PollingConsumer])
def test_a_refusal_is_counted_with_its_status(kind: type[Consumer]) -> None:
    """A consumer that was never ready was not cut."""
    consumer = kind("it", "e.0")
    consumer.opening()
    refused = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(Lost):
        consumer.feed(refused)
    consumer.ended()
    assert (consumer.statuses, consumer.cuts, consumer.refusals) == ([503], 0, 1)


def test_a_close_frame_ends_the_connection() -> None:
    """The crowd then counts a cut."""
    consumer = PlainConsumer("it", "e.0")
    consumer.feed(SWITCHED)
    with pytest.raises(Lost):
        consumer.feed(b"\x88\x02\x03\xe9")


def test_an_announced_gap_is_counted() -> None:
    """The judgement needs it."""
    consumer = PlainConsumer("it", "e.0")
    consumer.feed(SWITCHED + text(READY.replace("false", "true")))
    assert (consumer.ready, consumer.gaps) == (True, 1)
