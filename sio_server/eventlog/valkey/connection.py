"""Connections to a Valkey or Redis server, and three errors that say what a failure means.

A request fails in one of three ways: it was not sent, Valkey refused it, or the connection
broke before the answer. Only in the last case is it possible that Valkey has executed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    DataError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from sio_server.contract.errors import StartError
from sio_server.eventlog.valkey.address import CONNECTION_FAILURES, ValkeyAddress, disconnect

ANSWER_TIMEOUT_SECONDS = 5.0
"""How long connecting, or waiting for an answer, may take."""

MAX_POOL_CONNECTIONS = 8
"""How many scripts a pool runs at the same time at most."""

_REFUSALS = (ResponseError, BusyLoadingError, AuthenticationError)


class ValkeyError(Exception):
    """A request failed."""


class NotSentError(ValkeyError):
    """Valkey cannot be reached. It has received no request."""


class RefusedError(ValkeyError):
    """Valkey refused the request and changed nothing."""


class CutOffError(ValkeyError):
    """The connection broke before the answer. Valkey may have executed the request."""


class LuaScript:
    """A Lua script; Valkey caches it.

    Args:
        file_name: the name of its file, in this module's folder.
    """

    def __init__(self, file_name: str) -> None:
        self.text = Path(__file__).with_name(file_name).read_text()
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class ValkeyConnection:
    """One connection, which opens when a request needs it. It has one user at a time."""

    def __init__(self, address: ValkeyAddress) -> None:
        self._address = address
        self._connection: AbstractConnection | None = None

    async def connect(self) -> None:
        """Open the connection, unless it is open and healthy.

        Raises:
            NotSentError: Valkey cannot be reached.
            RefusedError: Valkey refuses the connection, or its password.
        """
        if self._connection is not None:
            try:
                if self._connection.is_connected and not await self._connection.can_read():
                    return
            except CONNECTION_FAILURES:
                pass
            await self.close()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                self._connection = await self._address.open()
        except _REFUSALS as error:
            raise RefusedError(f"{type(error).__name__}: {error}") from error
        except CONNECTION_FAILURES as error:
            raise NotSentError(str(error) or type(error).__name__) from error

    async def request(self, *commands: Sequence[Any], extra_seconds: float = 0.0) -> list[Any]:
        """Send commands together and return their answers.

        Args:
            commands: each command as its words.
            extra_seconds: how much longer than usual the answers may take.

        Raises:
            NotSentError: nothing was sent.
            RefusedError: Valkey refused one of the commands. It may have executed the others.
            CutOffError: there was no answer.
        """
        await self.connect()
        connection = self._connection
        assert connection is not None
        try:
            packed = connection.pack_commands(commands)
        except DataError as error:
            raise RefusedError(str(error)) from error
        answers: list[Any] = []
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS + extra_seconds):
                await connection.send_packed_command(packed)
                for _ in commands:
                    try:
                        answers.append(await connection.read_response())
                    except _REFUSALS as error:
                        answers.append(error)
        except CONNECTION_FAILURES as error:  # TimeoutError is an OSError
            await self.close()
            raise CutOffError(str(error) or type(error).__name__) from error
        except BaseException:
            await self.close()  # the next request would take the answers for its own
            raise
        for answer in answers:
            if isinstance(answer, NoScriptError):
                raise answer
            if isinstance(answer, ReadOnlyError):
                await self.close()  # the primary is another server now: look it up again
            if isinstance(answer, RedisError):
                raise RefusedError(f"{type(answer).__name__}: {answer}") from answer
        return answers

    async def run_script(self, script: LuaScript, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script and return its answer; raise the errors of ``request``."""
        rest = (len(keys), *keys, *arguments)
        try:
            (answer,) = await self.request(("EVALSHA", script.sha, *rest))
        except NoScriptError:
            (answer,) = await self.request(("EVAL", script.text, *rest))
        return answer

    async def send(self, *command: Any) -> None:
        """Send a command. ``receive`` returns its answer.

        Raises:
            CutOffError: the connection is broken.
        """
        connection = self._connection
        if connection is None:
            raise CutOffError("there is no connection")
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                await connection.send_command(*command)
        except CONNECTION_FAILURES as error:
            await self.close()
            raise CutOffError(str(error) or type(error).__name__) from error

    async def receive(self, seconds: float) -> Any:
        """Wait for Valkey's next message; return None if none comes within that time.

        Raises:
            CutOffError: the connection is broken.
        """
        connection = self._connection
        if connection is None:
            raise CutOffError("there is no connection")
        try:
            return await connection.read_response(timeout=seconds)
        except CONNECTION_FAILURES as error:
            await self.close()
            raise CutOffError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Close the connection. A second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await disconnect(connection)


class ValkeyPool:
    """Connections for scripts that may run twice."""

    def __init__(self, address: ValkeyAddress) -> None:
        self._idle = [ValkeyConnection(address) for _ in range(MAX_POOL_CONNECTIONS)]
        self._connections = list(self._idle)
        self._free = asyncio.Semaphore(MAX_POOL_CONNECTIONS)

    async def run_script(self, script: LuaScript, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script and return its answer. If the connection breaks, run it once more.

        Raises:
            NotSentError: Valkey cannot be reached.
            RefusedError: Valkey refused the script.
            CutOffError: the connection broke again.
        """
        async with self._borrow() as connection:
            try:
                return await connection.run_script(script, keys, *arguments)
            except CutOffError:
                return await connection.run_script(script, keys, *arguments)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            await connection.close()

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[ValkeyConnection]:
        async with self._free:
            connection = self._idle.pop()  # the most recently used
            try:
                yield connection
            finally:
                self._idle.append(connection)


async def check_server(connection: ValkeyConnection) -> None:
    """Check that Valkey can keep a log.

    Raises:
        StartError: Valkey refuses the password or the database, or deletes keys when its
            memory is full.
        ValkeyError: Valkey cannot be reached, or cannot answer yet.
    """
    try:
        (memory,) = await connection.request(("INFO", "memory"))
    except RefusedError as error:
        if isinstance(error.__cause__, BusyLoadingError):
            raise
        raise StartError(
            f"SIO_EVENT_LOG: the Valkey server refuses the connection ({error})"
        ) from None
    values = dict(line.split(":", 1) for line in memory.splitlines() if ":" in line)
    policy = values.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and values.get("maxmemory", "0") != "0":
        raise StartError(
            f"SIO_EVENT_LOG: the Valkey server deletes keys when its memory is full "
            f"(maxmemory-policy {policy}); set maxmemory-policy noeviction"
        )
