"""The expected reaction of the server to a client's packets: a second version of both grammars.

It uses regular expressions and a list of expected replies instead of a parser and handlers.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from tests.fuzz.jsontext import Facts, examine
from tests.fuzz.target import MAX_ATTACHMENTS, MAX_MESSAGE, NAMESPACES, too_deep

SURE_DEPTH, IMPOSSIBLE_DEPTH = 250, 90_000
"""Up to the first depth, Python decodes nested JSON; from the second on, it does not."""

RESERVED = {
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
}
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
SOCKET_PACKET = re.compile(
    r"(?:(?P<kind>[0-4])|(?P<binary>[56])(?P<count>[0-9]{1,3})-)"
    r"(?:(?P<namespace>/[^,]*)(?:,|\Z))?(?P<id>[0-9]*)(?P<data>.*)",
    re.DOTALL,
)

Reply = tuple[Any, ...]
EITHER: Any = object()
"""A value that Python may or may not decode. Both results are correct."""


class Closed(Exception):
    """The session ends here."""


class Model:
    """A model of a session that is connected to the main namespace.

    Attributes:
        connected: the session's namespaces.
        replies: the expected replies: (kind, namespace, ack id or None, data).
        optional: replies that may be missing, because the client left their namespace at once.
        uncertain: Python may or may not decode a packet, so the session may have ended or not.
    """

    def __init__(self) -> None:
        self.connected = {"/"}
        self.replies: list[Reply] = []
        self.optional: list[Reply] = []
        self.uncertain = False
        self._pending: tuple[int, str, int | None, Any] | None = None
        self._attachments: list[bytes] = []

    def engine_text(self, packet: str) -> None:
        """Process an Engine.IO packet that arrived as text.

        Raises:
            Closed: the session ends.
        """
        if len(packet.encode()) > MAX_MESSAGE:
            raise Closed
        self.engine_decoded(*self.engine_decode(packet))

    def engine_binary(self, packet: bytes) -> None:
        """Process an Engine.IO message that arrived as a binary frame.

        Raises:
            Closed: the session ends.
        """
        if len(packet) > MAX_MESSAGE:
            raise Closed
        self.message(packet)

    def body(self, body: bytes) -> None:
        """Process a polling body, packet by packet.

        Raises:
            Closed: the session ends.
        """
        for packet in body.split(b"\x1e"):
            if len(packet) > MAX_MESSAGE:
                raise Closed
            try:
                text = packet.decode()
            except UnicodeDecodeError:
                raise Closed from None
            self.engine_decoded(*self.engine_decode(text))

    @staticmethod
    def engine_decode(packet: str) -> tuple[str, str | bytes]:
        """Split an Engine.IO packet."""
        if packet.startswith("b") and BASE64.fullmatch(packet, 1):
            return "4", base64.b64decode(packet[1:])
        if re.match("[0-6]", packet) is None:
            raise Closed
        return packet[0], packet[1:]

    def engine_decoded(self, kind: str, data: str | bytes) -> None:
        """Process a split packet."""
        if kind in "012":  # a server's packets, and CLOSE
            raise Closed
        if kind == "4":
            self.message(data)

    def message(self, data: str | bytes) -> None:
        """Process an Engine.IO message: a Socket.IO packet, or an attachment."""
        if self._pending is not None:
            self._attachment(*self._pending, data)
            return
        match = SOCKET_PACKET.fullmatch(data) if isinstance(data, str) else None
        if match is None or len(match["id"]) > 16:
            raise Closed
        kind = match["kind"] or match["binary"]
        count = int(match["count"] or 0)
        namespace = (match["namespace"] or "/").partition("?")[0]
        id = int(match["id"]) if match["id"] else None
        if count > MAX_ATTACHMENTS:
            raise Closed
        value, facts = _data(match["data"])
        if kind == "0":
            self._connect(namespace, value, facts)
        elif kind == "1":
            self._disconnect(namespace, match["data"])
        elif kind == "4" or namespace not in self.connected:
            raise Closed
        elif value is EITHER:
            self.uncertain = True
        elif kind in "36" and _is_undecodable(facts):
            raise Closed
        else:
            self._event_or_ack(kind, count, namespace, id, value)

    def _attachment(
        self, count: int, namespace: str, id: int | None, value: Any, data: str | bytes
    ) -> None:
        if isinstance(data, str):
            raise Closed
        self._attachments.append(data)
        if len(self._attachments) == count:
            attachments, self._attachments, self._pending = self._attachments, [], None
            self._event(namespace, id, restore(value, attachments))

    def _event_or_ack(
        self, kind: str, count: int, namespace: str, id: int | None, value: Any
    ) -> None:
        is_event = kind in "25"
        if not isinstance(value, list) or (id is None and not is_event):
            raise Closed
        if is_event:
            self._check_name(value)
        if count:
            self._pending = (count, namespace if is_event else "", id, value)
        elif is_event:
            self._event(namespace, id, value)

    def _connect(self, namespace: str, value: Any, facts: Facts) -> None:
        if value is EITHER and facts.valid and not facts.undecodable:
            self.uncertain = True
        elif not (value is None or isinstance(value, dict)) or namespace in self.connected:
            raise Closed  # only events are accepted with data that cannot be decoded
        if namespace in NAMESPACES:
            self.connected.add(namespace)
            self.replies.append(("connect", namespace, None, None))
        else:
            self.replies.append(("refused", namespace, None, None))

    def _disconnect(self, namespace: str, data: str) -> None:
        if data or namespace not in self.connected:
            raise Closed
        self.connected.discard(namespace)
        self.optional += [reply for reply in self.replies if reply[1] == namespace]
        self.replies = [reply for reply in self.replies if reply[1] != namespace]

    @staticmethod
    def _check_name(value: list[Any]) -> None:
        if not value or type(value[0]) not in (str, int) or value[0] in RESERVED:
            raise Closed

    def _event(self, namespace: str, id: int | None, value: list[Any]) -> None:
        if not namespace or namespace not in self.connected:
            return  # an acknowledgement, or an event of a namespace that was left
        if too_deep(value):
            value = [value[0], {"deep": True}]
        if value[0] == "ask":
            self.replies.append(("event", namespace, EITHER, ["asked"]))
        if id is None:
            self.replies.append(("event", namespace, None, ["echo", *value]))
        else:
            self.replies.append(("ack", namespace, id, value))


def _data(text: str) -> tuple[Any, Facts]:
    """Return the data as the echo answers it, or EITHER."""
    if not text:
        return None, Facts(valid=True)
    facts = examine(text)
    if not facts.undecodable and facts.depth <= SURE_DEPTH:
        if not facts.valid:
            raise Closed
        return json.loads(text), facts
    name = re.match(r'\s*\[\s*("(?:[^"\\]|\\.)*"|-?\d{1,4000})\s*[],]', text)
    if name is None or not _is_undecodable(facts):
        return EITHER, facts
    return [json.loads(name[1]), {"undecodable": True}], facts


def _is_undecodable(facts: Facts) -> bool:
    return facts.valid and (facts.undecodable or facts.depth > IMPOSSIBLE_DEPTH)


def restore(value: Any, attachments: list[bytes]) -> Any:
    """Put attachments into their places.

    Raises:
        Closed: a placeholder is wrong.
    """
    used: set[int] = set()

    def place(value: Any) -> Any:
        if isinstance(value, dict) and value.get("_placeholder") is True:
            number = value.get("num")
            if type(number) is not int or number in used or not 0 <= number < len(attachments):
                raise Closed
            used.add(number)
            return attachments[number]
        if isinstance(value, dict):
            return {key: place(item) for key, item in value.items()}
        return [place(item) for item in value] if isinstance(value, list) else value

    return place(value)
