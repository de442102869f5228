"""Polling bodies: joined, damaged and encoded packets, in chunks and segments of any size."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz.budget import fuzz, ran, share
from tests.fuzz.client import PollingClient
from tests.fuzz.exchange import converse, fence
from tests.fuzz.httpcases import Body, body_batches
from tests.fuzz.oracle import Closed, Model
from tests.fuzz.target import MAX_PAYLOAD, Target


def test_valid_bodies_are_answered_and_invalid_ones_end_the_session(target: Target) -> None:
    """The server answers each packet of a valid body. Any other body ends the session."""
    name = "polling bodies"
    fuzz(name, share(15), body_batches, lambda batch: target.run(run(target, batch, name)))


async def run(target: Target, batch: Sequence[Body], name: str) -> None:
    """Send bodies in one session, or in a new one after it has ended."""
    client: PollingClient | None = None
    model = Model()
    for body in batch:
        ran[name] += 1
        if client is None:
            client, model = await PollingClient.open(target.port), Model()
        model.replies, model.optional = [], []
        text, answer = fence()
        try:
            whole = body.whole(text)
            if len(whole) > MAX_PAYLOAD or (body.broken and body.encoding == "deflate"):
                raise Closed
            if (
                body.broken and body.encoding != "gzip"
            ):  # aiohttp does not notice a missing end of gzip
                whole = whole[: -body.broken]  # only the end of the fence is missing
                answer = ("refused", last_namespace(whole), None, None)
            model.body(whole)
            closes = False
        except Closed:
            closes = True
        sending = send(client, body, text)
        ended = await converse(client, sending, model, answer, closes=closes)
        if ended or model.uncertain:
            await client.leave()
            client = None
    if client is not None:
        await client.leave()


def last_namespace(body: bytes) -> str:
    """Return the namespace at the end of a body."""
    return "/" + body.rpartition(b"/")[2].decode(errors="replace").rstrip(",")


async def send(client: PollingClient, body: Body, text: str) -> None:
    """Send one body and read the answer."""
    await client.connection.send(body.request(client.target, text), body.cuts)
    await client.read_answer()
