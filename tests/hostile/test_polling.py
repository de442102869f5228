"""Long-polling: lost bodies, polls that hang, and sessions that never end."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.hostile.clients import Client, client, is_bounded, logged_problems
from tests.hostile.stacks import TIMEOUT, WATCH_SECONDS, Stack, both, until

CONNECT_TIMEOUT = 0.2
"""Seconds of our connect timeout, in the tests that wait for it."""


async def post_in_two(stack: Stack, polling: Client, body: bytes) -> bytes:
    """Post a body in two segments, the second after a pause; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.runner.addresses[0][1])
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={polling.sid} HTTP/1.1\r\nHost: x\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:1000])
    answer = asyncio.ensure_future(reader.readline())
    await asyncio.wait([answer], timeout=WATCH_SECONDS)
    writer.write(body[1000:])
    async with asyncio.timeout(TIMEOUT):
        status = await answer
    writer.close()
    return status.split()[1]


async def test_a_body_in_two_segments_arrives_whole() -> None:
    """The stock server answers 200 to the first segment, and loses the event."""

    async def observe(stack: Stack) -> tuple[bytes, list[list[Any]]]:
        async with client(stack, "polling") as polling:
            body = f"42{json.dumps(['big', 'x' * 3000])}"
            return await post_in_two(stack, polling, body.encode()), stack.events

    assert await both(observe) == ((b"200", []), (b"200", [["big", "x" * 3000]]))


async def test_a_body_of_more_than_sixteen_packets_is_handled() -> None:
    """The stock server answers 200 and loses all packets of the body."""

    async def observe(stack: Stack) -> tuple[int, int]:
        async with client(stack, "polling") as polling:
            status, _ = await polling.post("\x1e".join(['42["x"]'] * 17).encode())
            return status, len(stack.events)

    assert await both(observe) == ((200, 0), (200, 17))


async def test_an_aborted_poll_loses_no_packet() -> None:
    """The stock server gives the next packet to the poll of the client that has disconnected."""

    async def observe(stack: Stack) -> list[str]:
        async with client(stack, "polling") as polling:
            poll = asyncio.ensure_future(polling.poll())
            await until(lambda: stack.connections == 1)
            await asyncio.sleep(0.05)  # the poll has arrived and waits
            poll.cancel()
            await until(lambda: stack.connections == 0)
            await stack.server.emit("first")
            await stack.server.emit("second")
            return (await polling.poll())[1]

    assert await both(observe) == (['42["second"]'], ['42["first"]', '42["second"]'])


BAD_BODIES = pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b'42["\xff"]', {}, id="not UTF-8"),
        pytest.param(b"garbage", {"Content-Encoding": "gzip"}, id="not gzip"),
        pytest.param(b"garbage", {"Content-Encoding": "deflate"}, id="not deflate"),
        pytest.param(b'd=42["x"]', {}, id="JSONP"),
    ],
)


@BAD_BODIES
async def test_an_unreadable_body_closes_the_session(
    caplog: pytest.LogCaptureFixture, body: bytes, headers: dict[str, str]
) -> None:
    """The stock server answers 200 and logs a traceback, or accepts a body of another protocol."""

    async def observe(stack: Stack) -> tuple[int, bool]:
        caplog.clear()
        async with client(stack, "polling") as polling:
            status, _ = await polling.post(body, headers=headers, compress=None)
            return status, polling.sid in stack.sockets

    assert await both(observe) == ((200, True), (400, False))
    (record,) = logged_problems(caplog)
    assert is_bounded(record)


async def test_a_compressed_body_is_decoded() -> None:
    """The stock server answers 200, but reads only as many bytes as the compressed body has."""

    async def observe(stack: Stack) -> str:
        async with client(stack, "polling") as polling:
            body = gzip.compress(f"42{json.dumps(['big', 'x' * 3000])}".encode())
            headers = {"Content-Encoding": "gzip"}
            status, _ = await polling.post(body, headers=headers, compress=None)
            return f"{status}: {len(stack.events)}"

    on_stock, on_ours = await both(observe)
    assert on_stock == "200: 0"
    assert on_ours == "200: 1"


async def test_a_body_that_does_not_arrive_closes_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The stock server waits without a bound, and keeps the session."""

    async def observe(stack: Stack) -> tuple[bool, bool]:
        caplog.clear()
        async with client(stack, "polling") as polling:
            reader, writer = await asyncio.open_connection(*stack.runner.addresses[0])
            path = f"/socket.io/?EIO=4&transport=polling&sid={polling.sid}"
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
            end = asyncio.ensure_future(reader.read())
            await asyncio.wait([end], timeout=CONNECT_TIMEOUT + WATCH_SECONDS)
            end.cancel()
            writer.close()
            return end.done() and not end.cancelled(), polling.sid in stack.sockets

    options = {"ours_options": {"connect_timeout": CONNECT_TIMEOUT}}
    assert await both(observe, **options) == ((False, True), (True, False))
    (record,) = logged_problems(caplog)
    assert is_bounded(record)


async def test_concurrent_polls_close_the_session(caplog: pytest.LogCaptureFixture) -> None:
    """The stock server lets fifty polls of one session wait at once."""

    async def observe(stack: Stack) -> tuple[int, bool]:
        caplog.clear()
        async with client(stack, "polling") as polling:
            polls = [asyncio.ensure_future(polling.poll()) for _ in range(50)]
            answered, waiting = await asyncio.wait(polls, timeout=2 * WATCH_SECONDS)
            for poll in waiting:
                poll.cancel()
            for poll in answered:
                poll.result()
            return len(answered), polling.sid in stack.sockets

    assert await both(observe) == ((0, True), (50, False))
    (record,) = logged_problems(caplog)
    assert is_bounded(record)


async def test_a_post_to_a_closed_session_gets_400() -> None:
    """The stock server raises a ``KeyError`` and answers 500."""

    async def observe(stack: Stack) -> tuple[int, int]:
        async with client(stack, "polling") as polling:
            first, _ = await polling.post(b"1")
            second, _ = await polling.post(b"3")
            return first, second

    assert await both(observe) == ((200, 500), (200, 400))


async def test_a_silent_client_is_closed_at_the_ping_timeout() -> None:
    """The stock server looks once in a ping timeout, so a session may live twice as long."""

    async def observe(stack: Stack) -> bool:
        reasons: list[str] = []
        stack.server.on("disconnect", lambda sid, reason: reasons.append(reason))
        async with client(stack, "polling"):
            loop = asyncio.get_running_loop()
            opened = loop.time()
            await until(lambda: reasons and not stack.sockets, "the session is closed", 10)
            assert reasons == ["ping timeout"]
            return loop.time() - opened < 0.1 + 2 * 1.0

    assert await both(observe, ping_interval=0.1, ping_timeout=1.0) == (False, True)
