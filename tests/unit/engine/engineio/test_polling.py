"""The polling transport: its queue, one GET and one POST at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from engineio.payload import Payload

from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.polling import (
    MAX_PACKETS_PER_RESPONSE,
    MAX_RESPONSE_BYTES,
    QUEUED_FRAME_BYTES,
    Polling,
)
from sio_server.net.body import BodyTooLarge, BodyUnreadable
from sio_server.net.connection import SPARE_BYTES
from sio_server.net.frames import Frame
from sio_server.net.request import HttpRequest
from sio_server.net.response import HttpResponse
from sio_server.net.turns import MIN_PIECE_BYTES, TURN_BYTES
from tests.support.engine import RequestBody, make_request


class Session:
    """A session that records the calls of its transport.

    Attributes:
        received: the received packets.
        ends: the reasons and the errors that ended the session.
    """

    def __init__(self) -> None:
        self.closed = False
        self.received: list[Any] = []
        self.ends: list[str] = []

    def packet_received(self, packet_type: str, data: str | bytes) -> Awaitable[None] | None:
        """Record a packet; a CLOSE packet ends the session."""
        self.received.append((packet_type, data))
        if packet_type == "1":
            self.closed = True
        return None

    def end(self, reason: str) -> None:
        """Record the end."""
        self.ends.append(reason)

    def close_with_error(self, error: ProtocolError) -> None:
        """Record the error."""
        self.ends.append(str(error))


PACKET_BYTES = len(Frame("4")) + QUEUED_FRAME_BYTES


@pytest.fixture
def session() -> Session:
    """Return a session."""
    return Session()


@pytest.fixture
async def polling(session: Any) -> Polling:
    """Return a transport with packets of up to 20 bytes and a queue of 10 small packets."""
    return Polling(session, 20, 100, 4 * 10 * PACKET_BYTES, 5)


def payload(response: HttpResponse | Awaitable[HttpResponse]) -> list[str]:
    """Return the packets of a response that is there at once."""
    assert isinstance(response, HttpResponse)
    assert response.status == 200
    return response.body.decode().split("\x1e")


async def post(polling: Polling, body: bytes | Exception) -> HttpResponse:
    """Post a body."""
    return await polling.post(make_request("POST", body=RequestBody(body)))


async def test_a_get_returns_the_queued_packets_at_once(polling: Polling) -> None:
    """Bytes are in base64, and the queue is empty afterwards."""
    polling.write_all([Frame("4a"), Frame(b"\x01")])
    assert polling.unacknowledged_bytes() == 2 * QUEUED_FRAME_BYTES + 4 + 3
    assert payload(polling.get(make_request())) == ["4a", "bAQ=="]
    assert polling.unacknowledged_bytes() == 0


async def test_a_get_waits_for_a_packet(polling: Polling) -> None:
    """It returns all packets that were queued in the same turn of the event loop."""
    waiting = asyncio.ensure_future(polling.get(make_request()))
    await asyncio.sleep(0)
    assert polling.is_polled
    polling.write(Frame("4a"))
    polling.write(Frame("4b"))
    assert payload(await waiting) == ["4a", "4b"]
    assert not polling.is_polled


async def test_a_response_has_a_bounded_size(session: Any) -> None:
    """The rest waits for the next GET. One packet may be larger than the bound."""
    polling = Polling(session, MAX_RESPONSE_BYTES * 2, 100, MAX_RESPONSE_BYTES * 8, 5)
    large, half = "4" * (MAX_RESPONSE_BYTES + 1), "4" * (MAX_RESPONSE_BYTES // 2 - 10)
    polling.write_all([Frame(packet) for packet in (large, half, half, half)])
    assert payload(polling.get(make_request())) == [large]
    assert payload(polling.get(make_request())) == [half, half]
    assert payload(polling.get(make_request())) == [half]


async def test_a_response_has_a_bounded_number_of_packets(session: Any) -> None:
    """Python's client refuses more; the rest waits for the next GET."""
    assert Payload.max_decode_packets == MAX_PACKETS_PER_RESPONSE
    frames = [Frame("4")] * (MAX_PACKETS_PER_RESPONSE + 1)
    polling = Polling(session, 20, 100, 100_000, 5)
    polling.write_all(frames)
    assert len(payload(polling.get(make_request()))) == MAX_PACKETS_PER_RESPONSE
    assert len(payload(polling.get(make_request()))) == 1


async def test_a_lost_poll_leaves_the_packets_to_the_next_one(
    polling: Polling, session: Session
) -> None:
    """A poll of a client that has disconnected does not count as a second poll."""
    lost = RequestBody()
    waiting = asyncio.ensure_future(polling.get(make_request(body=lost)))
    await asyncio.sleep(0)
    lost.is_open = False
    polling.write(Frame("4a"))
    assert (await waiting).body == b""
    assert payload(polling.get(make_request())) == ["4a"]
    assert session.ends == []


async def test_a_second_poll_closes_the_session(polling: Polling, session: Session) -> None:
    """Engine.IO protocol, "HTTP long-polling": one GET at a time."""
    waiting = asyncio.ensure_future(polling.get(make_request()))
    await asyncio.sleep(0)
    second = polling.get(make_request())
    assert isinstance(second, HttpResponse)
    assert second.status == 400
    assert session.ends == ["two polls at once"]
    polling.close()
    assert payload(await waiting) == ["6"]


