"""Event ids: UUIDv7 in canonical text, made on the client so that the broker recognises a retry.

An id comes from the clock and from the system's randomness, so a fork repeats no id.
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
    """Make a new event id."""
    return str(uuid7(time.time_ns() // 1_000_000, os.urandom(10)))
