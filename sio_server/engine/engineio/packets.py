"""Encode and decode Engine.IO 4 packets, strictly by the protocol. Pure.

A packet that breaks the protocol raises ``ProtocolError``. The session is then closed, as the
protocol demands (Engine.IO protocol, "Packet encoding").
"""

from __future__ import annotations

import base64
import binascii
import json

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
SEPARATOR = b"\x1e"
"""Separates the packets of a polling payload."""

MAX_SHOWN_CHARACTERS = 80
"""How many characters of a bad packet an error message quotes."""


class ProtocolError(Exception):
    """A client has broken the Engine.IO or Socket.IO protocol.

    The message is bounded in length and safe to log.
    """


class OpenPacket:
    """The OPEN packet for the clients of one transport (Engine.IO protocol, "Handshake").

    Args:
        upgrades: the transports that a client may upgrade to.
        ping_interval: seconds from a pong to the next ping.
        ping_timeout: seconds that a client has to answer a ping.
        max_payload_bytes: the bound for a polling body.
    """

    __slots__ = ("_encoded_fields",)

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
        self._encoded_fields = json.dumps(fields, separators=(",", ":"))[1:]

    def encode(self, sid: str) -> str:
        """Return the packet that opens the session with this id."""
        return f'{OPEN}{{"sid":{json.dumps(sid)},{self._encoded_fields}'


def decode(encoded: str) -> tuple[str, str | bytes]:
    """Split an Engine.IO packet into its type and its data.

    Args:
        encoded: a text frame's payload, or one packet of a polling payload.

    Raises:
        ProtocolError: the packet has an unknown type, or is not valid base64.
    """
    packet_type = encoded[:1]
    if packet_type == "b":
        try:
            if len(encoded) % 4 != 1:  # b64decode accepts superfluous padding
                raise ValueError("length is not a multiple of 4")
            return MESSAGE, base64.b64decode(encoded[1:], validate=True)
        except (binascii.Error, ValueError):
            raise ProtocolError("binary packet is not base64") from None
    if not OPEN <= packet_type <= NOOP:
        raise ProtocolError(f"unknown Engine.IO packet {encoded[:MAX_SHOWN_CHARACTERS]!a}")
    return packet_type, encoded[1:]
