"""Random bytes from a pool: the system is asked seldom, because each call takes time."""

from __future__ import annotations

import os

POOL_BYTES = 4_096
"""So many bytes are taken from the system at a time."""


class RandomPool:
    """Random bytes that nobody can guess, and that no other process gets."""

    def __init__(self) -> None:
        self._left = memoryview(b"")
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._forget)

    def take(self, size: int) -> bytes:
        """Return so many bytes, at most ``POOL_BYTES``."""
        if len(self._left) < size:
            self._left = memoryview(os.urandom(POOL_BYTES))
        taken, self._left = bytes(self._left[:size]), self._left[size:]
        return taken

    def _forget(self) -> None:
        self._left = memoryview(b"")


random_bytes = RandomPool().take
