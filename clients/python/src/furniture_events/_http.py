"""One HTTP exchange at a time, over pooled connections. Only this module uses the HTTP library.

It never retries. It maps every exception of the library to an error of this package and returns the
error as a value. A raised error would keep the library's exception, which holds the request and so
the key.

The environment is not trusted (``trust_env=False``). A proxy variable for a site's other traffic
must not send events and the key elsewhere, and a ``.netrc`` must not replace the key. Redirects are
not followed, because the key is only for the host in ``url``.
"""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

import httpx2

from furniture_events._settings import Settings
from furniture_events._wire import Answer, Outcome, Request, Send
from furniture_events.errors import (
    AnswerTimeout,
    ConfigurationError,
    ConnectionLost,
    FurnitureEventsError,
    ProducerClosed,
    Unreachable,
)

__all__ = ["AsyncPool", "Pool"]

_KEEPALIVE_SECONDS = 15.0
_MAX_ANSWER_BYTES = 16 * 1024 * 1024


class _PoolBase:
    """The arguments of an HTTP client and the bounds of an exchange, which both pools share."""

    def __init__(
        self,
        settings: Settings,
        ssl_context: ssl.SSLContext | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            url = httpx2.URL(settings.url)
            url.raw_host.decode("ascii").encode("idna")  # as the resolver does
        except (httpx2.InvalidURL, UnicodeError):
            raise ConfigurationError("url: its host cannot be read") from None
        self._settings = settings
        self._clock = clock
        self._closed = False
        self._limits = httpx2.Limits(
            max_connections=settings.max_connections,
            max_keepalive_connections=settings.max_connections,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        self._verify: ssl.SSLContext | bool = True
        if ssl_context is not None:
            self._verify = ssl_context
        elif url.scheme == "http":
            # Plain http does not use it, and loading the system's certificates takes long.
            self._verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def _url(self, request: Request) -> str:
        return f"{self._settings.url}{request.target}"

    def _timeout(self, budget: float) -> httpx2.Timeout:
        budget = max(budget, 0.001)
        return httpx2.Timeout(
            min(self._settings.timeout, budget),
            connect=min(self._settings.connect_timeout, budget),
        )


class Pool(_PoolBase):
    """Exchanges for threads. After a fork the child gets its own client, with its own sockets."""

    def __init__(
        self,
        settings: Settings,
        ssl_context: ssl.SSLContext | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, ssl_context, clock=clock)
        self._clients: dict[int, httpx2.Client] = {}

    def exchange(self, send: Send) -> Outcome:
        """Send the request once; return the whole answer, or the error instead of it."""
        request = send.request
        body = _Body(self._clock, send.budget)
        try:
            with self._client().stream(
                request.method,
                self._url(request),
                headers=dict(request.headers),
                content=request.body or None,
                timeout=self._timeout(send.budget),
            ) as response:
                for chunk in response.iter_bytes():
                    body.add(chunk)
                return _answer(response, body)
        except (httpx2.RequestError, FurnitureEventsError) as error:
            return _outcome_of(error, request)
        except RuntimeError:
            if self._closed:
                return ProducerClosed("the producer was closed during the call")
            raise

    def close(self) -> None:
        """Close this process's connections; a second time does nothing."""
        self._closed = True
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    def _client(self) -> httpx2.Client:
        if self._closed:
            raise ProducerClosed("the producer was closed during the call")
        pid = os.getpid()
        client = self._clients.get(pid)
        if client is None:
            # No lock: a fork may happen while another thread holds it. For the same reason the
            # parent's client is dropped and not closed. Dropping it closes only the child's copies
            # of the sockets.
            for other in set(self._clients) - {pid}:
                self._clients.pop(other, None)
            client = self._clients.setdefault(pid, self._new_client())
        return client

    def _new_client(self) -> httpx2.Client:
        return httpx2.Client(verify=self._verify, trust_env=False, limits=self._limits)


class _OpenClient(NamedTuple):
    """The client of an event loop, in the process ``pid``. Closing the generator closes it."""

    pid: int
    client: httpx2.AsyncClient
    generator: AsyncGenerator[httpx2.AsyncClient, None]


class AsyncPool(_PoolBase):
    """Exchanges for asyncio. Each event loop and each process gets its own client.

    A client ends with its loop. Its connections refer to the loop, so a dictionary with weak keys
    would keep both for ever.
    """

    def __init__(
        self,
        settings: Settings,
        ssl_context: ssl.SSLContext | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, ssl_context, clock=clock)
        self._clients: dict[asyncio.AbstractEventLoop, _OpenClient] = {}

    async def exchange(self, send: Send) -> Outcome:
        """Send the request once; return the whole answer, or the error instead of it."""
        request = send.request
        body = _Body(self._clock, send.budget)
        try:
            client = await self._client()
            async with client.stream(
                request.method,
                self._url(request),
                headers=dict(request.headers),
                content=request.body or None,
                timeout=self._timeout(send.budget),
            ) as response:
                async for chunk in response.aiter_bytes():
                    body.add(chunk)
                return _answer(response, body)
        except (httpx2.RequestError, FurnitureEventsError) as error:
            return _outcome_of(error, request)
        except RuntimeError:
            if self._closed:
                return ProducerClosed("the producer was closed during the call")
            raise

    async def aclose(self) -> None:
        """Close the running loop's connections; a second time does nothing."""
        self._closed = True
        opened = self._clients.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.generator.aclose()

    async def _client(self) -> httpx2.AsyncClient:
        if self._closed:
            raise ProducerClosed("the producer was closed during the call")
        loop, pid = asyncio.get_running_loop(), os.getpid()
        opened = self._clients.get(loop)
        if opened is None or opened.pid != pid:
            self._forget_closed_loops()
            generator = self._open(loop, pid)
            client = await anext(generator)  # it never waits, so no other task opens a second one
            self._clients[loop] = opened = _OpenClient(pid, client, generator)
        return opened.client

    async def _open(
        self, loop: asyncio.AbstractEventLoop, pid: int
    ) -> AsyncGenerator[httpx2.AsyncClient, None]:
        """Yield a client, and close it at the end of the loop.

        ``asyncio.run`` closes all asynchronous generators of its loop before it closes the loop.
        """
        client = httpx2.AsyncClient(verify=self._verify, trust_env=False, limits=self._limits)
        try:
            yield client
        finally:
            opened = self._clients.get(loop)
            if opened is not None and opened.client is client:
                del self._clients[loop]
            if pid == os.getpid():  # a fork's child must not end the connections of its parent
                await client.aclose()

    def _forget_closed_loops(self) -> None:
        """Drop the clients of loops that were closed without closing their generators."""
        for loop in list(self._clients):
            if loop.is_closed():
                self._clients.pop(loop, None)


class _Body:
    """The bytes of an answer that came so far, bounded in time and in size."""

    def __init__(self, clock: Callable[[], float], budget: float) -> None:
        self._clock = clock
        self._ends = clock() + budget
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        self._data += chunk
        if len(self._data) > _MAX_ANSWER_BYTES:
            raise ConnectionLost("the answer is too long for an answer of the broker")
        if self._clock() > self._ends:
            raise AnswerTimeout("the answer did not end before the deadline")

    def __bytes__(self) -> bytes:
        return bytes(self._data)


def _answer(response: httpx2.Response, body: _Body) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(body))


def _outcome_of(  # noqa: PLR0911 - a table
    error: httpx2.RequestError | FurnitureEventsError, request: Request
) -> FurnitureEventsError:
    """Map a failed exchange. A request that began may have appended its events."""
    maybe_appended = request.publishes
    match error:
        case ProducerClosed():
            return error.with_traceback(None)
        case AnswerTimeout() | ConnectionLost():
            error.maybe_appended = maybe_appended
            return error.with_traceback(None)
        case httpx2.ConnectTimeout():
            return Unreachable("no connection to the broker in time")
        case httpx2.PoolTimeout():
            return Unreachable("none of the producer's connections became free in time")
        case httpx2.ConnectError():
            return Unreachable(f"no connection to the broker: {_reason(error)}")
        case httpx2.LocalProtocolError() | httpx2.UnsupportedProtocol():
            return Unreachable("the request could not be sent")
        case httpx2.TimeoutException():
            return AnswerTimeout("the broker did not answer in time", maybe_appended=maybe_appended)
    return ConnectionLost(
        f"the connection to the broker broke: {_reason(error)}", maybe_appended=maybe_appended
    )


def _reason(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
