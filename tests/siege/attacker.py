"""A process that carries out attacks: one loop over the connections of all of them.

It costs little, because it competes with the server for the machine: it sends bytes that were made
before, and looks at received bytes only for statuses and for what a script awaits. Its memory is
bounded, and it ends by itself at its deadline.
"""

from __future__ import annotations

import heapq
import os
import random
import re
import resource
import select
import signal
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from typing import Any

from tests.siege.attack import (
    FOREVER,
    Attack,
    Await,
    HalfClose,
    Pause,
    Reconnect,
    Script,
    Step,
    Target,
)
from tests.siege.child import allow_many_files, read_message, write_message
from tests.siege.registry import ATTACKS

NICENESS = 10
"""An attacker's own work would be done on other machines, so it gives way to the server's."""

MAX_MEMORY_BYTES = 1 << 30
RECEIVED_BYTES = 65_536
"""The most bytes that are read at a time."""

MAX_AWAITED_BYTES = 1 << 20
"""The received bytes in which an awaited pattern is searched."""

UNREAD_BUFFER_BYTES = 4096
"""The kernel's buffer for a connection that is not read: the rest has to wait in the server."""

CONNECTS_PER_TURN = 32
"""New connections of one attack between two turns of the others."""

TURN_SECONDS = 0.02
"""The longest wait for something to happen."""

