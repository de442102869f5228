"""Engine.IO: one poll and one POST at a time, and bounded bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sio_server.engine.engineio.polling import QUEUED_FRAME_BYTES
from tests.conformance import engineio
from tests.conformance.clients import TIMEOUT, Polling, polling, wait_until_handled
from tests.conformance.serve import served


async def assert_is_over(client: Polling) -> None:
    """Check that the session is unknown."""
    assert (await client.get())[0] == 400
    assert (await client.post("4hello"))[0] == 400


async def test_two_polls_at_once_end_the_session(eio_url: str, eio: Any) -> None:
    """The second gets 400, and the first ends with a CLOSE packet."""
    async with polling(eio_url) as client:
        answers = await asyncio.gather(client.get(), client.get())
        assert sorted(status for status, _ in answers) == [200, 400]
        assert (200, "1") in answers
        await assert_is_over(client)
    assert not eio.sockets


async def test_a_poll_may_follow_an_aborted_poll(eio_url: str) -> None:
    """No packet is lost."""
    async with polling(eio_url) as client:
        poll = asyncio.ensure_future(client.get())
        await wait_until_handled(eio_url)
        poll.cancel()
        await asyncio.wait([poll])
        await wait_until_handled(eio_url)
        await client.send("4one")
        assert await client.get() == (200, "4one")


class Upload:
    """A POST that is sent by hand, in parts."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Send a part of the body."""
        self._writer.write(data)

    async def status(self) -> int:
        """Return the status of the response."""
        return int((await self._reader.readuntil(b"\r\n\r\n")).split()[1])


@asynccontextmanager
async def upload(client: Polling, length: int) -> AsyncIterator[Upload]:
    """Send the head of a POST; the body follows."""
    host, port = client.url.split("/")[2].split(":")
    query = "&".join(f"{name}={value}" for name, value in client.query.items())
    reader, writer = await asyncio.open_connection(host, port)
    sent = Upload(reader, writer)
    sent.send(
        f"POST /engine.io/?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            yield sent
    finally:
        writer.close()


async def test_two_posts_at_once_end_the_session(eio_url: str, eio: Any) -> None:
    """The POST that arrives during another gets 400."""
    async with polling(eio_url) as client:
        async with upload(client, 6) as first, upload(client, 6) as second:
            first.send(b"4on")
            second.send(b"4tw")
            statuses = [asyncio.ensure_future(post.status()) for post in (first, second)]
            done, _ = await asyncio.wait(statuses, return_when=asyncio.FIRST_COMPLETED)
            assert {status.result() for status in done} == {400}
            first.send(b"e..")
            second.send(b"o..")
            await asyncio.wait(statuses)
        await assert_is_over(client)
    assert not eio.sockets


async def test_a_poll_and_a_post_may_run_at_once(eio_url: str) -> None:
    """A client receives and sends at the same time."""
    async with polling(eio_url) as client:
        for number in range(20):
            poll, post = await asyncio.gather(client.get(), client.post(f"4{number}"))
            assert (poll, post) == ((200, f"4{number}"), (200, "ok"))


async def test_successive_posts_keep_their_order(eio_url: str) -> None:
    """They need no poll between them."""
    async with polling(eio_url) as client:
        for number in range(20):
            assert await client.post(f"4{number}") == (200, "ok")
        assert [await client.receive() for _ in range(20)] == [f"4{n}" for n in range(20)]


@pytest.mark.parametrize("in_pieces", [False, True], ids=["with a length", "in pieces"])
@pytest.mark.parametrize("over", [0, 1])
async def test_a_body_over_the_announced_bound_gets_413(over: int, in_pieces: bool) -> None:
    """A body of exactly the bound is accepted."""
    async with (
        served(engineio.make_server(max_payload_bytes=1000), engineio.PATH) as url,
        polling(url) as client,
    ):
        body = ("4" + "é" * 499 + "x" * (1 + over)).encode()

        async def pieces() -> AsyncIterator[bytes]:
            yield body[:500]
            yield body[500:]

        status, _ = await client.request("POST", data=pieces() if in_pieces else body)
        assert status == (413 if over else 200)
        if not over:
            assert await client.receive() == body.decode()


async def test_a_poll_returns_all_queued_packets(eio_url: str) -> None:
    """They include a ping."""
    server = engineio.make_server(ping_interval=0.05, ping_timeout=TIMEOUT)
    async with served(server, engineio.PATH) as url, polling(url) as client:
        await client.send("4first")
        session = server.sockets[client.query["sid"]]
        async with asyncio.timeout(TIMEOUT):
            while session.unacknowledged_bytes() < 2 * QUEUED_FRAME_BYTES:
                await wait_until_handled(eio_url)
        assert await client.get() == (200, "4first\x1e2")
