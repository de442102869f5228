"""A reader of a client's frames that follows RFC 6455 literally, without extensions."""

from __future__ import annotations

import codecs

from tests.fuzz.target import MAX_MESSAGE
from tests.fuzz.wire import BINARY, CLOSE, PING, PONG, TEXT, mask

CONTINUATION = 0
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
Event = tuple[int, bytes]


def must_not_be_sent(code: int) -> bool:
    """Return whether a close frame must not have this code (7.4.1, 7.4.2)."""
    return code in (1004, 1005, 1006, 1015) or not (1000 <= code < 1016 or 3000 <= code < 5000)


class Reading:
    """The correct reading of a client's bytes.

    Attributes:
        events: the events in order: messages by their opcode, pings and the close.
        failure: the close codes that are correct for these bytes; empty if the bytes are valid.
        may_fail: close codes that are allowed before all events are read. A server may see that a
            message or a frame is bad before its end, and may be stricter.
        whole: whether the bytes end at the end of a message.
    """

    def __init__(self, data: bytes) -> None:
        self.events: list[Event] = []
        self.failure: set[int] = set()
        self.may_fail: set[int] = set()
        self.whole = False
        self._data = data
        self._kind: int | None = None  # opcode of the unfinished message
        self._message = bytearray()
        self._position = 0
        while self._read_frame():
            pass

    def _read_frame(self) -> bool:
        """Read a frame; return whether another may follow."""
        data, at = self._data, self._position
        if len(data) - at < 2:
            self.whole = at == len(data) and self._kind is None
            return False
        first, second = data[at], data[at + 1]
        codes = self._check_header(first, second)
        at += 2
        length, extra = second & 0x7F, {126: 2, 127: 8}.get(second & 0x7F, 0)
        complete = len(data) - at >= extra
        if extra and complete:
            length = int.from_bytes(data[at : at + extra], "big")
            if length < 126 or (extra == 8 and length < 1 << 16):
                self.may_fail.add(PROTOCOL_ERROR)  # not the shortest form (5.2)
        too_big = first & 0x0F < CLOSE and len(self._message) + length > MAX_MESSAGE
        if complete and too_big:
            codes |= {PROTOCOL_ERROR, TOO_BIG} if length >> 63 else {TOO_BIG}
        at += extra + (4 if second & 0x80 else 0)
        if not complete or len(data) - at < length:
            if complete and too_big:
                self.failure = codes
            self.may_fail |= codes
            return False
        if codes:
            self.failure = codes
            return False
        self._position = at + length
        payload = mask(data[at : at + length], data[at - 4 : at])
        if first & 0x0F >= CLOSE:
            return self._control(first & 0x0F, payload)
        return self._data_frame(first, payload)

    def _check_header(self, first: int, second: int) -> set[int]:
        opcode = first & 0x0F
        final = first & 0x80
        known = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        bad = (
            first & 0x70  # 5.2: reserved bits
            or opcode not in known
            or not second & 0x80  # 5.1: a client masks
            or (opcode >= CLOSE and (not final or second & 0x7F > 125))  # 5.5
            or (opcode == CONTINUATION and self._kind is None)  # 5.4
            or (opcode in (TEXT, BINARY) and self._kind is not None)
        )
        return {PROTOCOL_ERROR} if bad else set()

    def _control(self, opcode: int, payload: bytes) -> bool:
        if opcode == PING:
            self.events.append((PING, payload))
        if opcode != CLOSE:
            return True
        if len(payload) == 1 or (payload and must_not_be_sent(int.from_bytes(payload[:2], "big"))):
            self.failure = {PROTOCOL_ERROR}
        elif not _is_utf8(payload[2:], final=True):
            self.failure = {INVALID_DATA, PROTOCOL_ERROR}
        else:
            self.events.append((CLOSE, payload))
        return False

    def _data_frame(self, first: int, payload: bytes) -> bool:
        kind = self._kind or first & 0x0F
        self._kind = kind
        self._message += payload
        final = bool(first & 0x80)
        if kind == TEXT and not _is_utf8(bytes(self._message), final=final):
            if final:
                self.failure = {INVALID_DATA}
                return False
            self.may_fail.add(INVALID_DATA)
        if final:
            self.events.append((kind, bytes(self._message)))
            self._kind = None
            self._message.clear()
        return True


def _is_utf8(data: bytes, *, final: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final)
    except UnicodeDecodeError:
        return False
    return True
