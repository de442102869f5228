"""An open loop: what is published goes out when its time has come, whatever has become of the last.

Latency counts from when an event was due, so that what waits behind a slow one counts too.
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

from benchmarks.load import TIMEOUT, Client, Crowd, masked

TURN = 32
"""Clients that are read before it is looked whether an event is due."""

_NUMBER = re.compile(rb'"furniture_id":"(\d{24})"')
_REFUSED = (b'431[{"ok":false', b'42["error"')


def numbered(number: int, furniture: dict[str, object]) -> bytes:
    """Return the frame that publishes an event, by whose number it is known again."""
    event = {"furniture": furniture | {"furniture_id": f"{number:024}"}}
    return masked(f'421["furniture_created",{json.dumps(event)}]')


class Watcher(Client):
    """A client that notes when which event came.

    Attributes:
        seen: their numbers.
        times: when each came.
    """

    __slots__ = ("seen", "times")

    def __init__(self, port: int, *, auth: str = "") -> None:
        self.seen: list[int] = []
        self.times: list[float] = []
        super().__init__(port, auth=auth)

    def _note(self, message: bytes, *, keep: bool) -> None:
        super()._note(message, keep=keep)
        if message.startswith(_REFUSED):
            raise ConnectionError(f"a refusal: {message[:300]!r}")
        if number := _NUMBER.search(message, 0, 120):
            self.times.append(time.perf_counter())
            self.seen.append(int(number[1]))


@dataclass(frozen=True)
class Due:
    """An event to publish.

    Attributes:
        at: seconds from the start.
        frame: it, as ``numbered`` makes it.
        publisher: whose connection it goes over.
    """

    at: float
    frame: bytes
    publisher: Watcher


class Audience(Crowd):
    """Clients that note what comes.

    Attributes:
        watchers: they.
    """

    def __init__(self, port: int, greeting: bytes) -> None:
        super().__init__(port, greeting)
        self.watchers: list[Watcher] = []
        self._auth = ""

    def join(self, count: int, rooms: Sequence[str] | None = None) -> list[Watcher]:
        """Connect so many more, in these rooms; None: as it is without asking. Return them."""
        self._auth = "" if rooms is None else json.dumps({"rooms": rooms})
        self.connect(count)
        return self.watchers[-count:]

    def _open(self) -> Client:
        watcher = Watcher(self._port, auth=self._auth)
        self.watchers.append(watcher)
        return watcher

    def play(self, due: Sequence[Due], expected: int) -> float:
        """Publish each when it is due, until so many events have come; return when it began."""
        waiting = iter(due)
        coming = next(waiting, None)
        with _alarms(due) as alarm:
            self._poll.register(alarm, select.EPOLLIN)
            begun = time.perf_counter()
            try:
                while coming or expected > 0:
                    while coming and time.perf_counter() >= begun + coming.at:
                        coming.publisher.socket.sendall(coming.frame)
                        coming = next(waiting, None)
                    expected -= self._take_turn(alarm)
            finally:
                self._poll.unregister(alarm)
        return begun

    def _take_turn(self, alarm: socket.socket) -> int:
        came = 0
        for descriptor, _ in self._poll.poll(TIMEOUT, TURN) or self._timed_out():
            if descriptor == alarm.fileno():
                alarm.recv(4096)
            else:
                client = self._clients[descriptor]
                came += client.take(client.socket.recv(262_144))
        return came


@contextmanager
def _alarms(due: Sequence[Due]) -> Iterator[socket.socket]:
    """Give a socket that can be read whenever an event is due: they are evenly spaced.

    A poll's own timeout counts whole milliseconds.
    """
    step = due[-1].at / (len(due) - 1) if len(due) > 1 else 1.0
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


def lateness(watchers: Iterable[Watcher], due_at: Mapping[int, float]) -> list[float]:
    """Return how long after it was due each event came, for each watcher."""
    return [
        time - due_at[number]
        for watcher in watchers
        for number, time in zip(watcher.seen, watcher.times, strict=True)
        if number in due_at
    ]
