"""WebSocket framing at the level of bytes, held to RFC 6455."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.fuzz.budget import fuzz, ran, share
from tests.fuzz.client import Gone, WebSocketClient
from tests.fuzz.exchange import ANSWER_SECONDS, Replies, fence, is_among
from tests.fuzz.framing import cases, violating, violations
from tests.fuzz.oracle import Closed, Model
from tests.fuzz.rfc6455 import Reading, must_not_be_sent
from tests.fuzz.target import Target
from tests.fuzz.wire import BINARY, CLOSE, PING, PONG, TEXT, frame


def test_frames(target: Target) -> None:
    """Whatever bytes come, in whatever segments, are read as RFC 6455 has them."""
    name = "frames"
    fuzz(name, share(19), cases, lambda batch: target.run(run(target, batch, name)))


@pytest.mark.parametrize("kind", violations)
def test_violation(target: Target, kind: str) -> None:
    """What RFC 6455 forbids ends the connection, with the code for it."""
    name = f"frames, {kind}"
    fuzz(name, share(1), violating(kind), lambda batch: target.run(run(target, batch, name)))


async def run(target: Target, batch: Sequence[tuple[bytes, list[int]]], name: str) -> None:
    """Send cases, on one connection as long as it lasts."""
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


class Heard:
    """What the server has sent."""

    def __init__(self) -> None:
        self.replies = Replies()
        self.pongs: list[bytes] = []
        self.close: bytes | None = None

    async def listen(self, client: WebSocketClient) -> None:
        """Take the next frame.

        Raises:
            Gone: there is none.
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
    """Send bytes and check what comes back; return whether the connection can go on."""
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
        except Closed:  # of Engine.IO's or Socket.IO's making: any code will do
            closing = set(range(1000, 5000))
            break
    heard = Heard()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.connection.send(data, cuts)
            while closing or not (
                len(heard.replies.complete) >= len(model.replies) and len(heard.pongs) >= len(pongs)
            ):
                await heard.listen(client)
                assert not closing or answer not in heard.replies.complete, "not closed"
        ended = heard.close is not None
    except Gone:
        ended = True
    except TimeoutError:
        raise AssertionError(f"silent: {vars(heard)}, {vars(reading)}") from None
    if model.doubtful:
        return False
    _check(heard, model, pongs, closing | (reading.may_fail if ended else set()), ended=ended)
    return reading.whole and not ended


def _check(
    heard: Heard, model: Model, pongs: list[bytes], closing: set[int], *, ended: bool
) -> None:
    if ended:
        assert closing, "closed"
        assert heard.close is not None, f"closed without a close frame, not with {closing}"
        code = int.from_bytes(heard.close[:2] or b"\x03\xe8", "big")
        assert not must_not_be_sent(code), code
        assert code in closing, f"closed with {code}, not with {closing}"
    expected = pongs[: len(heard.pongs)] if ended else pongs
    assert heard.pongs == expected, f"pongs {heard.pongs} for {pongs}"
    unexpected = is_among(heard.replies.complete, model, all_of_them=not ended)
    assert not unexpected, f"answers to nothing: {unexpected}"
