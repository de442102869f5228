"""Binary events: attachments that are promised, that are missing, that come instead of text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hostile.clients import BOTH_TRANSPORTS, breaks_off, client, fate, fates, trouble
from tests.hostile.stacks import Stack, both, stock, until


@BOTH_TRANSPORTS
async def test_attachments_do_not_pile_up(caplog: pytest.LogCaptureFixture, transport: str) -> None:
    """Stock keeps attachments without end for a packet that announces ten digits of them."""
    packets = ['459999999999-["x"]', *[bytes(1000)] * 100]
    async with stock() as stack, client(stack, transport) as hostile:
        for packet in packets:
            await hostile.send(packet)
        await until(lambda: stack.server._binary_packet)
        (packet,) = stack.server._binary_packet.values()
        await until(lambda: len(packet.attachments) == 100, "all attachments are kept")
    await breaks_off(caplog, transport, *packets)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("count", ["11", "\N{ARABIC-INDIC DIGIT TWO}", "", "-1", "01234"])
async def test_the_number_of_attachments_is_bounded(
    caplog: pytest.LogCaptureFixture, transport: str, count: str
) -> None:
    """Take ten at most, counted in our own digits; stock refuses some of these with a traceback."""
    await breaks_off(caplog, transport, f'45{count}-["x",{{"_placeholder":true,"num":0}}]')


@BOTH_TRANSPORTS
@pytest.mark.parametrize("index", ["9", '"0"', "true"])
async def test_a_placeholder_must_name_an_attachment(
    caplog: pytest.LogCaptureFixture, transport: str, index: str
) -> None:
    """Stock logs a traceback, keeps the packet, and loses all that the client sends from then."""
    packets = [f'451-["x",{{"_placeholder":true,"num":{index}}}]', b"a"]
    async with stock() as stack, client(stack, transport) as hostile:
        for packet in (*packets, '42["lost"]'):
            await hostile.send(packet)
        await until(lambda: sum(bool(record.exc_info) for record in trouble(caplog)) == 2)
        assert hostile.sid in stack.sockets
        assert stack.events == []
    await breaks_off(caplog, transport, *packets)


@BOTH_TRANSPORTS
async def test_a_placeholder_does_not_count_from_the_end(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """Stock takes -1 for the last attachment."""
    packets = ['451-["x",{"_placeholder":true,"num":-1}]', b"a"]

    async def observe(stack: Stack) -> tuple[str, bool]:
        async with client(stack, transport) as hostile:
            return await fate(stack, hostile, *packets), ["x", b"a"] in stack.events

    assert await both(observe) == (("open", True), ("closed", False))
    await breaks_off(caplog, transport, *packets)


@BOTH_TRANSPORTS
async def test_an_attachment_is_named_once(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """Stock hands on an event two hundred times as large as it came."""
    places = ",".join(['{"_placeholder":true,"num":0}'] * 200)
    packets = [f'451-["x",{places}]', bytes(1000)]

    async def observe(stack: Stack) -> tuple[str, int]:
        async with client(stack, transport) as hostile:
            what = await fate(stack, hostile, *packets)
            return what, sum(len(part) for event in stack.events for part in event[1:])

    assert await both(observe) == (("open", 200_000), ("closed", 0))
    await breaks_off(caplog, transport, *packets)


@BOTH_TRANSPORTS
async def test_text_is_no_attachment(caplog: pytest.LogCaptureFixture, transport: str) -> None:
    """Stock takes the next message for the attachment, whatever it is."""
    packets = ['451-["x",{"_placeholder":true,"num":0}]', "4text"]

    async def observe(stack: Stack) -> tuple[str, list[Any]]:
        async with client(stack, transport) as hostile:
            what = await fate(stack, hostile, *packets)
            return what, [event for event in stack.events if event[0] == "x"]

    assert await both(observe) == (("open", [["x", "text"]]), ("closed", []))
    await breaks_off(caplog, transport, *packets)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("attachment", [b"stray", b""])
async def test_an_attachment_that_nothing_announced_closes(
    caplog: pytest.LogCaptureFixture, transport: str, attachment: bytes
) -> None:
    """Stock ignores it, with a traceback."""
    assert await fates(transport, attachment) == ("open", "closed")
    assert any(record.exc_info for record in trouble(caplog))
    await breaks_off(caplog, transport, attachment)


async def test_one_binary_event_reaches_both_transports() -> None:
    """Stock encodes it once, as the first transport wants it: the other's poll fails with 500."""

    async def observe(stack: Stack) -> tuple[bytes | str, int, list[str]]:
        async with client(stack, "websocket") as socket, client(stack, "polling") as polling:
            await stack.server.emit("x", b"bytes")
            await socket.receive("45")
            attachment = await socket.next()
            status, packets = await polling.poll()
            return attachment, status, packets[1:]

    assert await both(observe) == ((b"bytes", 500, []), (b"bytes", 200, ["bYnl0ZXM="]))
