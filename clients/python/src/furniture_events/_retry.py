"""When to try again, and how long to wait: full jitter, Retry-After, attempts, a deadline.

Pure: the caller brings the time and randomness. This module never sleeps.
"""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from furniture_events._settings import Settings

__all__ = ["Retries", "parse_retry_after"]

_MAX_DOUBLINGS = 32
_MAX_RETRY_AFTER_SECONDS = 10.0**9


class Retries:
    """The attempts of one call, counted from ``started`` on the caller's clock."""

    def __init__(self, settings: Settings, random: Callable[[], float], started: float) -> None:
        self._settings = settings
        self._random = random
        self._ends = started + settings.deadline
        self.attempt = 1

    def seconds_left(self, now: float) -> float:
        """Tell how many seconds remain until the deadline."""
        return self._ends - now

    def next_delay(self, now: float, retry_after: float | None) -> float | None:
        """Count a failed attempt; return the seconds to wait, or None to give up.

        The wait is uniform between 0 and ``backoff``, which each attempt doubles up to
        ``backoff_max``. The broker's Retry-After is added to it, so that clients with the same
        Retry-After do not all come back at the same moment. If the wait would reach the deadline,
        the result is None.
        """
        if self.attempt >= self._settings.attempts:
            return None
        doubled = self._settings.backoff * 2.0 ** min(self.attempt - 1, _MAX_DOUBLINGS)
        delay = self._random() * min(doubled, self._settings.backoff_max) + (retry_after or 0.0)
        if delay >= self.seconds_left(now):
            return None
        self.attempt += 1
        return delay


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Read a Retry-After header in seconds; None if there is no valid one.

    A date counts from the answer's own Date header, so that this machine's clock does not matter.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:20]), _MAX_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(headers.get("date", ""))
        return min(max((until - since).total_seconds(), 0.0), _MAX_RETRY_AFTER_SECONDS)
    except (TypeError, ValueError):
        return None
