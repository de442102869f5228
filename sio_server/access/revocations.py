"""The revocations that this node knows. Pure, but for the clock."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from sio_server.access.identity import Identity
from sio_server.contract.revocations import Revocation


class _Known(NamedTuple):
    before: int
    until: float


class Revocations:
    """Tells which tokens are revoked.

    Args:
        seconds: how long a revocation counts after it became known here.
        clock: seconds since 1970.

    Attributes:
        are_known: whether the revocations of the log are known here. Until then no token can be
            accepted.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.are_known = False
        self._seconds = seconds
        self._clock = clock
        # By subject and issuer (None: every issuer), in the order in which they became known.
        self._known: OrderedDict[tuple[str, str | None], _Known] = OrderedDict()

    def add(self, revocations: Iterable[Revocation]) -> None:
        """Let revocations count from now on."""
        now = self._clock()
        for subject, issuer, before in revocations:
            earlier = self._known.pop((subject, issuer), None)
            latest = before if earlier is None else max(before, earlier.before)
            self._known[subject, issuer] = _Known(latest, now + self._seconds)
        while self._known and next(iter(self._known.values())).until < now:
            self._known.popitem(last=False)

    def include(self, identity: Identity, issued: float | None) -> bool:
        """Tell whether a token is revoked.

        Args:
            identity: the token's.
            issued: when it was issued, in seconds since 1970; None: this is unknown.
        """
        if not self._known or identity.kind != "token":
            return False
        now = self._clock()
        for issuer in {None, identity.issuer}:
            known = self._known.get((identity.name, issuer))
            if known is None or known.until < now:
                continue
            if issued is None or issued * 1000 <= known.before:
                return True
        return False
