"""WebSocket framing at the level of bytes, compared with RFC 6455."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.fuzz.budget import fuzz, ran, share
from tests.fuzz.client import Gone, WebSocketClient
from tests.fuzz.exchange import ANSWER_SECONDS, Replies, fence, unexpected_replies
from tests.fuzz.framing import cases, violating, violations
from tests.fuzz.oracle import Closed, Model
from tests.fuzz.rfc6455 import Reading, must_not_be_sent
from tests.fuzz.target import Target
from tests.fuzz.wire import BINARY, CLOSE, PING, PONG, TEXT, frame


def test_any_bytes_are_read_as_rfc_6455_says(target: Target) -> None:
    """The server reads any bytes, in any segments, like the literal reader of RFC 6455."""
    name = "frames"
    fuzz(name, share(19), cases, lambda batch: target.run(run(target, batch, name)))


@pytest.mark.parametrize("kind", violations)
def test_a_violation_of_rfc_6455_closes_with_its_code(target: Target, kind: str) -> None:
    """Forbidden bytes end the connection with the close code for them."""
    name = f"frames, {kind}"
    fuzz(name, share(1), violating(kind), lambda batch: target.run(run(target, batch, name)))


async def run(target: Target, batch: Sequence[tuple[bytes, list[int]]], name: str) -> None:
    """Send cases on one connection, or on a new one after it has ended."""
    client: WebSocketClient | None = None
    model = Model()
    for data, cuts in batch:
        ran[name] += 1
        if client is None:
            client, model = await WebSocketClient.open(target.port), Model()
        model.replies, model.optional = [], []
        if not await converse(client, model, data, cuts):
            await client.leave()
            client = None
    if client is not None:
        await client.leave()


class Received:
    """The messages and frames that the server has sent."""

    def __init__(self) -> None:
        self.replies = Replies()
        self.pongs: list[bytes] = []
        self.close: bytes | None = None

    async def read_frame(self, client: WebSocketClient) -> None:
        """Read the next frame.

        Raises:
            Gone: the connection is closed.
        """
        opcode, payload = await client.connection.frame()
        assert self.close is None, "a frame after the close"
        if opcode == PONG:
            self.pongs.append(payload)
        elif opcode == CLOSE:
            self.close = payload
        elif opcode == BINARY:
            self.replies.add([payload])
        else:
            assert (opcode, payload[:1]) == (TEXT, b"4"), (opcode, payload)
            self.replies.add([payload[1:].decode()])


async def converse(client: WebSocketClient, model: Model, data: bytes, cuts: Sequence[int]) -> bool:
    """Send bytes and check the answers; return whether the connection can be used again."""
    text, answer = fence()
    data += frame(0x81, text.encode())
    reading = Reading(data)
    pongs, closing = [], set(reading.failure)
    for opcode, payload in reading.events:
        try:
            if opcode == PING:
                pongs.append(payload)
            elif opcode == CLOSE:
                closing = {int.from_bytes(payload[:2] or b"\x03\xe8", "big"), 1000}
            elif opcode == TEXT:
                model.engine_text(payload.decode())
            else:
                model.engine_binary(payload)
        except Closed:  # Engine.IO or Socket.IO refuses it: any close code is allowed
            closing = set(range(1000, 5000))
            break
    received = Received()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.connection.send(data, cuts)
            while closing or not (
                len(received.replies.complete) >= len(model.replies)
                and len(received.pongs) >= len(pongs)
            ):
                await received.read_frame(client)
                assert not closing or answer not in received.replies.complete, "not closed"
        ended = received.close is not None
    except Gone:
        ended = True
    except TimeoutError:
        raise AssertionError(f"silent: {vars(received)}, {vars(reading)}") from None
    if model.uncertain:
        return False
    _check(received, model, pongs, closing | (reading.may_fail if ended else set()), ended=ended)
    return reading.whole and not ended


def _check(
    received: Received, model: Model, pongs: list[bytes], closing: set[int], *, ended: bool
) -> None:
    if ended:
        assert closing, "closed"
        assert received.close is not None, f"closed without a close frame, not with {closing}"
        code = int.from_bytes(received.close[:2] or b"\x03\xe8", "big")
        assert not must_not_be_sent(code), code
        assert code in closing, f"closed with {code}, not with {closing}"
    expected = pongs[: len(received.pongs)] if ended else pongs
    assert received.pongs == expected, f"pongs {received.pongs} for {pongs}"
    unexpected = unexpected_replies(received.replies.complete, model, complete=not ended)
    assert not unexpected, f"unexpected answers: {unexpected}"
