"""A process with the healthy consumers of one kind."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from random import Random
from typing import Any

from tests.siege.child import allow_many_files, read_message, write_message
from tests.siege.consumers import KINDS, Consumer, Lost

RECEIVED_BYTES = 65_536
BACK_SECONDS = (0.1, 0.4)
"""After its connection ended, a consumer waits for a random time between these."""

MAX_CONNECTING = 32
"""Consumers that connect at the same time at the start."""

TURN_SECONDS = 0.05


class Member:
    """A consumer and its connection."""

    __slots__ = ("consumer", "socket")

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.socket: socket.socket | None = None


class Crowd:
    """The consumers of this process.

    Args:
        port: the server's port.
        address: the local address of their connections.
        kind: a name in ``KINDS``.
        count: the number of consumers.
        offset: the offset after which their events begin.
        seed: the seed of the pauses before they come back.
        token: their token.
    """

    def __init__(
        self,
        port: int,
        address: str,
        kind: str,
        count: int,
        offset: str,
        seed: str,
        token: str,
    ) -> None:
        self._server = ("127.0.0.1", port)
        self._address = address
        self._random = Random(seed)
        make = KINDS[kind]
        self._has_same_bytes = make.has_same_bytes
        self._members = [Member(make(f"{kind}-{number}", offset)) for number in range(count)]
        for member in self._members:
            member.consumer.token = token
        self._poll = select.epoll()
        self._connected: dict[int, Member] = {}
        self._connecting: set[int] = set()
        self._due = [(0.0, member) for member in self._members]
        self._is_complete = False  # whether all consumers have been ready once
        self._frame = (b"", 0, "")  # the bytes of the last event, its number and its offset
        self._wanted: tuple[int, float] | None = None  # the number to reach, and the deadline
        self._commands = b""

    def run(self) -> None:
        """Connect, say so, and consume events until the input ends."""
        self._poll.register(sys.stdin, select.EPOLLIN)
        os.set_blocking(sys.stdin.fileno(), False)
        while True:
            self._connect_due()
            for descriptor, events in self._poll.poll(TURN_SECONDS):
                if descriptor == sys.stdin.fileno():
                    if not self._read_command():
                        return
                elif (member := self._connected.get(descriptor)) is not None:
                    self._handle(member, descriptor, events)
            if not self._is_complete and all(it.consumer.ready for it in self._members):
                self._is_complete = True
                write_message({"ready": True})
            self._answer_report()

    def _read_command(self) -> bool:
        data = os.read(sys.stdin.fileno(), RECEIVED_BYTES)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            self._wanted = (command["reach"], time.monotonic() + command["within"])
        return bool(data)

    def _answer_report(self) -> None:
        """Report once all consumers have the wanted event, or the time is over."""
        if self._wanted is None:
            return
        number, deadline = self._wanted
        all_have = all(it.consumer.ready and it.consumer.last >= number for it in self._members)
        if all_have or time.monotonic() > deadline:
            self._wanted = None
            write_message({"consumers": [self._describe(it.consumer) for it in self._members]})

    @staticmethod
    def _describe(consumer: Consumer) -> dict[str, Any]:
        return {
            "name": consumer.name,
            "runs": consumer.runs,
            "ready": consumer.ready,
            "cuts": consumer.cuts,
            "refusals": consumer.refusals,
            "gaps": consumer.gaps,
            "statuses": consumer.statuses,
        }

    def _connect_due(self) -> None:
        """Connect the consumers whose pause is over; at the start, only some at a time."""
        due, self._due = self._due, []
        free = len(due)
        if not self._is_complete:
            connecting = sum(not it.consumer.ready for it in self._connected.values())
            free = MAX_CONNECTING - connecting
        for at, member in due:
            if at <= time.monotonic() and free > 0:
                free -= 1
                self._connect(member)
            else:
                self._due.append((at, member))

    def _connect(self, member: Member) -> None:
        created = socket.socket()
        created.setblocking(False)
        created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        member.socket = created
        try:
            created.bind((self._address, 0))
            created.connect(self._server)
        except BlockingIOError:
            pass
        except OSError:
            self._end(member)
            return
        self._connected[created.fileno()] = member
        self._connecting.add(created.fileno())
        self._poll.register(created, select.EPOLLOUT)

    def _handle(self, member: Member, descriptor: int, events: int) -> None:
        assert member.socket is not None
        consumer = member.consumer
        try:
            if descriptor in self._connecting:
                self._connecting.discard(descriptor)
                member.socket.send(consumer.opening())
                self._poll.modify(descriptor, select.EPOLLIN)
                return
            data = member.socket.recv(RECEIVED_BYTES)
            if not data:
                raise Lost
            if data == self._frame[0] and consumer.ready and not consumer.incomplete:
                consumer.record(*self._frame[1:])
            else:
                self._feed(member, data)
        except BlockingIOError:
            pass
        except (Lost, OSError):
            self._end(member)

    def _feed(self, member: Member, data: bytes) -> None:
        assert member.socket is not None
        consumer = member.consumer
        before, is_whole = consumer.last, not consumer.incomplete
        answer = consumer.feed(data)
        if answer:
            member.socket.send(answer)
        elif (
            self._has_same_bytes
            and is_whole
            and not consumer.incomplete
            and consumer.last == before + 1
            and data.count(b'"id":"siege-') == 1
        ):
            self._frame = (data, consumer.last, consumer.offset)

    def _end(self, member: Member) -> None:
        assert member.socket is not None
        self._connected.pop(member.socket.fileno(), None)
        self._connecting.discard(member.socket.fileno())
        member.socket.close()
        member.socket = None
        member.consumer.ended()
        self._due.append((time.monotonic() + self._random.uniform(*BACK_SECONDS), member))


def main() -> None:
    """Run the crowd that the first message describes."""
    plan = read_message()
    allow_many_files()
    Crowd(**plan).run()
