"""Log lines about what strangers send: a bounded number of them, however much they send."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from sio_server.logs import get_logger

log = get_logger("sio_server")

SECONDS = 60.0
MAX_LINES = 10
"""How many lines of one kind come within ``SECONDS`` at most."""


class Notices:
    """The log lines of one kind: one for each text within ``SECONDS``, and ``MAX_LINES`` in all.

    What was not written is counted, and the next line has the number.

    Args:
        event: the name of the log line.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, event: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._clock = clock
        self._written: OrderedDict[str, float] = OrderedDict()  # the text that was last, is last
        self._omitted = 0

    def write(self, text: str, **fields: str) -> None:
        """Write a line, unless there was one about the same text, or too many, lately."""
        now = self._clock()
        while self._written and next(iter(self._written.values())) <= now - SECONDS:
            self._written.popitem(last=False)
        if text in self._written or len(self._written) >= MAX_LINES:
            self._omitted += 1
            return
        self._written[text] = now
        omitted, self._omitted = self._omitted, 0
        counted = {"omitted": omitted} if omitted else {}
        log.warning(self._event, **fields, **counted)