async def test_a_write_over_the_bound_returns_false_and_one_far_over_it_ends_the_session(
    polling: Polling, session: Session
) -> None:
    """One packet, and a little more, may exceed the bound of ten small packets."""
    for _ in range(10):
        assert polling.write(Frame("4"))
    excess = 0
    while excess <= 20 + SPARE_BYTES:
        assert session.ends == []
        assert not polling.write(Frame("4"))
        excess += PACKET_BYTES
    assert not polling.write(Frame("4"))
    assert session.ends == ["transport error"]


async def test_drain_waits_until_the_queue_is_empty_or_the_transport_closed(
    session: Any,
) -> None:
    """A GET may take only a part of the queue."""
    polling = Polling(session, 20, 100, 100_000, 5)
    await polling.drain()
    polling.write_all([Frame("4")] * (MAX_PACKETS_PER_RESPONSE + 1))
    draining = [asyncio.ensure_future(polling.drain()) for _ in range(2)]
    polling.get(make_request())
    await asyncio.sleep(0)
    assert not any(task.done() for task in draining)
    polling.take_queued()
    await asyncio.gather(*draining)
    polling.write(Frame("4"))
    draining = [asyncio.ensure_future(polling.drain())]
    await asyncio.sleep(0)
    polling.close()
    await asyncio.gather(*draining)


async def test_an_upgrade_answers_every_get_at_once(polling: Polling) -> None:
    """Engine.IO protocol, "Upgrade": a waiting GET gets a NOOP."""
    waiting = asyncio.ensure_future(polling.get(make_request()))
    await asyncio.sleep(0)
    polling.set_upgrading(True)
    assert payload(await waiting) == ["6"]
    assert payload(polling.get(make_request())) == ["6"]
    polling.set_upgrading(False)
    waiting = asyncio.ensure_future(polling.get(make_request()))
    await asyncio.sleep(0)
    assert not waiting.done()
    polling.close()
    await waiting


@pytest.mark.parametrize("polls", [False, True])
async def test_a_closed_transport_holds_no_packets(polling: Polling, polls: bool) -> None:
    """A waiting GET gets the first ones. No other GET comes."""
    waiting = polling.get(make_request()) if polls else None
    for _ in range(20):
        polling.write(Frame("4"))
    polling.close()
    if isinstance(waiting, Awaitable):
        assert len(payload(await waiting)) == 16
    assert (polling.unacknowledged_bytes(), polling.take_queued()) == (0, [])


async def test_a_closed_transport_ignores_writes(polling: Polling) -> None:
    """A write to it reports no full buffer."""
    polling.close()
    assert polling.write(Frame("4" * 50))
    assert polling.unacknowledged_bytes() == 0


async def test_a_post_handles_its_packets_in_order(polling: Polling, session: Session) -> None:
    """The response is the text «ok»."""
    response = await post(polling, b"4a\x1ebAQ==\x1e3")
    assert (response.status, response.body) == (200, b"ok")
    assert session.received == [("4", "a"), ("4", b"\x01"), ("3", "")]


async def test_packets_after_a_close_packet_are_ignored(polling: Polling, session: Session) -> None:
    """The session is closed by then."""
    await post(polling, b"4a\x1e1\x1e4b")
    assert session.received == [("4", "a"), ("1", "")]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"4a\x1ex", 400, "unknown Engine.IO packet 'x'"),
        (b"4a\x1e4\xff", 400, "payload is not UTF-8"),
        (b"4a\x1e4" + b"x" * 20, 400, "packet too large"),
        (BodyTooLarge(), 413, "payload too large"),
        (BodyUnreadable(), 400, "payload can't be decoded"),
        (TimeoutError(), 408, "payload too slow"),
    ],
    ids=repr,
)
async def test_a_bad_body_closes_the_session(
    polling: Polling, session: Session, body: Any, status: int, error: str
) -> None:
    """The packets before the bad one are handled, as over a WebSocket."""
    assert (await post(polling, body)).status == status
    assert session.ends == [error]
    assert session.received == ([("4", "a")] if isinstance(body, bytes) else [])


async def test_a_body_of_many_packets_leaves_turns_to_the_others(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is handled in later turns of the event loop, and none after the session's end."""
    polling = Polling(session, 20, 100_000, 10_000, 5)
    posting = asyncio.ensure_future(post(polling, b"\x1e".join([b"6"] * 1000 + [b"1", b"6"])))
    await asyncio.sleep(0)
    assert 0 < len(session.received) <= TURN_BYTES // MIN_PIECE_BYTES
    await posting
    assert len(session.received) == 1001


async def test_a_message_waits_until_the_client_has_read_the_answers(
    polling: Polling, session: Session
) -> None:
    """Other packets before it are still handled."""
    polling.write_all([Frame("4")] * 11)
    posting = asyncio.ensure_future(post(polling, b"3\x1e4a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert session.received == [("3", "")]
    polling.get(make_request())
    await posting
    assert session.received == [("3", ""), ("4", "a")]


async def test_a_second_post_closes_the_session(polling: Polling, session: Session) -> None:
    """Engine.IO protocol, "HTTP long-polling": one POST at a time, but a later one may follow."""
    arrived = asyncio.get_running_loop().create_future()

    async def read(max_bytes: int, seconds: float) -> bytes:
        body: bytes = await arrived
        return body

    slow: HttpRequest = make_request("POST")
    slow.read = read
    first = asyncio.ensure_future(polling.post(slow))
    await asyncio.sleep(0)
    assert (await post(polling, b"4a")).status == 400
    assert session.ends == ["two posts at once"]
    arrived.set_result(b"4first")
    assert (await first).status == 200
    assert (await post(polling, b"4later")).status == 200
