"""An open loop: each event is published at its due time, even if earlier ones are not delivered.

Latency is measured from the due time, so that an event's wait behind a slow one counts too.
"""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.load import TIMEOUT, Client, Crowd, masked, timed_out

MAX_CLIENTS_PER_TURN = 32
"""Clients that are read between two looks at the schedule."""

_NUMBER = re.compile(rb'"furniture_id":"(\d{24})"')
_REFUSED = (b'431[{"ok":false', b'42["error"')


def numbered(number: int, furniture: dict[str, object]) -> bytes:
    """Return the frame that publishes an event with this number as its ``furniture_id``."""
    event = {"furniture": furniture | {"furniture_id": f"{number:024}"}}
    return masked(f'421["furniture_created",{json.dumps(event)}]')


class RecordingClient(Client):
    """A client that records its events.

    Attributes:
        seen: the events' numbers, in the order of arrival.
        times: the time of each arrival.
    """

    __slots__ = ("seen", "times")

    def __init__(self, port: int, *, auth: str = "") -> None:
        self.seen: list[int] = []
        self.times: list[float] = []
        super().__init__(port, auth=auth)

    def _handle(self, message: bytes, *, keep: bool) -> None:
        super()._handle(message, keep=keep)
        if message.startswith(_REFUSED):
            raise ConnectionError(f"refused: {message[:300]!r}")
        if number := _NUMBER.search(message, 0, 120):
            self.times.append(time.perf_counter())
            self.seen.append(int(number[1]))


@dataclass(frozen=True)
class ScheduledEvent:
    """An event to publish.

    Attributes:
        at: due time, in seconds from the start.
        frame: the frame that publishes it, made by ``numbered``.
        publisher: the client that publishes it.
    """

    at: float
    frame: bytes
    publisher: RecordingClient


class RecordingCrowd(Crowd):
    """Clients that record their events.

    Attributes:
        members: all of them.
    """

    def __init__(self, port: int, greeting: bytes) -> None:
        super().__init__(port, greeting)
        self.members: list[RecordingClient] = []
        self._auth = ""

    def join(self, count: int, rooms: Sequence[str] | None = None) -> list[RecordingClient]:
        """Connect ``count`` more clients and return them.

        Args:
            count: the number of clients.
            rooms: the rooms to ask for; None: ask for none.
        """
        self._auth = "" if rooms is None else json.dumps({"rooms": rooms})
        self.connect(count)
        return self.members[-count:]

    def _open(self) -> Client:
        client = RecordingClient(self._port, auth=self._auth)
        self.members.append(client)
        return client

    def publish_on_schedule(self, schedule: Sequence[ScheduledEvent], expected: int) -> float:
        """Publish each event at its due time.

        Args:
            schedule: the events, evenly spaced.
            expected: deliveries to wait for.

        Returns:
            The time of the start.
        """
        remaining = iter(schedule)
        event = next(remaining, None)
        with _alarms(schedule) as alarm:
            self._poll.register(alarm, select.EPOLLIN)
            start = time.perf_counter()
            try:
                while event or expected > 0:
                    while event and time.perf_counter() >= start + event.at:
                        event.publisher.socket.sendall(event.frame)
                        event = next(remaining, None)
                    expected -= self._receive_once(alarm)
            finally:
                self._poll.unregister(alarm)
        return start

    def _receive_once(self, alarm: socket.socket) -> int:
        received = 0
        for descriptor, _ in self._poll.poll(TIMEOUT, MAX_CLIENTS_PER_TURN) or timed_out():
            if descriptor == alarm.fileno():
                alarm.recv(4096)
            else:
                client = self._clients[descriptor]
                received += client.receive(client.socket.recv(262_144))
        return received


@contextmanager
def _alarms(schedule: Sequence[ScheduledEvent]) -> Iterator[socket.socket]:
    """Yield a socket that becomes readable whenever an event is due.

    A poll's own timeout is too coarse: it counts whole milliseconds.
    """
    step = schedule[-1].at / (len(schedule) - 1) if len(schedule) > 1 else 1.0
    alarm, bell = socket.socketpair()
    with alarm, bell:
        bell.setblocking(False)
        handler = signal.signal(signal.SIGALRM, lambda number, frame: None)
        descriptor = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        signal.setitimer(signal.ITIMER_REAL, step, step)
        try:
            yield alarm
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.set_wakeup_fd(descriptor)
            signal.signal(signal.SIGALRM, handler)


def latencies_of(clients: Iterable[RecordingClient], due_at: Mapping[int, float]) -> list[float]:
    """Return the seconds from each event's due time to its arrival, for every client."""
    return [
        time - due_at[number]
        for client in clients
        for number, time in zip(client.seen, client.times, strict=True)
        if number in due_at
    ]
