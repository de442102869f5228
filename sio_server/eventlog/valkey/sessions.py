"""The session store of the Valkey log: a hash for each session, with a time to live.

A session's owner is told of a take through a channel. A message may be lost, so that the owners of
this node's sessions are looked at again each time the channel was cut, and now and then.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import islice
from typing import Any

from typing_extensions import override

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.session_contract import SessionStore, Superseded
from sio_server.eventlog.tails import Tails
from sio_server.eventlog.valkey.connection import CutOffError, Link, LinkError, Script

logger = logging.getLogger(__name__)

SCRIPT = Script("sessions.lua")

TOUCH_SECONDS = 15.0
"""How often the sessions of this node are touched, at least."""

TOUCHED = 200
"""How many are touched in one request."""

PING_SECONDS = 5.0
"""How long the channel may be silent before it is asked whether it still is one."""

RETRY_SECONDS = 0.2
"""How long to wait before trying again to reach the server."""


class ValkeySessions(SessionStore):
    """Sessions in Valkey.

    Args:
        prefix: of every key, one hash tag.
        seconds: how long a session lives without its consumer.
        link: for the channel alone.
        run: runs a script with its keys and arguments; raises ``LogUnavailable``.
    """

    def __init__(
        self, prefix: str, seconds: float, link: Link, run: Callable[..., Awaitable[Any]]
    ) -> None:
        self._prefix = f"{prefix}:session:"
        self._channel = f"{prefix}:taken"
        self._touch_seconds = min(TOUCH_SECONDS, seconds / 4)
        self._left = int(seconds * 1000)
        self._present = int((seconds + self._touch_seconds) * 1000)
        self._link = link
        self._run = run
        self._owners: dict[str, str] = {}  # of this node's sessions
        self._tails: Tails[Superseded] = Tails()

    @override
    async def create(self, key: str, owner: str, data: str) -> None:
        await self._step("put", key, self._present, owner, data)
        self._owners[key] = owner

    @override
    async def claim(self, key: str, owner: str) -> str | None:
        told = json.dumps([key, owner])
        data: str | None = await self._step("take", key, self._present, owner, self._channel, told)
        if data is not None:
            self._owners[key] = owner
        return data

    @override
    async def change(self, key: str, owner: str, data: str) -> bool:
        return bool(await self._step("change", key, self._present, owner, data))

    @override
    async def leave(self, key: str, owner: str, data: str) -> bool:
        self._forget(key, owner)  # before it is done: what touches it must not lengthen its life
        return bool(await self._step("leave", key, self._left, owner, data))

    @override
    async def end(self, key: str, owner: str) -> bool:
        self._forget(key, owner)
        return bool(await self._step("end", key, 0, owner))

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    async def subscribe(self) -> None:
        """Begin to listen to the channel.

        Raises:
            LinkError: that can't be done now.
        """
        await self._link.close()
        await self._link.ask(("SUBSCRIBE", self._channel))

    async def listen(self) -> None:
        """Listen to the channel, for ever."""
        while True:
            try:
                await self._listen()
            except (LinkError, LogUnavailable):
                pass  # the tail says so
            except Exception:
                logger.exception("event_log_sessions_failed")
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self.subscribe()
                await self._touch()  # what was taken meanwhile
            except (LinkError, LogUnavailable):
                pass

    async def keep(self) -> None:
        """Let the sessions of this node live on, for ever."""
        while True:
            await asyncio.sleep(self._touch_seconds)
            try:
                await self._touch()
            except LogUnavailable:
                pass
            except Exception:
                logger.exception("event_log_sessions_failed")

    async def close(self) -> None:
        """Let nobody wait for sessions to be taken."""
        self._tails.end()
        await self._link.close()

    async def _listen(self) -> None:
        asked = False
        while True:
            message = await self._link.next(PING_SECONDS)
            if message is not None:
                asked = False
                self._hear(message)
            elif asked:
                raise CutOffError("the channel is silent")
            else:
                asked = True
                await self._link.tell("PING")

    def _hear(self, message: Sequence[Any]) -> None:
        if message[0] == "message":
            key, owner = json.loads(message[2])
            self._lose([Superseded(key, owner)])

    def _lose(self, taken: Sequence[Superseded]) -> None:
        for key, owner in taken:
            if self._owners.get(key, owner) != owner:
                del self._owners[key]
        self._tails.publish(taken)

    async def _touch(self) -> None:
        owned = iter(list(self._owners.items()))
        while batch := list(islice(owned, TOUCHED)):
            keys = [self._prefix + key for key, _ in batch]
            owners = [owner for _, owner in batch]
            found = await self._run(SCRIPT, keys, "touch", self._present, *owners)
            for (key, owner), current in zip(batch, found, strict=True):
                if current == owner or self._owners.get(key) != owner:
                    continue
                if current:
                    self._lose([Superseded(key, current)])
                else:
                    del self._owners[key]

    async def _step(self, step: str, key: str, lifetime: int, *arguments: str) -> Any:
        return await self._run(SCRIPT, [self._prefix + key], step, lifetime, *arguments)

    def _forget(self, key: str, owner: str) -> None:
        if self._owners.get(key) == owner:
            del self._owners[key]
