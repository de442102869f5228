"""What a WebSocket client sends, taken apart as RFC 6455 asks. Pure."""

from __future__ import annotations

PART, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""What ``next`` returns: a frame of a message that is not yet whole, messages, control frames."""

NORMAL, PROTOCOL_ERROR, BAD_DATA, TOO_LARGE = 1000, 1002, 1007, 1009
"""Close codes (RFC 6455, 7.4.1)."""

_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_MAX_CONTROL_BYTES = 125


class FramingError(Exception):
    """A client broke RFC 6455.

    Attributes:
        code: with which the connection is to be closed.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class FrameReader:
    """Cuts a stream of bytes into messages; keeps no more than one message and what was fed.

    Args:
        max_message_bytes: the bound for one message, in however many frames it comes.
    """

    __slots__ = ("_data", "_kind", "_max_message_bytes", "_parts")

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._data = bytearray()
        self._kind = PART  # of the message whose frames are coming in
        self._parts: bytearray | None = None

    def __len__(self) -> int:
        """Return how many bytes wait to be read."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Take what the client has sent."""
        self._data += data

    def next(self) -> tuple[int, bytes] | None:
        """Return what the next frame brings as an opcode and a payload, None where there is none.

        Raises:
            FramingError: nothing more can be read.
        """
        frame = self._next_frame()
        if frame is None:
            return None
        first, payload = frame
        opcode = first & _OPCODE
        if opcode >= CLOSE:
            return opcode, payload
        if (opcode == PART) != (self._parts is not None):
            raise FramingError(PROTOCOL_ERROR, "continuation out of place")
        if self._parts is None:
            if first & _FINAL:
                return opcode, payload
            self._kind, self._parts = opcode, bytearray()
        self._parts += payload
        if not first & _FINAL:
            return PART, b""
        whole, self._parts = bytes(self._parts), None
        return self._kind, whole

    def _next_frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        first, length = data[0], data[1] & _LENGTH
        self._check_header(first, data[1])
        start = 2
        if length > _MAX_CONTROL_BYTES:
            start = 4 if length == 126 else 10
            if len(data) < start:
                return None
            length = int.from_bytes(data[2:start], "big")
        before = 0 if self._parts is None or first & _OPCODE >= CLOSE else len(self._parts)
        if before + length > self._max_message_bytes:
            raise FramingError(TOO_LARGE, "message too large")
        end = start + 4 + length
        if len(data) < end:
            return None
        payload = _unmask(data[start : start + 4], data[start + 4 : end])
        del data[:end]
        return first, payload

    def _check_header(self, first: int, second: int) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise FramingError(PROTOCOL_ERROR, "reserved bits are set")
        if not second & _MASKED:
            raise FramingError(PROTOCOL_ERROR, "frame without a mask")
        if opcode in (CLOSE, PING, PONG):
            if not first & _FINAL or second & _LENGTH > _MAX_CONTROL_BYTES:
                raise FramingError(PROTOCOL_ERROR, "control frame too long or in parts")
        elif opcode > BINARY:
            raise FramingError(PROTOCOL_ERROR, "unknown opcode")


def _unmask(mask: bytearray, payload: bytearray) -> bytes:
    length = len(payload)
    repeated = (mask * (length // 4 + 1))[:length]
    # One exclusive or of two numbers as long as the payload: the fastest way that Python has.
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(length, "big")


def decode_text(payload: bytes) -> str:
    """Decode a text message.

    Raises:
        FramingError: it is not UTF-8.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FramingError(BAD_DATA, "text that is not UTF-8") from None


def close_code(payload: bytes) -> int:
    """Return the code with which to answer a close frame (RFC 6455, 5.5.1 and 7.4).

    Raises:
        FramingError: the frame's payload is none that a client may send.
    """
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _may_be_sent(code):
        raise FramingError(PROTOCOL_ERROR, "bad close code")
    decode_text(payload[2:])
    return code


def _may_be_sent(code: int) -> bool:
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
