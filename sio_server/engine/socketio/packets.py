"""Encode and decode Socket.IO 5 packets, strictly by the protocol. Pure.

A packet that breaks the protocol raises ``ProtocolError``. The session is then closed, as the
protocol demands (Socket.IO protocol, "Packet encoding").
"""

from __future__ import annotations

import json
import math
from typing import Any

from socketio import packet as stock

from sio_server.engine.engineio.packets import MAX_SHOWN_CHARACTERS, ProtocolError

RESERVED_EVENTS = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
_DIGITS = frozenset("0123456789")
_MAX_ACK_ID_DIGITS = 16  # JavaScript's largest safe integer has 16


class Undecodable:
    """The placeholder for event arguments that are not decoded.

    The arguments are nested too deeply, hold a number that is too long, hold ``NaN``, or come from
    a client over its rate.
    """


class Binary:
    """The placeholder for event arguments with binary data that the server drops."""


UNDECODABLE, BINARY = Undecodable(), Binary()

MAX_NAME_CHARACTERS = 256
"""An event's name is looked for in so many characters, if the event is not decoded."""


def encode_connect(namespace: str, sid: str, pid: str | None) -> str:
    """Encode the CONNECT packet that accepts a client.

    Args:
        namespace: the namespace that the client connects to.
        sid: the client's id in the namespace.
        pid: the private id by which the client can recover its session; None: it can't.
    """
    prefix = "" if namespace == "/" else f"{namespace},"
    recovery = "" if pid is None else f',"pid":{json.dumps(pid)}'
    return f'{stock.CONNECT}{prefix}{{"sid":{json.dumps(sid)}{recovery}}}'


class Packet(stock.Packet):  # type: ignore[misc]
    """A Socket.IO packet that is decoded strictly.

    Attributes:
        max_attachments: the most binary attachments of a packet. Each server has a subclass that
            sets it.
    """

    max_attachments = 10
    _discarding, _missing = False, 0

    def decode(self, encoded_packet: str, *, name_only: bool = False) -> int:
        """Decode the text of a packet; return the number of attachments that follow it.

        Args:
            encoded_packet: the text.
            name_only: of an event, decode only the name.

        Raises:
            ProtocolError: a client may not send this text.
        """
        text = encoded_packet
        if not isinstance(text, str):
            raise ProtocolError("binary data that no packet has announced")
        if text[:1] not in _DIGITS or not text or text[0] > "6":
            raise ProtocolError(f"unknown Socket.IO packet {text[:MAX_SHOWN_CHARACTERS]!a}")
        self.packet_type = int(text[0])
        self.namespace = None
        self.data = None
        text = text[1:]
        attachments = 0
        if self.packet_type in (stock.BINARY_EVENT, stock.BINARY_ACK):
            digits, dash, text = text.partition("-")
            if not dash or not _is_number(digits, 3) or int(digits) > self.max_attachments:
                raise ProtocolError("bad number of attachments")
            attachments = int(digits)
        if text.startswith("/"):
            self.namespace, _, text = text.partition(",")
            self.namespace = self.namespace.partition("?")[0]
        end = 0
        while end < len(text) and text[end] in _DIGITS:
            end += 1
        if end:
            if end > _MAX_ACK_ID_DIGITS:
                raise ProtocolError("ack id too long")
            self.id = int(text[:end])
        if text[end:]:
            if self.packet_type == stock.DISCONNECT:
                raise ProtocolError("data in a DISCONNECT packet")
            is_event = self.packet_type in (stock.EVENT, stock.BINARY_EVENT)
            if is_event and name_only:
                self.data = _decode_event_name(text[end : end + MAX_NAME_CHARACTERS])
            else:
                self.data = _decode_json(text[end:], is_event=is_event)
        self._check_data()
        return attachments

    def _check_data(self) -> None:
        kind, data = self.packet_type, self.data
        if kind == stock.CONNECT:
            valid = data is None or isinstance(data, dict)
        elif kind == stock.DISCONNECT:
            valid = True
        elif kind in (stock.EVENT, stock.BINARY_EVENT):
            valid = isinstance(data, list) and bool(data) and _is_event_name(data[0])
        elif kind in (stock.ACK, stock.BINARY_ACK):
            valid = isinstance(data, list) and self.id is not None
        else:
            valid = False
        if not valid:
            raise ProtocolError(f"bad data in a {stock.packet_names[kind]} packet")

    def discard_attachments(self) -> None:
        """Drop the arguments, and the attachments as they arrive."""
        self.data = [self.data[0], BINARY] if self.data else self.data
        self._discarding, self._missing = True, self.attachment_count

    def add_attachment(self, attachment: bytes) -> bool:
        """Add the next attachment; return whether it was the last one."""
        if not self._discarding:
            return bool(super().add_attachment(attachment))
        self._missing -= 1
        return self._missing == 0

    @classmethod
    def reconstruct_binary(cls, data: Any, attachments: list[bytes]) -> Any:
        """Replace each placeholder by its attachment (Socket.IO protocol, "Packet encoding").

        Raises:
            ProtocolError: a placeholder names no attachment, or two name the same attachment.
        """
        unused = dict(enumerate(attachments))

        def replace_placeholders(value: Any) -> Any:
            if isinstance(value, list):
                return [replace_placeholders(item) for item in value]
            if isinstance(value, dict):
                if value.get("_placeholder") is True:
                    number = value.get("num")
                    if type(number) is not int or number not in unused:
                        raise ProtocolError("placeholder without its own attachment")
                    return unused.pop(number)
                return {key: replace_placeholders(item) for key, item in value.items()}
            return value

        try:
            return replace_placeholders(data)
        except RecursionError:
            raise ProtocolError("binary packet is nested too deeply") from None


def _is_number(text: str, max_digits: int) -> bool:
    return 0 < len(text) <= max_digits and _DIGITS.issuperset(text)


def _is_event_name(name: Any) -> bool:
    return type(name) is int or (isinstance(name, str) and name not in RESERVED_EVENTS)


def _decode_json(text: str, *, is_event: bool) -> Any:
    try:
        return _decode(text)
    except json.JSONDecodeError:
        raise ProtocolError("packet data is not JSON") from None
    except (RecursionError, ValueError):  # ValueError: NaN, or a number that is too large
        if is_event:
            return _decode_event_name(text)
        raise ProtocolError("packet data can't be decoded") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _finite(number: str) -> float:
    value = float(number)
    if value in (math.inf, -math.inf):
        raise ValueError(number)
    return value


_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode


def _decode_event_name(text: str) -> Any:
    """Decode only the name of an event, so that its handler can answer with an error."""
    try:
        start = text.index("[") + 1
        name, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        raise ProtocolError("packet data can't be decoded") from None
    return [name, UNDECODABLE]
