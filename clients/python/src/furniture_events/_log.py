"""The log lines of a producer: an event name and key=value pairs.

The logger is ``furniture_events``. A line holds only kinds, counts and times, and never the key,
furniture, an id or text from outside.
"""

import logging
from collections.abc import Sequence

from furniture_events._results import Published
from furniture_events._wire import Answer, Outcome, Send, Wait
from furniture_events.errors import FurnitureEventsError

__all__ = ["answered", "incomplete", "retrying"]

# No NullHandler: if the application configures no logging, Python prints the warnings to stderr.
_logger = logging.getLogger("furniture_events")


def answered(send: Send, outcome: Outcome, seconds: float) -> None:
    """Log one exchange, at level DEBUG."""
    _logger.debug(
        "exchange method=%s target=%s outcome=%s seconds=%.3f",
        send.request.method,
        send.request.target,
        outcome.status if isinstance(outcome, Answer) else type(outcome).__name__,
        seconds,
    )


def retrying(wait: Wait) -> None:
    """Log that an attempt failed and another one follows, at level WARNING."""
    _logger.warning(
        "retry attempt=%d delay=%.3f reason=%s",
        wait.attempt,
        wait.seconds,
        type(wait.reason).__name__,
    )


def incomplete(results: Sequence[Published | FurnitureEventsError]) -> None:
    """Log how many events of a ``publish_many`` call failed, if any, at level WARNING."""
    failed = [result for result in results if isinstance(result, FurnitureEventsError)]
    if failed:
        _logger.warning(
            "publish_many_incomplete failed=%d of=%d first=%s",
            len(failed),
            len(results),
            type(failed[0]).__name__,
        )
