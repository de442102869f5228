"""Messages to the supervisor, on a real datagram socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sio_server.supervisor import Supervisor

WATCHDOG = {"WATCHDOG_USEC": "100000"}


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a supervisor's socket, which waits a second for a message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(1)
        yield listening


def supervisor(channel: socket.socket, **variables: str) -> Supervisor:
    """Return the server's view of this supervisor."""
    return Supervisor({"NOTIFY_SOCKET": channel.getsockname(), **variables})


def test_the_states_are_lines_of_one_message(channel: socket.socket) -> None:
    """As sd_notify(3) says."""
    informed = supervisor(channel)
    informed.ready("serving on port 1")
    informed.stopping("closing")
    assert channel.recv(4096) == b"READY=1\nSTATUS=serving on port 1"
    assert channel.recv(4096) == b"STOPPING=1\nSTATUS=closing"


def test_a_socket_may_have_an_abstract_name() -> None:
    """An ``@`` stands for the null byte."""
    name = f"sio-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(1)
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}).ready("x")
        assert listening.recv(4096).startswith(b"READY=1")


async def test_a_hung_event_loop_sends_no_signs_of_life(channel: socket.socket) -> None:
    """They come from the loop, so the supervisor notices that nothing moves any more."""
    loop = asyncio.get_running_loop()
    life = asyncio.create_task(supervisor(channel, **WATCHDOG).show_life())
    for _ in range(3):
        assert await asyncio.to_thread(channel.recv, 4096) == b"WATCHDOG=1"
    assert loop.is_running()
    channel.settimeout(0.3)
    with suppress(TimeoutError):  # one may be on its way
        channel.recv(4096)
    with pytest.raises(TimeoutError):
        channel.recv(4096)  # this blocks the loop for longer than the watchdog waits
    life.cancel()


@pytest.mark.parametrize(
    "variables",
    [{}, {**WATCHDOG, "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}],
    ids=["not wanted", "another process's", "zero", "no number"],
)
async def test_without_a_watchdog_there_are_no_signs_of_life(
    channel: socket.socket, variables: dict[str, str]
) -> None:
    """The task ends at once."""
    await supervisor(channel, **variables).show_life()
    channel.settimeout(0)
    with pytest.raises(BlockingIOError):
        channel.recv(4096)


async def test_the_watchdog_of_this_process_counts(channel: socket.socket) -> None:
    """Its time is in microseconds."""
    own = supervisor(channel, **WATCHDOG, WATCHDOG_PID=str(os.getpid()))
    assert own.watchdog_seconds == 0.1
    assert Supervisor(WATCHDOG).watchdog_seconds is None  # nobody would read the signs


def test_a_supervisor_that_is_gone_is_a_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised. Without a supervisor, there is no line."""
    with caplog.at_level(logging.WARNING):
        Supervisor({}).ready("x")
        assert caplog.messages == []
        Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")
    (message,) = caplog.messages
    assert message.startswith("supervisor_not_reached message=READY=1 error=No such file")
