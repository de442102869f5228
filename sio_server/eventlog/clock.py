"""The timestamps of a log. They never go back along it, even if the machine's clock does."""

from __future__ import annotations

from collections.abc import Callable

from sio_server.logs import get_logger

TOLERATED_MILLISECONDS = 1_000
"""How far the clock may be behind the last timestamp before a warning. Clocks are corrected by
parts of a second, and those of several servers differ as much."""

log = get_logger("sio_server")


class LogClock:
    """Chooses the timestamp of an append, and warns once while the clock is behind the log.

    Args:
        clock: returns the seconds since the Unix epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._is_behind = False

    def next(self, last: int) -> int:
        """Return the timestamp of the next append: the present, but not before the last one.

        Args:
            last: the log's last timestamp. All are milliseconds since the Unix epoch.
        """
        now = int(self._clock() * 1000)
        was_behind, self._is_behind = self._is_behind, last - now > TOLERATED_MILLISECONDS
        if self._is_behind and not was_behind:
            log.warning(
                "clock_behind_log",
                seconds=(last - now) // 1000,
                effect="events keep the log's last timestamp until the clock has reached it",
            )
        return max(last, now)
