"""Connections to a Valkey or Redis server, which tell whether what failed may have been done.

A request fails in one of three ways: it was not sent, the server refused it, or it was cut off
before its answer. Only after the last may it have been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    DataError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from sio_server.contract.errors import StartError

ANSWER_SECONDS = 5.0
"""How long connecting, or an answer, may take."""

CONNECTIONS = 8
"""How many questions are asked at the same time."""

_SCHEMES = {"valkey://": "redis://", "valkeys://": "rediss://"}

_FAILURES = (RedisError, OSError, RuntimeError)
"""What a connection that breaks raises; the last is uvloop's, for one that is closed."""

_SERVER_SAID_NO = (ResponseError, BusyLoadingError, AuthenticationError)


class LinkError(Exception):
    """A request failed."""


class NotSentError(LinkError):
    """The server can't be reached; nothing was asked of it."""


class RefusedError(LinkError):
    """The server refused; nothing was done."""


class CutOffError(LinkError):
    """The connection broke before the answer."""


class Server:
    """Where the server is, and how to connect to it.

    Args:
        url: ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` or ``unix://``.

    Raises:
        StartError: the URL is none that can be used.
    """

    def __init__(self, url: str) -> None:
        for scheme, known in _SCHEMES.items():
            if url.startswith(scheme):
                url = known + url.removeprefix(scheme)
        try:
            self._pool = ConnectionPool.from_url(
                url,
                decode_responses=True,
                driver_info=None,
                protocol=2,
                # Times are kept here: on Python 3.11 its own way loses a cancellation.
                socket_connect_timeout=None,
                socket_timeout=None,
            )
            self.connection()
        except (ValueError, TypeError, RedisError):
            raise StartError(
                "SIO_EVENT_LOG: the URL of the Valkey server can't be used; "
                "write it as redis://user:password@host:6379/0"
            ) from None

    def connection(self) -> AbstractConnection:
        """Make a connection, which is not open yet."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection


class Script:
    """A Lua script that the server keeps.

    Args:
        name: its file's, beside this one.
    """

    def __init__(self, name: str) -> None:
        self.text = Path(__file__).with_name(name).read_text()
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Link:
    """One connection, opened when it is needed and for as long as it lasts; one user at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: AbstractConnection | None = None

    async def connect(self) -> None:
        """See to it that there is a connection.

        Raises:
            NotSentError: there is none.
            RefusedError: the server wants none, or not with this password.
        """
        if self._connection is not None:
            try:
                if self._connection.is_connected and not await self._connection.can_read():
                    return
            except _FAILURES:
                pass
            await self.close()
        connection = self._server.connection()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
                # What takes it may be no server, but what stands before one that is gone.
                await connection.send_command("PING")
                await connection.read_response()
        except _SERVER_SAID_NO as error:
            await _drop(connection)
            raise RefusedError(f"{type(error).__name__}: {error}") from error
        except _FAILURES as error:
            await _drop(connection)
            raise NotSentError(str(error) or type(error).__name__) from error
        except BaseException:
            await _drop(connection)
            raise
        self._connection = connection

    async def ask(self, *commands: Sequence[Any], patience: float = 0.0) -> list[Any]:
        """Send commands at once and return their answers.

        Args:
            commands: each its words.
            patience: seconds that the answers may take longer than others.

        Raises:
            NotSentError: nothing was sent.
            RefusedError: the server refused one of them, and the others need not matter.
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
            async with asyncio.timeout(ANSWER_SECONDS + patience):
                await connection.send_packed_command(packed)
                for _ in commands:
                    try:
                        answers.append(await connection.read_response())
                    except _SERVER_SAID_NO as error:
                        answers.append(error)
        except _FAILURES as error:  # a time-out is an OSError
            await self.close()
            raise CutOffError(str(error) or type(error).__name__) from error
        except BaseException:
            await self.close()  # its answers would be taken for others
            raise
        for answer in answers:
            if isinstance(answer, NoScriptError):
                raise answer
            if isinstance(answer, RedisError):
                raise RefusedError(f"{type(answer).__name__}: {answer}") from answer
        return answers

    async def run(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script; it fails as ``ask`` does."""
        rest = (len(keys), *keys, *arguments)
        try:
            (answer,) = await self.ask(("EVALSHA", script.sha, *rest))
        except NoScriptError:
            (answer,) = await self.ask(("EVAL", script.text, *rest))
        return answer

    async def tell(self, *command: Any) -> None:
        """Send a command whose answer comes as ``next`` does.

        Raises:
            CutOffError: the connection is gone.
        """
        connection = self._connection
        if connection is None:
            raise CutOffError("there is no connection")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.send_command(*command)
        except _FAILURES as error:
            await self.close()
            raise CutOffError(str(error) or type(error).__name__) from error

    async def next(self, seconds: float) -> Any:
        """Return what the server sends unasked; None where nothing came within that time.

        Raises:
            CutOffError: the connection is gone.
        """
        connection = self._connection
        if connection is None:
            raise CutOffError("there is no connection")
        try:
            return await connection.read_response(timeout=seconds)
        except _FAILURES as error:
            await self.close()
            raise CutOffError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Let the connection go. A second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _drop(connection)


async def _drop(connection: AbstractConnection) -> None:
    with suppress(*_FAILURES):
        await connection.disconnect(nowait=True)


class Links:
    """Connections for questions that may be asked again."""

    def __init__(self, server: Server) -> None:
        self._idle = [Link(server) for _ in range(CONNECTIONS)]
        self._links = list(self._idle)
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def run(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script; once more where it is cut off.

        Raises:
            NotSentError: the server can't be reached.
            RefusedError: it refused.
            CutOffError: it doesn't answer.
        """
        async with self._link() as link:
            try:
                return await link.run(script, keys, *arguments)
            except CutOffError:
                return await link.run(script, keys, *arguments)

    async def close(self) -> None:
        """Let all connections go."""
        for link in self._links:
            await link.close()

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[Link]:
        async with self._free:
            link = self._idle.pop()  # the one used last
            try:
                yield link
            finally:
                self._idle.append(link)


async def check(link: Link) -> None:
    """Hold the server to what the log needs of it.

    Raises:
        StartError: it refuses the password or the database, or forgets what it was to keep.
        LinkError: it can't be reached, or can't answer yet.
    """
    try:
        (memory,) = await link.ask(("INFO", "memory"))
    except RefusedError as error:
        if isinstance(error.__cause__, BusyLoadingError):
            raise
        raise StartError(f"SIO_EVENT_LOG: the Valkey server refuses ({error})") from None
    found = dict(line.split(":", 1) for line in memory.splitlines() if ":" in line)
    policy = found.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and found.get("maxmemory", "0") != "0":
        raise StartError(
            f"SIO_EVENT_LOG: the Valkey server throws away what it holds when its memory is full "
            f"(maxmemory-policy {policy}); set maxmemory-policy noeviction"
        )
