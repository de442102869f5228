"""When to try again, and how long to wait: full jitter, Retry-After, attempts, a deadline.

Pure: time and randomness come from outside, and nothing is ever slept here.
"""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from furniture_events._settings import Settings

__all__ = ["Retries", "parse_retry_after"]

_MAX_DOUBLINGS = 32
_MAX_SECONDS = 10.0**9


class Retries:
    """The attempts of one call, counted from `started` on the caller's clock."""

    def __init__(self, settings: Settings, random: Callable[[], float], started: float) -> None:
        self._settings = settings
        self._random = random
        self._ends = started + settings.deadline
        self.attempt = 1

    def left(self, now: float) -> float:
        """Tell how many seconds remain until the deadline."""
        return self._ends - now

    def next_delay(self, now: float, retry_after: float | None) -> float | None:
        """Count a failed attempt and say how many seconds to wait, or None to give up.

        The wait is uniform between 0 and `backoff` doubled for each attempt, at most
        `backoff_max`; the broker's Retry-After comes on top, so that clients told the same do not
        all return at the same moment. A wait that would reach the deadline is not begun.
        """
        if self.attempt >= self._settings.attempts:
            return None
        doubled = self._settings.backoff * 2.0 ** min(self.attempt - 1, _MAX_DOUBLINGS)
        delay = self._random() * min(doubled, self._settings.backoff_max) + (retry_after or 0.0)
        if delay >= self.left(now):
            return None
        self.attempt += 1
        return delay


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Read a Retry-After in seconds; None where there is none that can be read.

    A date counts from the answer's own Date header, so no clock here has to agree with it.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:20]), _MAX_SECONDS)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(headers.get("date", ""))
        return min(max((until - since).total_seconds(), 0.0), _MAX_SECONDS)
    except (TypeError, ValueError):
        return None
