"""Packets that no well-behaved client sends, and the server's state after them."""

from __future__ import annotations

import pytest

from sio_server.engine import UNDECODABLE
from tests.hostile.clients import (
    BOTH_TRANSPORTS,
    assert_closed_with_one_log_line,
    client,
    logged_problems,
    outcome,
    outcomes,
)
from tests.hostile.stacks import Stack, both, stock, until


@pytest.mark.parametrize(
    ("packet", "websocket", "polling"),
    [
        pytest.param("x", "zombie", "open", id="unknown type"),
        pytest.param("", "zombie", "open", id="empty"),
        pytest.param("4" + "[" * 3000, "zombie", "open", id="nested"),
        pytest.param("b%%%", "open", "open", id="base64"),
    ],
)
async def test_an_invalid_engine_io_packet_closes_the_session(
    caplog: pytest.LogCaptureFixture, packet: str, websocket: str, polling: str
) -> None:
    """The stock server keeps the session, but over WebSocket without its connection."""
    for transport, stock_outcome in (("websocket", websocket), ("polling", polling)):
        assert await outcomes(transport, packet) == (stock_outcome, "closed")
        await assert_closed_with_one_log_line(caplog, transport, packet)


@BOTH_TRANSPORTS
async def test_a_packet_type_in_digits_of_another_script_closes_the_session(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """The stock server accepts every Unicode digit as a packet type."""
    packet = '\N{ARABIC-INDIC DIGIT FOUR}\N{ARABIC-INDIC DIGIT TWO}["x"]'

    async def observe(stack: Stack) -> tuple[str, bool]:
        async with client(stack, transport) as hostile:
            return await outcome(stack, hostile, packet), ["x"] in stack.events

    assert await both(observe) == (("open", True), ("closed", False))
    await assert_closed_with_one_log_line(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("packet", ["7", "42[]", "49", "430{}", '42{"0":"x"}', "44{}", "42x"])
async def test_an_invalid_socket_io_packet_closes_the_session(
    caplog: pytest.LogCaptureFixture, transport: str, packet: str
) -> None:
    """The stock server keeps the session."""
    assert await outcomes(transport, packet) == ("open", "closed")
    await assert_closed_with_one_log_line(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("packet", ["7", "42[]", "49"])
async def test_malformed_packets_log_no_traceback(
    caplog: pytest.LogCaptureFixture, transport: str, packet: str
) -> None:
    """The stock server logs a traceback for each of them."""
    async with stock() as stack, client(stack, transport) as hostile:
        assert await outcome(stack, hostile, *[packet] * 5) == "open"
    assert sum(record.exc_info is not None for record in logged_problems(caplog)) == 5
    await assert_closed_with_one_log_line(caplog, transport, *[packet] * 5)


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    ("packet", "arguments"),
    [
        ('42["connect",{"forged":1},{"token":"x"}]', [{"forged": 1}, {"token": "x"}]),
        ('427["connect",{"forged":1},{"token":"x"}]', [{"forged": 1}, {"token": "x"}]),
        ('42["disconnect","forged"]', ["forged"]),
    ],
)
async def test_a_client_cannot_call_the_connect_and_disconnect_handlers(
    caplog: pytest.LogCaptureFixture, transport: str, packet: str, arguments: list[object]
) -> None:
    """The stock server calls them with the client's arguments."""

    async def observe(stack: Stack) -> tuple[str, bool]:
        calls = []
        stack.server.on("connect", lambda sid, *given: calls.append(given))
        stack.server.on("disconnect", lambda sid, *given: calls.append(given))
        async with client(stack, transport) as hostile:
            return await outcome(stack, hostile, packet), tuple(arguments) in calls

    assert await both(observe) == (("open", True), ("closed", False))
    await assert_closed_with_one_log_line(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("name", ["connect_error", "disconnecting", "newListener"])
async def test_all_reserved_event_names_close_the_session(
    caplog: pytest.LogCaptureFixture, transport: str, name: str
) -> None:
    """The stock server delivers the reserved names that it does not use itself."""
    packet = f'42["{name}"]'
    assert await outcomes(transport, packet) == ("open", "closed")
    await assert_closed_with_one_log_line(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("number", ["NaN", "-Infinity", "Infinity", "1e999", "-1e999"])
async def test_numbers_that_are_not_json_do_not_reach_a_handler(
    transport: str, number: str
) -> None:
    """The stock server delivers numbers that no other JSON parser accepts."""

    async def observe(stack: Stack) -> type:
        async with client(stack, transport) as hostile:
            assert await outcome(stack, hostile, f'42["x",{{"a":[{number}]}}]') == "open"
            ((_, argument),) = [event for event in stack.events if event[0] == "x"]
            return type(argument)

    assert await both(observe) == (dict, type(UNDECODABLE))


@BOTH_TRANSPORTS
async def test_a_deeply_nested_event_reaches_its_handler_without_arguments(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """The stock server logs a traceback and never answers."""
    packet = '42["x",' + "[" * 5000 + "]" * 5000 + "]"

    async def observe(stack: Stack) -> tuple[list[object], bool]:
        caplog.clear()
        async with client(stack, transport) as hostile:
            assert await outcome(stack, hostile, packet) == "open"
            await until(lambda: ["fence"] in stack.events)
        return stack.events, any(record.exc_info for record in logged_problems(caplog))

    assert await both(observe) == (
        ([["fence"]], True),
        ([["x", UNDECODABLE], ["fence"]], False),
    )


@BOTH_TRANSPORTS
async def test_an_acknowledgement_with_id_0_breaks_no_later_one(transport: str) -> None:
    """The stock server stores its id counter there, and then can send no event with a callback."""

    async def observe(stack: Stack) -> str:
        answers: list[int] = []
        async with client(stack, transport) as hostile:
            for number in range(2):
                try:
                    await stack.server.emit("question", callback=answers.append)
                except KeyError:
                    return "broken"
                question = await hostile.receive("42")
                ack_id = question.removeprefix("42").partition("[")[0]
                await hostile.send(f"43{ack_id}[{number}]")
                await hostile.send("430[]")
                await hostile.send('42["sent"]')
                await until(lambda: ["sent"] in stack.events)
                stack.events.clear()
            return f"answers {answers}"

    assert await both(observe) == ("broken", "answers [0, 1]")


@BOTH_TRANSPORTS
@pytest.mark.parametrize("number", ["NaN", "1e999"])
async def test_numbers_that_are_not_json_do_not_reach_a_callback(
    transport: str, number: str
) -> None:
    """The stock server also delivers them from an acknowledgement."""

    async def observe(stack: Stack) -> bool:
        answers: list[object] = []
        async with client(stack, transport) as hostile:
            await stack.server.emit("question", callback=lambda *given: answers.extend(given))
            question = await hostile.receive("42")
            ack_id = question.removeprefix("42").partition("[")[0]
            await outcome(stack, hostile, f"43{ack_id}[{number}]")
            return any(isinstance(answer, float) for answer in answers)

    assert await both(observe) == (True, False)
