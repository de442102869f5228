"""The healthy consumers, sans-I/O: what each kind sends, and what it makes of received bytes.

A consumer records the numbers of the events that it gets, in the order in which they come. After
its connection ends, it comes back as its kind does: with the offset of its last event, or by
recovery of its session.
"""

from __future__ import annotations

import json
import re

from tests.fuzz.wire import CLOSE, PING, PONG, UPGRADE, frame, request
from tests.siege.attacks.doors import FINAL, text

EVENT_ID = "siege-{}"
"""The id of the event with a number."""

_NUMBER = re.compile(rb'"id":"siege-(\d+)"')
_OFFSET = re.compile(rb'"offset":"([^"]+)"')
_LAST_ARGUMENT = re.compile(rb'"([^"]+)"\]$')
_STREAM_ID = re.compile(rb"^id: (\S+)", re.MULTILINE)
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_GAP = b'"gap":true'


class Lost(Exception):
    """The server ended the connection, or answered with an error."""


class Consumer:
    """One consumer of all events.

    Args:
        name: its name in the report.
        offset: the offset after which its events begin.

    Attributes:
        runs: the numbers of its events in the order of their arrival, as runs of consecutive
            numbers: the first and the last of each.
        ready: whether the server has accepted it and it has caught up.
        cuts: how often a connection that was ready has ended.
        refusals: how often another connection has ended.
        gaps: how often the server has announced a gap.
        statuses: the HTTP statuses other than 101 and 200 that it got.
        token: its token; empty: it has none.
    """

    has_same_bytes = True
    """Whether all consumers of this kind get the same bytes for an event."""

    def __init__(self, name: str, offset: str) -> None:
        self.name = name
        self.offset = offset
        self.token = ""
        self.runs: list[list[int]] = []
        self.ready = False
        self.cuts = self.refusals = self.gaps = 0
        self.statuses: list[int] = []
        self.incomplete = b""

    @property
    def last(self) -> int:
        """The number of its last event; 0 if it has none."""
        return self.runs[-1][1] if self.runs else 0

    def record(self, number: int, offset: str) -> None:
        """Note an event."""
        self.offset = offset
        if self.runs and number == self.runs[-1][1] + 1:
            self.runs[-1][1] = number
        else:
            self.runs.append([number, number])

    @property
    def query(self) -> str:
        """The query of a URL, with its offset and its token."""
        return f"since={self.offset}" + (f"&token={self.token}" if self.token else "")

    def opening(self) -> bytes:
        """Return what a new connection sends first."""
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; return the bytes to send.

        Raises:
            Lost: the connection cannot be used any more.
        """
        raise NotImplementedError

    def ended(self) -> None:
        """Note the end of the connection."""
        if self.ready:
            self.cuts += 1
        else:
            self.refusals += 1
        self.ready, self.incomplete = False, b""

    def caught_up(self, message: bytes) -> None:
        """Take the message ``ready``."""
        self.ready = True
        self.gaps += _GAP in message

    def check_status(self, head: bytes, expected: int) -> None:
        """Check the status of an answer.

        Raises:
            Lost: it is another one.
        """
        found = _STATUS.match(head)
        status = int(found[1]) if found else 0
        if status != expected:
            self.statuses.append(status)
            raise Lost


class WebSocketConsumer(Consumer):
    """A consumer over WebSocket.

    Attributes:
        is_open: whether the server has answered the upgrade.
    """

    def __init__(self, name: str, offset: str) -> None:
        super().__init__(name, offset)
        self.is_open = False

    def ended(self) -> None:
        """Note the end of the connection."""
        super().ended()
        self.is_open = False

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; see ``Consumer``."""
        data = self.incomplete + data
        if not self.is_open:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self.incomplete = data
                return b""
            self.check_status(head, 101)
            self.is_open, data = True, rest
        answers, at = b"", 0
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + length > len(data):
                break
            answers += self._take(data[at] & 0x0F, data[start : start + length])
            at = start + length
        self.incomplete = data[at:]
        return answers

    def _take(self, opcode: int, payload: bytes) -> bytes:
        if opcode == CLOSE:
            raise Lost
        if opcode == PING:
            return frame(FINAL | PONG, payload)
        return self.message(payload)

    def message(self, message: bytes) -> bytes:
        """Take a message; return the bytes to send."""
        raise NotImplementedError


