"""Packets that no well-behaved client sends, and what the server then is left with."""

from __future__ import annotations

import pytest

from sio_server.engine import UNDECODABLE
from tests.hostile.clients import BOTH_TRANSPORTS, breaks_off, client, fate, fates, trouble
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
async def test_what_is_no_engine_io_packet_closes(
    caplog: pytest.LogCaptureFixture, packet: str, websocket: str, polling: str
) -> None:
    """Stock keeps the session: without a connection until a ping times out, or as if unhurt."""
    for transport, kept in (("websocket", websocket), ("polling", polling)):
        assert await fates(transport, packet) == (kept, "closed")
        await breaks_off(caplog, transport, packet)


@BOTH_TRANSPORTS
async def test_digits_of_other_scripts_are_no_packet_types(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """Stock takes whatever Unicode calls a digit for a packet's type."""
    packet = '\N{ARABIC-INDIC DIGIT FOUR}\N{ARABIC-INDIC DIGIT TWO}["x"]'

    async def observe(stack: Stack) -> tuple[str, bool]:
        async with client(stack, transport) as hostile:
            return await fate(stack, hostile, packet), ["x"] in stack.events

    assert await both(observe) == (("open", True), ("closed", False))
    await breaks_off(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("packet", ["7", "42[]", "49", "430{}", '42{"0":"x"}', "44{}", "42x"])
async def test_what_is_no_socket_io_packet_closes(
    caplog: pytest.LogCaptureFixture, transport: str, packet: str
) -> None:
    """Stock lets the client go on."""
    assert await fates(transport, packet) == ("open", "closed")
    await breaks_off(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("packet", ["7", "42[]", "49"])
async def test_each_malformed_packet_does_not_cost_a_traceback(
    caplog: pytest.LogCaptureFixture, transport: str, packet: str
) -> None:
    """Stock logs a traceback for each one, as many as the client likes."""
    async with stock() as stack, client(stack, transport) as hostile:
        assert await fate(stack, hostile, *[packet] * 5) == "open"
    assert sum(record.exc_info is not None for record in trouble(caplog)) == 5
    await breaks_off(caplog, transport, *[packet] * 5)


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    ("packet", "arguments"),
    [
        ('42["connect",{"forged":1},{"token":"x"}]', [{"forged": 1}, {"token": "x"}]),
        ('427["connect",{"forged":1},{"token":"x"}]', [{"forged": 1}, {"token": "x"}]),
        ('42["disconnect","forged"]', ["forged"]),
    ],
)
async def test_a_client_does_not_run_the_server_s_own_handlers(
    caplog: pytest.LogCaptureFixture, transport: str, packet: str, arguments: list[object]
) -> None:
    """Stock calls the handler for connects, or disconnects, with what the client made up."""

    async def observe(stack: Stack) -> tuple[str, bool]:
        calls = []
        stack.server.on("connect", lambda sid, *given: calls.append(given))
        stack.server.on("disconnect", lambda sid, *given: calls.append(given))
        async with client(stack, transport) as hostile:
            return await fate(stack, hostile, packet), tuple(arguments) in calls

    assert await both(observe) == (("open", True), ("closed", False))
    await breaks_off(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("name", ["connect_error", "disconnecting", "newListener"])
async def test_all_that_the_protocol_reserves_is_refused(
    caplog: pytest.LogCaptureFixture, transport: str, name: str
) -> None:
    """Stock hands on the reserved event names that it has no use for itself."""
    packet = f'42["{name}"]'
    assert await fates(transport, packet) == ("open", "closed")
    await breaks_off(caplog, transport, packet)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("number", ["NaN", "-Infinity", "Infinity", "1e999", "-1e999"])
async def test_numbers_that_are_not_json_do_not_reach_a_handler(
    transport: str, number: str
) -> None:
    """Stock hands on numbers that it would send out as what no other JSON parser takes."""

    async def observe(stack: Stack) -> type:
        async with client(stack, transport) as hostile:
            assert await fate(stack, hostile, f'42["x",{{"a":[{number}]}}]') == "open"
            ((_, argument),) = [event for event in stack.events if event[0] == "x"]
            return type(argument)

    assert await both(observe) == (dict, type(UNDECODABLE))


@BOTH_TRANSPORTS
async def test_a_deeply_nested_event_is_an_event(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """Stock logs a traceback and never answers; a handler of ours is told what came."""
    packet = '42["x",' + "[" * 5000 + "]" * 5000 + "]"

    async def observe(stack: Stack) -> tuple[list[object], bool]:
        caplog.clear()
        async with client(stack, transport) as hostile:
            assert await fate(stack, hostile, packet) == "open"
            await until(lambda: ["fence"] in stack.events)
        return stack.events, any(record.exc_info for record in trouble(caplog))

    assert await both(observe) == (
        ([["fence"]], True),
        ([["x", UNDECODABLE], ["fence"]], False),
    )


@BOTH_TRANSPORTS
async def test_an_acknowledgement_of_nothing_spoils_nothing(transport: str) -> None:
    """Stock lets a client acknowledge id 0, its own counter: no later event can be acknowledged."""

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
    """Stock hands them on from an acknowledgement as well."""

    async def observe(stack: Stack) -> bool:
        answers: list[object] = []
        async with client(stack, transport) as hostile:
            await stack.server.emit("question", callback=lambda *given: answers.extend(given))
            question = await hostile.receive("42")
            ack_id = question.removeprefix("42").partition("[")[0]
            await fate(stack, hostile, f"43{ack_id}[{number}]")
            return any(isinstance(answer, float) for answer in answers)

    assert await both(observe) == (True, False)
