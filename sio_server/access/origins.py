"""The origins of pages that may use this server, and the log lines about the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from sio_server.access.notices import Notices
from sio_server.contract.origins import ANY, normalise, without_port

_ANY_PORT = ":*"
MAX_SHOWN_CHARACTERS = 100


class Origins:
    """The origins of pages that may use this server.

    Args:
        allowed: origins; ``:*`` stands for any port, and ``*`` for any origin.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, allowed: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        words = set(allowed)
        self._allows_all = ANY in words
        self._allowed = {normalise(word) for word in words if not word.endswith(_ANY_PORT)}
        self._with_any_port = {
            normalise(word.removesuffix(_ANY_PORT)) for word in words if word.endswith(_ANY_PORT)
        }
        self._notices = Notices("origin_refused", clock)

    def allow(self, origin: str | None, base: str) -> bool:
        """Decide whether a page may use this server.

        Args:
            origin: the ``Origin`` header. None passes: only browsers send the header.
            base: the scheme and the host under which the client reached this server.
        """
        return self._allows_all or self.trust(origin, base)

    def trust(self, origin: str | None, base: str) -> bool:
        """Decide whether a page has the server's own origin, or an origin that the setting names.

        Only such a page may let the browser send its user's credentials.
        """
        if origin is None:
            return True
        own = normalise(origin)
        return (
            own == normalise(base)
            or own in self._allowed
            or (bool(self._with_any_port) and without_port(own) in self._with_any_port)
        )

    def note_refusal(self, origin: str) -> None:
        """Write a log line about a refused origin, unless there were many lately."""
        shown = origin[:MAX_SHOWN_CHARACTERS]
        self._notices.write(shown, origin=shown, setting="SIO_CORS_ORIGINS")