class PlainConsumer(WebSocketConsumer):
    """A plain WebSocket."""

    def opening(self) -> bytes:
        """Return the handshake; see ``Consumer``."""
        return request(f"/ws?{self.query}", headers=UPGRADE)

    def message(self, message: bytes) -> bytes:
        """Take a message; see ``WebSocketConsumer``."""
        number, offset = _NUMBER.search(message), _OFFSET.search(message)
        if number and offset:
            self.record(int(number[1]), offset[1].decode())
        elif message.startswith(b'{"type":"ready"'):
            self.caught_up(message)
        return b""


class _Packets:
    """The packets of a Socket.IO consumer, over any transport."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._pid = ""

    def connect(self) -> str:
        """Return the packet CONNECT."""
        offset = self._consumer.offset
        auth = {"pid": self._pid, "offset": offset} if self._pid else {"since": offset}
        if self._consumer.token:
            auth["token"] = self._consumer.token
        return "40" + json.dumps(auth)

    def take(self, packet: bytes) -> str:
        """Take a packet; return the packet to send, or nothing."""
        if packet.startswith(b'42["furniture'):
            number, offset = _NUMBER.search(packet), _LAST_ARGUMENT.search(packet)
            if number and offset:
                self._consumer.record(int(number[1]), offset[1].decode())
        elif packet == b"2":
            return "3"
        elif packet.startswith(b"40"):
            self._pid = json.loads(packet[2:]).get("pid", "")
        elif packet.startswith(b'42["ready"'):
            self._consumer.caught_up(packet)
        elif packet.startswith((b"1", b"41", b"44")):
            raise Lost
        return ""


class SocketIOConsumer(WebSocketConsumer):
    """Socket.IO over WebSocket."""

    def __init__(self, name: str, offset: str) -> None:
        super().__init__(name, offset)
        self._packets = _Packets(self)

    def opening(self) -> bytes:
        """Return the handshake; see ``Consumer``."""
        return request("/socket.io/?EIO=4&transport=websocket", headers=UPGRADE)

    def message(self, message: bytes) -> bytes:
        """Take a message; see ``WebSocketConsumer``."""
        opened = message.startswith(b"0{")
        answer = self._packets.connect() if opened else self._packets.take(message)
        return text(answer) if answer else b""


class PollingConsumer(Consumer):
    """Socket.IO over polling, on one connection: a POST between two polls."""

    has_same_bytes = False

    def __init__(self, name: str, offset: str) -> None:
        super().__init__(name, offset)
        self._packets = _Packets(self)
        self._path = ""

    def opening(self) -> bytes:
        """Return the handshake; see ``Consumer``."""
        self._path = ""
        return request("/socket.io/?EIO=4&transport=polling")

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; see ``Consumer``."""
        data = self.incomplete + data
        head, end, rest = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if not end or length is None or len(rest) < int(length[1]):
            self.incomplete = data
            return b""
        body, self.incomplete = rest[: int(length[1])], rest[int(length[1]) :]
        self.check_status(head, 200)
        return self._answered(body)

    def _answered(self, body: bytes) -> bytes:
        if not self._path:
            sid = json.loads(body[1:].partition(b"\x1e")[0])["sid"]
            self._path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
            return request(self._path, "POST", body=self._packets.connect().encode())
        answers = [self._packets.take(it) for it in body.split(b"\x1e")] if body != b"ok" else []
        if any(answers):
            return request(self._path, "POST", body="\x1e".join(filter(None, answers)).encode())
        return request(self._path)


class StreamConsumer(Consumer):
    """Server-Sent Events."""

    def __init__(self, name: str, offset: str) -> None:
        super().__init__(name, offset)
        self._open = False

    def opening(self) -> bytes:
        """Return the request; see ``Consumer``."""
        self._open = False
        return request(f"/api/stream?{self.query}", headers="Accept: text/event-stream\r\n")

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; see ``Consumer``. The sizes of chunks stand between the messages."""
        data = self.incomplete + data
        if not self._open:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self.incomplete = data
                return b""
            self.check_status(head, 200)
            self._open, data = True, rest
        *messages, self.incomplete = data.split(b"\n\n")
        for message in messages:
            number, offset = _NUMBER.search(message), _STREAM_ID.search(message)
            if number and offset:
                self.record(int(number[1]), offset[1].decode())
            elif b"event: ready" in message:
                self.caught_up(message)
            elif b"event: error" in message:
                raise Lost
        return b""


KINDS = {
    "plain": PlainConsumer,
    "socketio": SocketIOConsumer,
    "polling": PollingConsumer,
    "stream": StreamConsumer,
}
