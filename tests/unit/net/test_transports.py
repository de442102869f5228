"""Transports that close, and their unread bytes."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable
from typing import cast

import pytest
import uvloop

from sio_server.net import transports, websocket
from sio_server.net.transports import unacknowledged_bytes
from sio_server.net.websocket import WebSocket
from sio_server.net.websocket_reader import FramingError


class Receiver:
    """A receiver that ignores everything."""

    def message_received(self, message: str | bytes) -> None:
        """Ignore a message."""

    def control_received(self) -> bool:
        """Ignore a frame."""
        return True

    def connection_closed(self, error: FramingError | None) -> None:
        """Ignore the end."""


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    "close", [lambda connection: connection.close_after(b""), lambda it: it.close_with(4401)]
)
def test_nothing_keeps_a_closed_transport(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    close: Callable[[WebSocket], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No timer either: many clients may come and go in its time."""
    monkeypatch.setattr(transports, "CLOSE_SECONDS", 3600)
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 3600)

    async def connect_and_close() -> weakref.ref[asyncio.BaseTransport]:
        ours, clients = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=ours)
        connection = WebSocket(max_message_bytes=100, max_buffer_bytes=100)
        connection.attach(cast("asyncio.Transport", writer.transport), b"")
        connection.set_receiver(Receiver())
        close(connection)
        clients.close()
        while not connection._lost:
            await asyncio.sleep(0)
        return weakref.ref(writer.transport)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        closed = runner.run(asyncio.wait_for(connect_and_close(), 10))
        gc.collect()
        assert closed() is None


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_lost_connection_has_no_unacknowledged_bytes(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Its socket has no descriptor any more. The kernel tells the bytes of an open one."""

    async def unacknowledged() -> list[int]:
        ours, clients = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"unread")
        found = [unacknowledged_bytes(writer.transport)]
        writer.transport.abort()
        while ours.fileno() >= 0 and writer.transport.get_extra_info("socket").fileno() >= 0:
            await asyncio.sleep(0)
        found.append(unacknowledged_bytes(writer.transport))
        clients.close()
        return found

    with asyncio.Runner(loop_factory=new_loop) as runner:
        before, after = runner.run(unacknowledged())
    assert before > 0
    assert after == 0