OVERTIME_SECONDS = 10
"""The kernel ends this process so long after its deadline."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")
_STATUS_BYTES = 12
_BIND_ADDRESS_NO_PORT = 24  # see ip(7): the port is chosen with the connection's other address
_IN, _OUT, _GONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP


class Connection:
    """One connection of an attack."""

    __slots__ = ("attack", "awaited", "connected", "mask", "out", "received", "script", "socket")

    def __init__(self, attack: RunningAttack, script: Script) -> None:
        self.attack = attack
        self.script = script
        self.socket: socket.socket
        self.connected = False
        self.awaited: re.Pattern[bytes] | None = None
        self.out = memoryview(b"")
        self.received = b""
        self.mask = 0


class RunningAttack:
    """An attack and what it has done so far.

    Attributes:
        open: its connections, also those that the server has not accepted yet.
        connected: its connections that the server has accepted.
        peak: the most of them at once.
        opened: all of them so far.
        sent: bytes that the kernel has taken.
    """

    def __init__(self, attack: Attack) -> None:
        self.attack = attack
        self.open = self.connected = self.peak = self.opened = self.sent = 0


class Attacker:
    """The loop.

    Args:
        port: the server's port.
        addresses: the local addresses of the connections, in turn.
        oldest: see ``Target``.
        seed: the seed of all random choices.
        attacks: the attacks to carry out.
    """

    def __init__(
        self, port: int, addresses: list[str], oldest: str, seed: str, attacks: list[Attack]
    ) -> None:
        self._server = ("127.0.0.1", port)
        self._addresses = addresses
        self._target = Target(oldest, random.Random(seed))
        self.attacks = [RunningAttack(it) for it in attacks]
        self.statuses: Counter[str] = Counter()
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._timers: list[tuple[float, int, Connection]] = []
        self._number = count()

    def run(self, deadline: float) -> None:
        """Attack until the deadline, on the monotonic clock."""
        while (now := time.monotonic()) < deadline:
            for running in self.attacks:
                self._connect_all(running)
            while self._timers and self._timers[0][0] <= now:
                connection = heapq.heappop(self._timers)[2]
                if connection.connected and not connection.out and connection.awaited is None:
                    self._wake(connection)
            for descriptor, events in self._poll.poll(TURN_SECONDS):
                connection = self._connections.get(descriptor)  # type: ignore[assignment]
                if connection is not None:
                    self._handle(connection, events)

    def _wake(self, connection: Connection) -> None:
        try:
            self._advance(connection)
        except OSError:  # the server has closed it
            self._close(connection)

    def _connect_all(self, running: RunningAttack) -> None:
        missing = running.attack.connections - running.open
        for _ in range(min(missing, CONNECTS_PER_TURN)):
            script = running.attack.script(self._target)
            if not self._connect(Connection(running, script)):
                return

    def _connect(self, connection: Connection) -> bool:
        """Begin to connect; return False if the machine has no free port or file."""
        try:
            created = socket.socket()
        except OSError:
            return False
        address = self._addresses[next(self._number) % len(self._addresses)]
        created.setblocking(False)
        created.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not connection.attack.attack.reads:
            created.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BUFFER_BYTES)
        if connection.attack.attack.breaks_off:
            created.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            created.bind((address, 0))
            created.connect(self._server)
        except BlockingIOError:
            pass
        except OSError:
            created.close()
            return False
        connection.socket = created
        connection.connected = False
        connection.awaited, connection.out, connection.received = None, memoryview(b""), b""
        connection.attack.open += 1
        connection.mask = _OUT
        self._connections[created.fileno()] = connection
        self._poll.register(created, _OUT)
        return True

    def _handle(self, connection: Connection, events: int) -> None:
        try:
            if events & _GONE:
                raise ConnectionResetError
            if not connection.connected:
                self._begin(connection)
                return
            if events & _IN:
                self._receive(connection)
            if events & _OUT and connection.out:
                self._send(connection)
            elif events & select.EPOLLRDHUP and not events & _IN:
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)

    def _begin(self, connection: Connection) -> None:
        running = connection.attack
        connection.connected = True
        running.connected += 1
        running.opened += 1
        running.peak = max(running.peak, running.connected)
        self._advance(connection)

    def _receive(self, connection: Connection) -> None:
        data = connection.socket.recv(RECEIVED_BYTES)
        if not data:
            raise ConnectionResetError
        if connection.awaited is None:
            data = connection.received + data
            connection.received = data[1 - _STATUS_BYTES :]
            self._count_statuses(data)
            return
        connection.received += data
        found = connection.awaited.search(connection.received)
        if found is not None:
            self._count_statuses(connection.received)
            connection.awaited, connection.received = None, b""
            self._advance(connection, found)
        elif len(connection.received) > MAX_AWAITED_BYTES:
            self._count_statuses(connection.received)
            connection.received = b""

    def _count_statuses(self, data: bytes) -> None:
        self.statuses.update(status.decode() for status in _STATUS.findall(data))

    def _send(self, connection: Connection) -> None:
        sent = connection.socket.send(connection.out)
        connection.attack.sent += sent
        connection.out = connection.out[sent:]
        if not connection.out:
            self._advance(connection)

    def _advance(self, connection: Connection, found: re.Match[bytes] | None = None) -> None:
        """Let the script take its next step."""
        try:
            step: Step = connection.script.send(found)  # type: ignore[arg-type]
        except StopIteration:
            self._close(connection)
            return
        reads = connection.attack.attack.reads
        mask = select.EPOLLRDHUP | (_IN if reads else 0)
        if isinstance(step, bytes):
            connection.out = memoryview(step)
            mask |= _OUT
        elif isinstance(step, Await):
            connection.awaited = step.pattern
            mask |= _IN
        elif isinstance(step, Pause) and step is not FOREVER:
            wake_at = time.monotonic() + step.seconds
            heapq.heappush(self._timers, (wake_at, next(self._number), connection))
        elif isinstance(step, HalfClose):
            connection.socket.shutdown(socket.SHUT_WR)
            self._advance(connection)
            return
        elif isinstance(step, Reconnect):
            self._release(connection)
            self._connect(connection)
            return
        if mask != connection.mask:
            connection.mask = mask
            self._poll.modify(connection.socket, mask)

    def _close(self, connection: Connection) -> None:
        if connection.received:
            self._count_statuses(connection.received)
        connection.script.close()
        self._release(connection)

    def _release(self, connection: Connection) -> None:
        running = connection.attack
        running.open -= 1
        running.connected -= connection.connected
        connection.connected = False
        self._connections.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._connections.values()):
            self._close(connection)
        self._poll.close()

    def report(self) -> dict[str, Any]:
        """Return the statuses that the server answered, and the figures of each attack."""
        return {
            "statuses": dict(self.statuses),
            "attacks": {
                it.attack.name: {"peak": it.peak, "opened": it.opened, "sent": it.sent}
                for it in self.attacks
            },
        }


def main() -> None:
    """Carry out the attacks that the first message names, when the second message comes."""
    plan = read_message()
    os.nice(NICENESS)
    allow_many_files()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    seconds = plan.pop("seconds")
    plan["attacks"] = [ATTACKS[name] for name in plan["attacks"]]
    attacker = Attacker(**plan)
    write_message({"ready": True})
    read_message()
    signal.alarm(int(seconds + OVERTIME_SECONDS))
    with suppress(KeyboardInterrupt):
        attacker.run(time.monotonic() + seconds)
    write_message(attacker.report())
    attacker.close()
