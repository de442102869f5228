"""A process with the healthy publisher: a plain WebSocket with a producer key.

It publishes one event each 50 ms, and never two at once: an event whose ack is late takes the place
of the events that would have been due meanwhile. An event that was refused, or whose connection has
ended, is published again with the same id until it is acknowledged. So events are acknowledged in
the order of their numbers, and none is left out.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
import time
from collections import Counter
from typing import Any

from tests.fuzz.wire import UPGRADE, request
from tests.siege.attacks.doors import text
from tests.siege.child import read_message, write_message
from tests.siege.consumers import EVENT_ID, Lost, WebSocketConsumer
from tests.siege.figures import INTERVAL_SECONDS

CONNECT_SECONDS = 1
PIECES = 100
"""Pieces of furniture that the events are about, in turn."""

LONG_EVENTS = 10
"""Each event whose number is a multiple of this one has a long description."""

LONG_DESCRIPTION = "Mesa elegante de comedor. " * 240
"""A larger message waits for its turn, and its bytes are counted while they arrive."""

QUIET_ROOM = "type:furniture_deleted"
"""The publisher's own room. No event of a siege goes to it."""

_REF = re.compile(rb'"ref":(\d+)')
_CODE = re.compile(rb'"code":"(\w+)"')


def event(number: int) -> dict[str, Any]:
    """Return the event with a number."""
    return {
        "type": "furniture_updated",
        "id": EVENT_ID.format(number),
        "furniture": {
            "furniture_id": f"piece-{number % PIECES}",
            "nombre": "Mesa de Roble",
            "descripcion": "Mesa elegante de comedor" if number % LONG_EVENTS else LONG_DESCRIPTION,
            "altura": 75,
            "ancho": 120,
            "material": "roble",
            "autor_username": "Juan",
        },
    }


class Answers(WebSocketConsumer):
    """The frames that the server sends to the publisher.

    Args:
        key: the producer key.

    Attributes:
        acknowledged: the references of messages whose ack has arrived.
        codes: the codes of errors that have arrived.
    """

    def __init__(self, key: str) -> None:
        super().__init__("publisher", "")
        self._key = key
        self.acknowledged: list[int] = []
        self.codes: list[str] = []

    def opening(self) -> bytes:
        """Return the handshake; see ``Consumer``."""
        headers = f"{UPGRADE}Authorization: Bearer {self._key}\r\n"
        return request(f"/ws?room={QUIET_ROOM}", headers=headers)

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; see ``Consumer``. It is ready after the upgrade."""
        answers = super().feed(data)
        self.ready = self.is_open
        return answers

    def message(self, message: bytes) -> bytes:
        """Take a message; see ``WebSocketConsumer``."""
        if message.startswith(b'{"type":"ack"'):
            self.acknowledged += [int(found) for found in _REF.findall(message)]
        elif message.startswith(b'{"type":"error"'):
            self.codes += [found.decode() for found in _CODE.findall(message)]
        return b""


class Publisher:
    """The publisher's loop.

    Args:
        port: the server's port.
        address: the local address of its connection.
        key: the producer key.
    """

    def __init__(self, port: int, address: str, key: str) -> None:
        self._server = ("127.0.0.1", port)
        self._address = address
        self._answers = Answers(key)
        self._socket: socket.socket | None = None
        self._publishes: list[list[float | None]] = []  # when each began, and its ack arrived
        self._reported = 0  # complete publishes that a report has named
        self._errors: Counter[str] = Counter()
        self._in_flight = False  # the last publish waits for an answer
        self._next_try = 0.0

    def run(self) -> None:
        """Publish until the input ends."""
        while True:
            now = time.monotonic()
            if now >= self._next_try:
                self._next_try = now + INTERVAL_SECONDS
                self._publish(now)
            sockets = [it for it in (self._socket, sys.stdin) if it is not None]
            wait = max(0.0, self._next_try - time.monotonic())
            for readable in select.select(sockets, [], [], wait)[0]:
                if readable is self._socket:
                    self._receive()
                elif not os.read(sys.stdin.fileno(), 65_536):
                    return
                else:
                    self._report()

    def _publish(self, now: float) -> None:
        """Publish the next event, or the last one again if it was not acknowledged."""
        if self._in_flight:
            return
        if not self._publishes or self._publishes[-1][1] is not None:
            self._publishes.append([now, None])
        number = len(self._publishes)
        message = json.dumps(event(number) | {"ref": number}).encode()
        try:
            if self._socket is None:
                self._connect()
            elif self._answers.ready:
                self._in_flight = True
                self._socket.sendall(text(message))
        except OSError:
            self._disconnect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(
            self._server, CONNECT_SECONDS, source_address=(self._address, 0)
        )
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._answers.opening())

    def _receive(self) -> None:
        assert self._socket is not None
        answers = self._answers
        try:
            data = self._socket.recv(65_536)
            if not data:
                raise Lost
            if answer := answers.feed(data):
                self._socket.sendall(answer)
        except (Lost, OSError):
            self._disconnect()
        if len(self._publishes) in answers.acknowledged:
            self._publishes[-1][1] = time.monotonic()
            self._in_flight = False
            began = self._publishes[-1][0]
            assert began is not None
            self._next_try = max(time.monotonic(), began + INTERVAL_SECONDS)
        elif answers.codes:
            self._in_flight = False
        self._errors.update(answers.codes)
        answers.acknowledged, answers.codes = [], []

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._in_flight = False
        self._answers.ended()

    def _report(self) -> None:
        acknowledged = sum(it[1] is not None for it in self._publishes[-1:])
        complete = max(0, len(self._publishes) - 1) + acknowledged
        first, self._reported = self._reported, complete
        write_message(
            {
                "acknowledged": complete,
                "publishes": self._publishes[first:],
                "errors": dict(self._errors),
                "cuts": self._answers.cuts,
                "statuses": self._answers.statuses,
            }
        )


def main() -> None:
    """Run the publisher that the first message describes."""
    Publisher(**read_message()).run()
