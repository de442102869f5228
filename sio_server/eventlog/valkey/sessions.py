"""The session store of the Valkey log: a hash for each session, with a time to live.

A claim is published on a channel, from which the former owner's node learns of it. A message may be
lost. So a node compares the owners of its own sessions regularly, and each time the channel was
cut.
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
from sio_server.eventlog.valkey.connection import (
    CutOffError,
    LuaScript,
    ValkeyConnection,
    ValkeyError,
)

logger = logging.getLogger(__name__)

SESSION_SCRIPT = LuaScript("sessions.lua")

TOUCH_SECONDS = 15.0
"""The longest time between two touches of this node's sessions. A touch extends their life."""

MAX_TOUCHED_SESSIONS = 200
"""How many sessions one request touches at most."""

PING_SECONDS = 5.0
"""After so much silence on the channel, the node checks whether the connection is alive."""

RETRY_SECONDS = 0.2
"""How long the store waits before it tries again to reach Valkey."""


class ValkeySessions(SessionStore):
    """Sessions in Valkey.

    Args:
        prefix: of every key, one hash tag.
        seconds: how long a session lives after its owner has left.
        connection: used only for the channel.
        run_script: runs a script with keys and arguments; raises ``LogUnavailable``.
    """

    def __init__(
        self,
        prefix: str,
        seconds: float,
        connection: ValkeyConnection,
        run_script: Callable[..., Awaitable[Any]],
    ) -> None:
        self._prefix = f"{prefix}:session:"
        self._channel = f"{prefix}:superseded"
        self._touch_seconds = min(TOUCH_SECONDS, seconds / 4)
        self._left_milliseconds = int(seconds * 1000)
        self._connected_milliseconds = int((seconds + self._touch_seconds) * 1000)
        self._connection = connection
        self._run_script = run_script
        self._owners: dict[str, str] = {}  # of this node's sessions
        self._tails: Tails[Superseded] = Tails()

    @override
    async def create(self, key: str, owner: str, data: str) -> None:
        await self._step("create", key, self._connected_milliseconds, owner, data)
        self._owners[key] = owner

    @override
    async def claim(self, key: str, owner: str) -> str | None:
        message = json.dumps([key, owner])
        data: str | None = await self._step(
            "claim", key, self._connected_milliseconds, owner, self._channel, message
        )
        if data is not None:
            self._owners[key] = owner
        return data

    @override
    async def change(self, key: str, owner: str, data: str) -> bool:
        return bool(await self._step("change", key, self._connected_milliseconds, owner, data))

    @override
    async def leave(self, key: str, owner: str, data: str) -> bool:
        self._forget(key, owner)  # before the request, so that no touch extends its life again
        return bool(await self._step("leave", key, self._left_milliseconds, owner, data))

    @override
    async def end(self, key: str, owner: str) -> bool:
        self._forget(key, owner)
        return bool(await self._step("end", key, 0, owner))

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    async def subscribe(self) -> None:
        """Subscribe to the channel on a new connection.

        Raises:
            ValkeyError: Valkey cannot be reached, or refuses.
        """
        await self._connection.close()
        await self._connection.request(("SUBSCRIBE", self._channel))

    async def listen(self) -> None:
        """Receive the channel's messages until cancelled; subscribe again after every cut."""
        while True:
            try:
                await self._receive_messages()
            except (ValkeyError, LogUnavailable):
                pass  # the follower logs it
            except Exception:
                logger.exception("event_log_sessions_failed")
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self.subscribe()
                await self._touch()  # finds the claims whose messages were lost
            except (ValkeyError, LogUnavailable):
                pass

    async def keep_alive(self) -> None:
        """Touch the sessions of this node regularly, until cancelled."""
        while True:
            await asyncio.sleep(self._touch_seconds)
            try:
                await self._touch()
            except LogUnavailable:
                pass
            except Exception:
                logger.exception("event_log_sessions_failed")

    async def close(self) -> None:
        """End the tails of superseded sessions and close the connection."""
        self._tails.end()
        await self._connection.close()

    async def _receive_messages(self) -> None:
        ping_sent = False
        while True:
            message = await self._connection.receive(PING_SECONDS)
            if message is not None:
                ping_sent = False
                self._handle_message(message)
            elif ping_sent:
                raise CutOffError("the channel is silent")
            else:
                ping_sent = True
                await self._connection.send("PING")

    def _handle_message(self, message: Sequence[Any]) -> None:
        if message[0] == "message":
            key, owner = json.loads(message[2])
            self._publish([Superseded(key, owner)])

    def _publish(self, superseded: Sequence[Superseded]) -> None:
        for key, owner in superseded:
            if self._owners.get(key, owner) != owner:
                del self._owners[key]
        self._tails.publish(superseded)

    async def _touch(self) -> None:
        """Extend the life of this node's sessions, and find those that another node has claimed."""
        sessions = iter(list(self._owners.items()))
        while batch := list(islice(sessions, MAX_TOUCHED_SESSIONS)):
            keys = [self._prefix + key for key, _ in batch]
            owners = [owner for _, owner in batch]
            present_owners = await self._run_script(
                SESSION_SCRIPT, keys, "touch", self._connected_milliseconds, *owners
            )
            for (key, owner), present_owner in zip(batch, present_owners, strict=True):
                if present_owner == owner or self._owners.get(key) != owner:
                    continue
                if present_owner:
                    self._publish([Superseded(key, present_owner)])
                else:
                    del self._owners[key]

    async def _step(self, step: str, key: str, milliseconds: int, *arguments: str) -> Any:
        keys = [self._prefix + key]
        return await self._run_script(SESSION_SCRIPT, keys, step, milliseconds, *arguments)

    def _forget(self, key: str, owner: str) -> None:
        if self._owners.get(key) == owner:
            del self._owners[key]
