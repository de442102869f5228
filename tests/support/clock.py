"""A clock that moves only when a test moves it."""

from __future__ import annotations


class Clock:
    """Seconds.

    Attributes:
        now: the current seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the current seconds."""
        return self.now
