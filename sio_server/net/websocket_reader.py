"""Decode the frames that a WebSocket client sends, strictly by RFC 6455. Pure."""

from __future__ import annotations

FRAGMENT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""The opcodes that ``FrameReader.next`` returns.

``FRAGMENT`` is a frame of a message that is not complete yet.
"""

NORMAL, PROTOCOL_ERROR, BAD_DATA, TOO_LARGE = 1000, 1002, 1007, 1009
"""The close codes that this server sends by itself (RFC 6455, 7.4.1)."""

_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_MAX_CONTROL_BYTES = 125


class FramingError(Exception):
    """A client has broken RFC 6455.

    Attributes:
        code: the code to close the connection with.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class FrameReader:
    """Decode a stream of bytes into messages.

    It stores the fragments of at most one message, and the bytes that ``feed`` has added.

    Args:
        max_message_bytes: the bound for one message, over all its frames.
    """

    __slots__ = ("_data", "_fragments", "_max_message_bytes", "_message_opcode")

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._data = bytearray()
        self._message_opcode = FRAGMENT  # its first frame's, while _fragments is set
        self._fragments: bytearray | None = None

    def __len__(self) -> int:
        """Return the number of bytes that are not decoded yet."""
        return len(self._data)

    @property
    def unfinished_bytes(self) -> int:
        """The number of bytes that are not part of a complete message yet, about."""
        return len(self._data) + (0 if self._fragments is None else len(self._fragments))

    def feed(self, data: bytes | memoryview) -> None:
        """Add bytes that the client has sent."""
        self._data += data

    def clear(self) -> None:
        """Forget all bytes."""
        self._data.clear()
        self._fragments = None

    def next(self) -> tuple[int, bytes] | None:
        """Decode the next frame; return None if it is not complete yet.

        Returns:
            The opcode and the payload of a control frame or of a complete message; for a frame that
            does not complete its message, ``FRAGMENT`` and the frame's payload.

        Raises:
            FramingError: the client has broken RFC 6455. No more frames can be decoded.
        """
        frame = self._next_frame()
        if frame is None:
            return None
        first, payload = frame
        opcode = first & _OPCODE
        if opcode >= CLOSE:
            return opcode, payload
        if (opcode == FRAGMENT) != (self._fragments is not None):
            raise FramingError(PROTOCOL_ERROR, "continuation frame out of place")
        if self._fragments is None:
            if first & _FINAL:
                return opcode, payload
            self._message_opcode, self._fragments = opcode, bytearray()
        self._fragments += payload
        if not first & _FINAL:
            return FRAGMENT, payload
        message, self._fragments = bytes(self._fragments), None
        return self._message_opcode, message

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
        buffered = 0
        if self._fragments is not None and first & _OPCODE < CLOSE:
            buffered = len(self._fragments)
        if buffered + length > self._max_message_bytes:
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
                raise FramingError(PROTOCOL_ERROR, "control frame too long or fragmented")
        elif opcode > BINARY:
            raise FramingError(PROTOCOL_ERROR, "unknown opcode")


def _unmask(mask: bytearray, payload: bytearray) -> bytes:
    length = len(payload)
    repeated = (mask * (length // 4 + 1))[:length]
    # XOR of two integers as long as the payload is the fastest way in Python.
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(length, "big")


def decode_text(payload: bytes) -> str:
    """Decode a text message (RFC 6455, 8.1).

    Raises:
        FramingError: the payload is not UTF-8.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FramingError(BAD_DATA, "text is not UTF-8") from None


def close_code(payload: bytes) -> int:
    """Return the code of the answer to a close frame (RFC 6455, 5.5.1 and 7.4).

    Args:
        payload: the payload of the client's close frame.

    Raises:
        FramingError: a client may not send this payload.
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
