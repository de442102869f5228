"""Sends cases over a connection, and compares the answers with those of the oracle."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any

from tests.fuzz.budget import ran
from tests.fuzz.client import Gone, PollingClient, WebSocketClient
from tests.fuzz.oracle import EITHER, SOCKET_PACKET, Closed, Model, Reply, restore
from tests.fuzz.target import Target
from tests.fuzz.wire import Packet, payload

ANSWER_SECONDS = 5
_KINDS = {"0": "connect", "2": "event", "3": "ack", "4": "refused", "5": "event", "6": "ack"}
_fences = itertools.count()


def fence() -> tuple[str, Reply]:
    """Return a packet that is always answered if the session lives, and its answer.

    It connects to a namespace that does not exist. The answer shows that the server has read all
    earlier packets.
    """
    namespace = f"/fence{next(_fences)}"
    return f"40{namespace},", ("refused", namespace, None, None)


class Replies:
    """The replies to a client, with attachments in their places."""

    def __init__(self) -> None:
        self.complete: list[Reply] = []
        self._partial: tuple[int, Reply] | None = None
        self._attachments: list[bytes] = []

    def add(self, packets: Sequence[Packet]) -> None:
        """Add Socket.IO packets and attachments."""
        for packet in packets:
            if isinstance(packet, bytes):
                assert self._partial is not None, "an attachment without a packet"
                self._attachments.append(packet)
                count, reply = self._partial
                if len(self._attachments) == count:
                    value = restore(reply[3], self._attachments)
                    self.complete.append((*reply[:3], value))
                    self._partial, self._attachments = None, []
                continue
            assert self._partial is None, "text instead of an attachment"
            match = SOCKET_PACKET.fullmatch(packet)
            kind = match and (match["kind"] or match["binary"])
            if kind == "4":
                kind, _, rest = "4", *packet.partition("/")[1:]
                namespace, _, text = ("/" + rest).partition(",")
                match_id, count = "", 0
            else:
                assert match is not None, packet
                namespace, text, match_id = match["namespace"] or "/", match["data"], match["id"]
                count = int(match["count"] or 0)
            value = None if kind in ("0", "4") else json.loads(text)
            reply = (_KINDS[str(kind)], namespace, int(match_id) if match_id else None, value)
            if count:
                self._partial = (count, reply)
            else:
                self.complete.append(reply)


async def exchange(
    target: Target,
    transport: type[WebSocketClient | PollingClient],
    batch: Sequence[Sequence[Packet]],
    name: str,
) -> None:
    """Send cases, which are lists of Engine.IO packets, and check the answers.

    Cases share a connection until one of them ends it.
    """
    client: WebSocketClient | PollingClient | None = None
    model = Model()
    for case in batch:
        ran[name] += 1
        if client is None:
            client, model = await transport.open(target.port), Model()
        last, answer = fence()
        packets = [*case, last]
        model.replies, model.optional = [], []
        try:
            if isinstance(client, PollingClient):
                model.body(payload(packets))
            else:
                for packet in packets:
                    if isinstance(packet, bytes):
                        model.engine_binary(packet)
                    else:
                        model.engine_text(packet)
            closes = False
        except Closed:
            closes = True
        ended = await converse(client, client.send(packets), model, answer, closes=closes)
        if ended or model.uncertain:
            await client.leave()
            client = None
    if client is not None:
        await client.leave()


async def converse(
    client: WebSocketClient | PollingClient,
    sending: Any,
    model: Model,
    last: Reply,
    *,
    closes: bool,
) -> bool:
    """Send, and receive until the fence is answered or the session has ended.

    Args:
        client: the client that receives.
        sending: an awaitable that sends.
        model: a model with the expected replies.
        last: the answer to the fence.
        closes: whether the server has to end the session.

    Returns:
        Whether the session has ended.
    """
    replies = Replies()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await sending
            while last not in replies.complete or len(replies.complete) < len(model.replies):
                replies.add(await client.receive())
                if model.uncertain and last in replies.complete:
                    return False
        ended = False
    except Gone:
        ended = True
    if model.uncertain:
        return ended
    assert ended == closes, "closed" if ended else f"not closed: {replies.complete}"
    unexpected = unexpected_replies(replies.complete, model, complete=not ended)
    assert not unexpected, f"unexpected answers: {unexpected}"
    return ended


def unexpected_replies(replies: list[Reply], model: Model, *, complete: bool) -> list[Reply]:
    """Return the replies that the model does not expect.

    Args:
        replies: the replies that a client got.
        model: the model with the expected replies.
        complete: fail if an expected reply is missing.
    """
    unexpected = list(replies)
    for reply in model.replies + model.optional:
        found = next((one for one in unexpected if _same(one, reply)), None)
        if found is not None:
            unexpected.remove(found)
        else:
            missed = complete and reply not in model.optional
            assert not missed, f"no answer {reply}, but {unexpected}"
    return unexpected


def _same(one: Reply, other: Reply) -> bool:
    return all(a == b or b is EITHER for a, b in zip(one, other, strict=True))
