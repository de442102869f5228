"""Event ids: UUIDv7 in canonical text, made on the client so that a retry is recognised.

Ids come from the clock and the system's randomness, which a fork does not repeat. This module
never looks at an event.
"""

import os
import time
from uuid import UUID

__all__ = ["new_event_id", "uuid7"]

_VERSION = 7 << 76
_VARIANT = 0b10 << 62


def uuid7(milliseconds: int, randomness: bytes) -> UUID:
    """Build a UUIDv7 (RFC 9562, section 5.7) from a Unix time in milliseconds and ten bytes."""
    bits = int.from_bytes(randomness)
    rand_a = (bits >> 62) & 0xFFF
    rand_b = bits & ((1 << 62) - 1)
    clock = (milliseconds & ((1 << 48) - 1)) << 80
    return UUID(int=clock | _VERSION | rand_a << 64 | _VARIANT | rand_b)


def new_event_id() -> str:
    """Make a fresh event id."""
    return str(uuid7(time.time_ns() // 1_000_000, os.urandom(10)))
