"""The lease of a node in Valkey: the node's sessions count as connected until it ends.

One request extends it for all of them. A node that does not know which of its requests Valkey has
executed takes a new lease and touches its sessions: a touch puts a session in the new lease. The
other sessions of the former lease end with it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, islice
from typing import Any

from sio_server.eventlog.session_contract import Superseded

LEASE_EXTENSIONS = 3
"""A lease ends after this many times the time between two extensions."""

MAX_EXTENSIONS = 40
"""After this many extensions, about ten minutes, the node takes a new lease in any case. This
bounds the effect of all that it cannot know, such as a request that Valkey has executed very late.
"""

MAX_TOUCHED_SESSIONS = 200
"""How many sessions one request touches at most: Valkey does nothing else meanwhile."""

FIRST_LEASE = 2**52
"""The least number of a lease: more than any time in microseconds. All numbers up to twice as much
are exact as scores in Valkey."""


class SessionLease:
    """The lease of this node, and the sessions in it.

    Args:
        run: runs a step of the session script with its arguments; raises ``LogUnavailable``.
        on_superseded: called with sessions that another node has claimed.

    Attributes:
        number: the random number of the lease; 0 before there is one.
        owners: the owners of this node's sessions, by key.
    """

    def __init__(
        self,
        run: Callable[..., Awaitable[Any]],
        on_superseded: Callable[[Sequence[Superseded]], None],
    ) -> None:
        self.number = 0
        self.owners: dict[str, str] = {}
        self._run = run
        self._on_superseded = on_superseded
        self._extensions = 0
        self._in_doubt = True  # whether the lease may have other sessions than ``owners``
        self._renewing = asyncio.Lock()

    async def run(self, step: str, key: str, owner: str, *arguments: str | int) -> Any:
        """Run a step of a session's owner. If this fails, the lease is in doubt."""
        number = self.number
        try:
            answer = await self._run(step, key, owner, *arguments)
            while number != self.number:  # the session may be in the former lease
                number = self.number
                await self._run("touch", key, owner)
        except BaseException:
            self._in_doubt = True
            raise
        return answer

    def forget(self, key: str, owner: str) -> None:
        """Forget a session, if this is its owner: a new lease does not have it."""
        if self.owners.get(key) == owner:
            del self.owners[key]

    async def extend(self) -> None:
        """Extend the lease; if it has ended, or is in doubt, take a new one."""
        self._extensions += 1
        if (
            self._in_doubt
            or self._extensions > MAX_EXTENSIONS
            or not await self._run("extend", self.number)
        ):
            await self.renew()

    async def renew(self) -> None:
        """Take a new lease, touch the sessions, and find those that another node has claimed."""
        async with self._renewing:
            self._in_doubt = False
            number = FIRST_LEASE + secrets.randbelow(FIRST_LEASE)
            try:
                await self._run("extend", number)
                self.number, self._extensions = number, 0
                await self._touch()
            except BaseException:
                self._in_doubt = True
                raise

    async def _touch(self) -> None:
        sessions = iter(list(self.owners.items()))
        while batch := list(islice(sessions, MAX_TOUCHED_SESSIONS)):
            present_owners = await self._run("touch", *chain.from_iterable(batch))
            for (key, owner), present_owner in zip(batch, present_owners, strict=True):
                if present_owner == owner or self.owners.get(key) != owner:
                    continue
                if present_owner:
                    self._on_superseded([Superseded(key, present_owner)])
                else:
                    del self.owners[key]
