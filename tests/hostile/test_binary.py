"""Binary events: attachments that are announced, that are missing, or that replace text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hostile.clients import (
    BOTH_TRANSPORTS,
    assert_closed_with_one_log_line,
    client,
    logged_problems,
    outcome,
    outcomes,
)
from tests.hostile.stacks import Stack, both, stock, until


@BOTH_TRANSPORTS
async def test_too_many_announced_attachments_close_the_session(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """The stock server collects attachments without a bound if a packet announces many of them."""
    packets = ['459999999999-["x"]', *[bytes(1000)] * 100]
    async with stock() as stack, client(stack, transport) as hostile:
        for packet in packets:
            await hostile.send(packet)
        await until(lambda: stack.server._binary_packet)
        (packet,) = stack.server._binary_packet.values()
        await until(lambda: len(packet.attachments) == 100, "all attachments are kept")
    await assert_closed_with_one_log_line(caplog, transport, *packets)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("count", ["11", "\N{ARABIC-INDIC DIGIT TWO}", "", "-1", "01234"])
async def test_a_bad_number_of_attachments_closes_the_session(
    caplog: pytest.LogCaptureFixture, transport: str, count: str
) -> None:
    """At most ten are allowed, in ASCII digits; the stock server logs tracebacks for some."""
    await assert_closed_with_one_log_line(
        caplog, transport, f'45{count}-["x",{{"_placeholder":true,"num":0}}]'
    )


@BOTH_TRANSPORTS
@pytest.mark.parametrize("index", ["9", '"0"', "true"])
async def test_a_placeholder_must_name_an_attachment(
    caplog: pytest.LogCaptureFixture, transport: str, index: str
) -> None:
    """The stock server logs a traceback, and then loses all packets of the client."""
    packets = [f'451-["x",{{"_placeholder":true,"num":{index}}}]', b"a"]
    async with stock() as stack, client(stack, transport) as hostile:
        for packet in (*packets, '42["lost"]'):
            await hostile.send(packet)
        await until(lambda: sum(bool(record.exc_info) for record in logged_problems(caplog)) == 2)
        assert hostile.sid in stack.sockets
        assert stack.events == []
    await assert_closed_with_one_log_line(caplog, transport, *packets)


@BOTH_TRANSPORTS
async def test_a_negative_placeholder_closes_the_session(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """The stock server takes -1 for the last attachment."""
    packets = ['451-["x",{"_placeholder":true,"num":-1}]', b"a"]

    async def observe(stack: Stack) -> tuple[str, bool]:
        async with client(stack, transport) as hostile:
            return await outcome(stack, hostile, *packets), ["x", b"a"] in stack.events

    assert await both(observe) == (("open", True), ("closed", False))
    await assert_closed_with_one_log_line(caplog, transport, *packets)


@BOTH_TRANSPORTS
async def test_an_attachment_that_is_named_twice_closes_the_session(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """The stock server delivers an event that is two hundred times as large as the received one."""
    places = ",".join(['{"_placeholder":true,"num":0}'] * 200)
    packets = [f'451-["x",{places}]', bytes(1000)]

    async def observe(stack: Stack) -> tuple[str, int]:
        async with client(stack, transport) as hostile:
            result = await outcome(stack, hostile, *packets)
            return result, sum(len(part) for event in stack.events for part in event[1:])

    assert await both(observe) == (("open", 200_000), ("closed", 0))
    await assert_closed_with_one_log_line(caplog, transport, *packets)


@BOTH_TRANSPORTS
async def test_text_instead_of_an_attachment_closes_the_session(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """The stock server takes the next message for the attachment, whatever its type."""
    packets = ['451-["x",{"_placeholder":true,"num":0}]', "4text"]

    async def observe(stack: Stack) -> tuple[str, list[Any]]:
        async with client(stack, transport) as hostile:
            result = await outcome(stack, hostile, *packets)
            return result, [event for event in stack.events if event[0] == "x"]

    assert await both(observe) == (("open", [["x", "text"]]), ("closed", []))
    await assert_closed_with_one_log_line(caplog, transport, *packets)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("attachment", [b"stray", b""])
async def test_an_attachment_without_an_announcement_closes_the_session(
    caplog: pytest.LogCaptureFixture, transport: str, attachment: bytes
) -> None:
    """The stock server ignores it and logs a traceback."""
    assert await outcomes(transport, attachment) == ("open", "closed")
    assert any(record.exc_info for record in logged_problems(caplog))
    await assert_closed_with_one_log_line(caplog, transport, attachment)


async def test_a_binary_event_reaches_clients_of_both_transports() -> None:
    """The stock server encodes it for the first transport, and the other's poll fails with 500."""

    async def observe(stack: Stack) -> tuple[bytes | str, int, list[str]]:
        async with client(stack, "websocket") as socket, client(stack, "polling") as polling:
            await stack.server.emit("x", b"bytes")
            await socket.receive("45")
            attachment = await socket.next()
            status, packets = await polling.poll()
            return attachment, status, packets[1:]

    assert await both(observe) == ((b"bytes", 500, []), (b"bytes", 200, ["bYnl0ZXM="]))
