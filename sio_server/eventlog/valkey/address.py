"""Where the Valkey or Redis server is, and how a connection to it opens.

Either the URL names the server, or it names sentinels, which know the present primary of a service.
Then each new connection asks them, so that it follows a failover.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from sio_server.contract.errors import StartError
from sio_server.settings import split_places

SENTINEL_SECONDS = 1.0
"""How long one sentinel may take to answer, before the next one is asked."""

SENTINEL_PORT = 26379

CONNECTION_FAILURES = (RedisError, OSError, RuntimeError)
"""The exceptions of a connection that breaks. uvloop raises RuntimeError if it is closed."""

_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}


class ValkeyAddress:
    """The address of a server, with all that a connection to it needs.

    Args:
        url: ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` or ``unix://``; or one of
            the first four with sentinels: ``redis+sentinel://user:password@host:26379,host/name/0``.
            There, ``sentinel_username`` and ``sentinel_password`` in the query are for the
            sentinels.

    Raises:
        StartError: the URL cannot be used.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        scheme, _, sentinel = scheme.partition("+")
        url = f"{_SCHEMES.get(scheme, scheme)}://{rest}"
        self._sentinels: Sentinels | None = None
        try:
            if sentinel:
                url, self._sentinels = _split_sentinels(url)
            self._factory = _factory(url)
            self._factory.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, RedisError):
            raise StartError(
                "SIO_EVENT_LOG: the URL of the Valkey server cannot be used; write it as "
                "redis://user:password@host:6379/0, or with sentinels as "
                "redis+sentinel://user:password@host:26379,host:26379/service/0"
            ) from None

    async def open(self) -> AbstractConnection:
        """Open a connection to the server, which has answered one request.

        Raises:
            RedisError, OSError, RuntimeError: the server cannot be reached, or refuses the
                connection; or the sentinels know no primary.
        """
        connection: Any = self._factory.make_connection()  # type: ignore[no-untyped-call]
        try:
            if self._sentinels is not None:
                connection.host, connection.port = await self._sentinels.find_primary()
            await connection.connect()
            # A proxy may accept the connection although Valkey behind it is gone.
            await connection.send_command("PING" if self._sentinels is None else "ROLE")
            answer = await connection.read_response()
            if self._sentinels is not None and answer[0] != "master":
                raise RedisConnectionError(
                    f"{connection.host}:{connection.port} is not the primary yet, or no longer"
                )
        except BaseException:
            await disconnect(connection)
            raise
        opened: AbstractConnection = connection
        return opened


class Sentinels:
    """The sentinels of a service. The last one to answer is asked first.

    Args:
        factories: makes connections to each of them.
        service: the name under which they know the servers.
    """

    def __init__(self, factories: list[ConnectionPool], service: str) -> None:
        self._factories = factories
        self._service = service

    async def find_primary(self) -> tuple[str, int]:
        """Return the host and the port of the present primary.

        Raises:
            RedisError: no sentinel knows it. The message has the reason of each.
        """
        failures = []
        for factory in list(self._factories):
            place = "{host}:{port}".format(**factory.connection_kwargs)
            try:
                async with asyncio.timeout(SENTINEL_SECONDS):
                    answer = await self._ask(factory)
            except CONNECTION_FAILURES as error:
                failures.append(f"{place}: {str(error) or type(error).__name__}")
                continue
            if answer is None:
                failures.append(f"{place} knows no service {self._service}")
                continue
            self._factories.remove(factory)
            self._factories.insert(0, factory)
            host, port = answer
            return host, int(port)
        raise RedisConnectionError(f"no sentinel answers ({'; '.join(failures)})")

    async def _ask(self, factory: ConnectionPool) -> Any:
        connection: Any = factory.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            return await connection.read_response()
        finally:
            await disconnect(connection)


async def disconnect(connection: AbstractConnection) -> None:
    """Close a connection, whatever its state."""
    with suppress(*CONNECTION_FAILURES):
        await connection.disconnect(nowait=True)


def _factory(url: str) -> ConnectionPool:
    return ConnectionPool.from_url(
        url,
        decode_responses=True,
        driver_info=None,
        protocol=2,
        # The callers have their own timeouts: redis-py's lose a cancellation on Python 3.11.
        socket_connect_timeout=None,
        socket_timeout=None,
    )


def _split_sentinels(url: str) -> tuple[str, Sentinels]:
    """Return the URL of a server without its place, and the sentinels that know the place.

    Raises:
        ValueError: the URL has no sentinel, or no service.
    """
    parts = split_places(url)
    credentials, at, places = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query))
    user, password = query.pop("sentinel_username", ""), query.pop("sentinel_password", "")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    database = query.pop("db", database or "0")
    options = f"?{urlencode(query)}"
    if not service:
        raise ValueError("no service")
    factories = []
    for place in places.split(","):
        sentinel = urlsplit(f"//{place}")
        if not sentinel.hostname:
            raise ValueError("no host")
        host = f"[{sentinel.hostname}]" if ":" in sentinel.hostname else sentinel.hostname
        port = sentinel.port or SENTINEL_PORT
        factories.append(_factory(f"{parts.scheme}://{login}{host}:{port}{options}"))
    server = f"{parts.scheme}://{credentials}{at}sentinels/{database}{options}"
    return server, Sentinels(factories, unquote(service))
