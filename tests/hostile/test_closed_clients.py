"""Clients that break the protocol leave one log line behind, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from sio_server.engine import EngineSession
from sio_server.net.deadlines import Deadlines
from tests.hostile.clients import (
    BOTH_TRANSPORTS,
    Client,
    client,
    is_bounded,
    logged_problems,
    outcome,
)
from tests.hostile.stacks import TIMEOUT, WATCH_SECONDS, Stack, ours, until
from tests.support.raw import Closed

LIBRARIES = ("sio_server", "socketio", "engineio", "aiohttp")

ROUNDS = 4

BROKEN: list[list[str | bytes]] = [
    ["x"],
    [""],
    ["b%%%"],
    ["0{}"],
    ["4"],
    ["47"],
    ["4" + "[" * 3000],
    ["42[]"],
    ["40"],
    ["40/x,", "42/x,[1]"],
    ['42["connect",{},{}]'],
    ['4599-["x"]'],
    ['453-["x",{"_placeholder":true,"num":0}]', b"a", "4text"],
    ['451-["x",{"_placeholder":true,"num":9}]', b"a"],
    [b"stray"],
]


@BOTH_TRANSPORTS
async def test_each_address_gets_one_log_line(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """A second error of an address is not logged, but another address gets its own line."""
    async with ours() as stack:
        for _ in range(3):
            for address in ("127.0.0.1", "127.0.0.2"):
                async with client(stack, transport, address=address) as hostile:
                    assert await outcome(stack, hostile, "x") == "closed"
    lines = logged_problems(caplog)
    assert all(map(is_bounded, lines))
    assert len(lines) == 2
    assert ["address=127.0.0.2" in line.getMessage() for line in lines] == [False, True]


@BOTH_TRANSPORTS
async def test_a_failing_handler_does_not_close_its_client(
    caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """The error is logged with its traceback."""

    def fail(sid: str) -> None:
        raise ValueError("of its own")

    async with ours() as stack:
        stack.server.on("fail", fail)
        async with client(stack, transport) as healthy:
            assert await outcome(stack, healthy, '42["fail"]') == "open"
            await until(lambda: logged_problems(caplog))
    assert all(record.exc_info for record in logged_problems(caplog))


def live_objects() -> Counter[str]:
    """Count the live objects of the libraries' types and of ours."""
    gc.collect()
    return Counter(
        type(each).__qualname__
        for each in gc.get_objects()
        if str(type(each).__module__).partition(".")[0] in LIBRARIES
    )


def instances(kind: type, others: Sequence[Any] = ()) -> list[Any]:
    """Return the live instances of a class, except these.

    ``isinstance`` would evaluate lazy objects.
    """
    gc.collect()
    return [
        each
        for each in gc.get_objects()
        if issubclass(type(each), kind) and all(each is not other for other in others)
    ]


async def leave(leaving: Client, transport: str) -> None:
    """End a polling session, which has no connection to lose."""
    if transport == "polling":
        with contextlib.suppress(Closed):
            await leaving.send("1")


async def break_all(stack: Stack, transport: str) -> None:
    """Break the protocol in every way, and also leave in the middle of a binary event."""
    for packets in BROKEN:
        async with client(stack, transport) as hostile:
            assert await outcome(stack, hostile, *packets) == "closed"
        async with client(stack, transport, join=False) as unconnected:
            await outcome(stack, unconnected, *packets)
            await leave(unconnected, transport)
        async with client(stack, transport) as leaving:
            await leaving.send('452-["x"]')
            await leaving.send(b"half")
            await leave(leaving, transport)
    await until(lambda: stack.connections == 0 and not stack.sockets, "all clients have left")


@BOTH_TRANSPORTS
async def test_clients_that_break_the_protocol_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """No session, room, incomplete packet, deadline or task of some hundreds of clients stays."""
    log = logging.getLogger("sio_server.engine")
    monkeypatch.setattr(log, "disabled", True)  # pytest keeps records and their objects
    sessions, clocks = instances(EngineSession), instances(Deadlines)  # of earlier servers
    async with ours() as stack:
        await break_all(stack, transport)  # so that objects that stay have been made
        objects, tasks = live_objects(), len(asyncio.all_tasks())
        for _ in range(ROUNDS):
            await break_all(stack, transport)
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "their tasks have ended")
        await asyncio.sleep(WATCH_SECONDS / 3)  # for the transports' last callbacks
        grown = {name: count for name, count in (live_objects() - objects).items() if count > 2}
        assert grown == {}
        assert instances(EngineSession, sessions) == []

        def only_the_address_is_kept_quiet() -> bool:
            return [len(clock) for clock in instances(Deadlines, clocks) if clock] == [1]

        await until(
            only_the_address_is_kept_quiet, "the other clocks have nothing to wait for", 4 * TIMEOUT
        )
        assert stack.sockets == {}
        server = stack.server
        assert server.environ == {}
        assert server._binary_packet == {}
        manager = server.manager
        state = (manager.rooms, manager.callbacks, manager.pending_connect)
        assert (*state, manager.pending_disconnect) == ({}, {}, {}, {})
