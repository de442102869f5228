"""Engine.IO 4 packets, held to the protocol strictly. Pure.

A packet that breaks the protocol raises ``ProtocolError``. The session is then closed, as the
protocol asks.
"""

from __future__ import annotations

import base64
import binascii
import json

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
RECORD_SEPARATOR = "\x1e"

MAX_SHOWN_CHARACTERS = 80
"""How much of a bad packet an error's message quotes."""


class ProtocolError(Exception):
    """A client broke Engine.IO or Socket.IO. The message is bounded and safe to log."""


class OpenPacket:
    """What Engine.IO's OPEN packet tells the clients of a transport.

    Args:
        upgrades: the transports that a client may change to.
        ping_interval: seconds from a pong to the next ping.
        ping_timeout: seconds within which a pong is due.
        max_payload_bytes: the bound for a polling body.
    """

    __slots__ = ("_rest",)

    def __init__(
        self,
        upgrades: list[str],
        ping_interval: float,
        ping_timeout: float,
        max_payload_bytes: int,
    ) -> None:
        fields = {
            "upgrades": upgrades,
            "pingInterval": round(ping_interval * 1000),
            "pingTimeout": round(ping_timeout * 1000),
            "maxPayload": max_payload_bytes,
        }
        self._rest = json.dumps(fields, separators=(",", ":"))[1:]

    def encode(self, sid: str) -> str:
        """Return the packet that opens a session."""
        return f'{OPEN}{{"sid":{json.dumps(sid)},{self._rest}'


def decode(encoded: str) -> tuple[str, str | bytes]:
    """Split an Engine.IO packet into its type and its data.

    Args:
        encoded: a text frame's payload, or one packet of a polling payload.

    Raises:
        ProtocolError: unknown type, or bad base64.
    """
    kind = encoded[:1]
    if kind == "b":
        try:
            if len(encoded) % 4 != 1:  # the library lets padding pass where there is nothing to pad
                raise ValueError("not a whole number of quanta")
            return MESSAGE, base64.b64decode(encoded[1:], validate=True)
        except (binascii.Error, ValueError):
            raise ProtocolError("binary packet that is not base64") from None
    if not OPEN <= kind <= NOOP:
        raise ProtocolError(f"unknown Engine.IO packet {encoded[:MAX_SHOWN_CHARACTERS]!a}")
    return kind, encoded[1:]
