"""The session store of the Valkey log: a hash for each session, and indexes that count them.

A node has one lease for all of its sessions, and extends it regularly. When a lease has ended, its
sessions count as left.

A claim is published on a channel, from which the former owner's node learns of it. A message may be
lost. So a node compares the owners of its own sessions each time the channel was cut, and whenever
it takes a new lease.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import suppress
from itertools import chain
from typing import Any

from typing_extensions import override

from sio_server.contract.errors import LogUnavailable, SessionsFull
from sio_server.contract.rooms import ALL_ROOMS, RoomFilter
from sio_server.eventlog.contract import TRIM_PAUSE_FACTOR, Retention
from sio_server.eventlog.session_contract import (
    BRIEF_SECONDS,
    ROOM_OVERHEAD_BYTES,
    SESSION_OVERHEAD_BYTES,
    SessionContent,
    SessionStore,
    Superseded,
)
from sio_server.eventlog.tails import Tails
from sio_server.eventlog.valkey.connection import (
    CutOffError,
    LuaScript,
    ValkeyConnection,
    ValkeyError,
)
from sio_server.eventlog.valkey.lease import LEASE_EXTENSIONS, SessionLease

logger = logging.getLogger(__name__)

SESSION_SCRIPT = LuaScript("sessions.lua")

EXTENSION_SECONDS = 15.0
"""The longest time between two extensions of this node's lease."""

MAX_SETTLED_SESSIONS = 100
"""How many sessions with an ended lease one request moves at most, and how many sessions that are
expired or beyond the bounds it drops: Valkey does nothing else meanwhile."""

PING_SECONDS = 5.0
"""After so much silence on the channel, the node checks whether the connection is alive."""

RETRY_SECONDS = 0.2
"""How long the store waits before it tries again to reach Valkey."""


class ValkeySessions(SessionStore):
    """Sessions in Valkey.

    Args:
        prefix: of every key, one hash tag.
        retention: how long a session lives after its owner has left, and the bounds.
        connection: used only for the channel.
        run_script: runs a script with keys and arguments; raises ``LogUnavailable``.
    """

    def __init__(
        self,
        prefix: str,
        retention: Retention,
        connection: ValkeyConnection,
        run_script: Callable[..., Awaitable[Any]],
    ) -> None:
        self._prefix = f"{prefix}:session:"
        self._channel = f"{prefix}:superseded"
        names = "", ":leases", ":connected", ":brief", ":long"
        self._keys = [f"{prefix}:sessions{name}" for name in names]
        self._extension_seconds = min(EXTENSION_SECONDS, retention.seconds / 4)
        self._common_arguments = (
            self._prefix,
            _microseconds(self._extension_seconds * LEASE_EXTENSIONS),
            _microseconds(retention.seconds),
            _microseconds(BRIEF_SECONDS),
            retention.sessions,
            retention.session_bytes,
            SESSION_OVERHEAD_BYTES,
            ROOM_OVERHEAD_BYTES,
            MAX_SETTLED_SESSIONS,
        )
        self._connection = connection
        self._run_script = run_script
        self._lease = SessionLease(self._run, self._publish)
        self._tails: Tails[Superseded] = Tails()

    @override
    async def create(
        self, key: str, owner: str, identity: str, data: str, rooms: Mapping[str, int]
    ) -> bool:
        created = bool(await self._lease.run("create", key, owner, identity, data, *_pairs(rooms)))
        if created:
            self._lease.owners[key] = owner
        return created

    @override
    async def claim(
        self, key: str, owner: str, identity: str, allowed: RoomFilter = ALL_ROOMS
    ) -> SessionContent | None:
        message = json.dumps([key, owner])
        patterns = () if allowed.everything else ("/", *allowed.rooms, *allowed.patterns)
        content = await self._lease.run(
            "claim", key, owner, identity, self._channel, message, *patterns
        )
        if content is None:
            return None
        self._lease.owners[key] = owner
        data, *rooms = content
        return SessionContent(data, dict(zip(rooms[::2], map(int, rooms[1::2]), strict=True)))

    @override
    async def change(
        self, key: str, owner: str, added: Mapping[str, int], removed: Collection[str]
    ) -> bool:
        changed = await self._lease.run("change", key, owner, *_room_changes(added, removed))
        if changed == "full":
            raise SessionsFull
        return bool(changed)

    @override
    async def leave(
        self,
        key: str,
        owner: str,
        data: str,
        added: Mapping[str, int],
        removed: Collection[str],
    ) -> bool:
        self._lease.forget(key, owner)  # before the request, so that no touch puts it back
        changes = _room_changes(added, removed)
        return bool(await self._lease.run("leave", key, owner, data, *changes))

    @override
    async def end(self, key: str, owner: str) -> bool:
        self._lease.forget(key, owner)
        return bool(await self._lease.run("end", key, owner))

    @override
    async def count_left(self) -> int:
        return int(await self._run("count"))

    @override
    def superseded(self) -> AsyncIterator[list[Superseded]]:
        return self._tails.open()

    async def start(self) -> None:
        """Subscribe to the channel on a new connection, and take a new lease.

        Raises:
            ValkeyError: Valkey cannot be reached, or refuses the subscription.
            LogUnavailable: the same for the lease.
        """
        await self._connection.close()
        await self._connection.request(("SUBSCRIBE", self._channel))
        try:
            await self._lease.renew()  # finds the claims whose messages were lost
        except BaseException:
            await self._connection.close()  # ``listen`` starts again
            raise

    async def listen(self) -> None:
        """Receive the channel's messages until cancelled; start again after every cut."""
        while True:
            try:
                await self._receive_messages()
            except (ValkeyError, LogUnavailable):
                pass  # the follower logs it
            except Exception:
                logger.exception("event_log_sessions_failed")
            await asyncio.sleep(RETRY_SECONDS)
            with suppress(ValkeyError, LogUnavailable):
                await self.start()

    async def keep_alive(self) -> None:
        """Extend the lease of this node regularly, until cancelled."""
        while True:
            await asyncio.sleep(self._extension_seconds)
            try:
                await self._lease.extend()
            except LogUnavailable:
                pass
            except Exception:
                logger.exception("event_log_sessions_failed")

    async def sweep(self) -> None:
        """Drop sessions that are expired or beyond the bounds, in small steps, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began, pause = loop.time(), self._extension_seconds
            try:
                if int(await self._run("sweep")) >= MAX_SETTLED_SESSIONS:
                    pause = TRIM_PAUSE_FACTOR * (loop.time() - began)
            except LogUnavailable:
                pass
            except Exception:
                logger.exception("event_log_sessions_failed")
            await asyncio.sleep(pause)

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
            if self._lease.owners.get(key, owner) != owner:
                del self._lease.owners[key]
        self._tails.publish(superseded)

    async def _run(self, step: str, *arguments: str | int) -> Any:
        fixed = step, *self._common_arguments, self._lease.number
        return await self._run_script(SESSION_SCRIPT, self._keys, *fixed, *arguments)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _pairs(rooms: Mapping[str, int]) -> Iterable[str | int]:
    return chain.from_iterable(rooms.items())


def _room_changes(added: Mapping[str, int], removed: Iterable[str]) -> tuple[str | int, ...]:
    return len(added), *_pairs(added), *removed
