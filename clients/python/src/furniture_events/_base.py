"""The constructor that both producers share, which explains every option. It opens nothing."""

import random
import ssl
import time

from furniture_events._contract import MAX_BATCH_BYTES, MAX_BATCH_EVENTS
from furniture_events._core import Core
from furniture_events._ids import new_event_id
from furniture_events._settings import Settings
from furniture_events.errors import ProducerClosed

__all__ = ["ProducerBase"]


class ProducerBase:
    """A producer that cannot send yet."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        connect_timeout: float = 3.0,
        attempts: int = 5,
        deadline: float = 30.0,
        backoff: float = 0.1,
        backoff_max: float = 5.0,
        batch_events: int = MAX_BATCH_EVENTS,
        batch_bytes: int = MAX_BATCH_BYTES,
        max_connections: int = 32,
        ssl_context: ssl.SSLContext | None = None,
        tracing: bool = False,
    ) -> None:
        """Make a producer for one broker. It reads no environment variables.

        Args:
            url: the broker's base URL, such as ``http://127.0.0.1:8765``. A path is a prefix.
            key: one of the broker's producer keys.
            timeout: seconds without a byte of the answer. Also the seconds to send, and to get a
                free connection.
            connect_timeout: seconds to connect.
            attempts: how often a call is tried, with the first attempt. In ``publish_many`` this
                and ``deadline`` are for each batch.
            deadline: seconds from the call to its end, with all waits.
            backoff: after the first failure the producer waits a random time up to these seconds.
                Each later failure doubles the bound. The broker's Retry-After is added.
            backoff_max: the bound of the random wait, in seconds.
            batch_events: how many events ``publish_many`` sends in one request. If the broker's
                own limits were changed, set this and ``batch_bytes`` to them.
            batch_bytes: how many bytes ``publish_many`` sends in one request.
            max_connections: how many connections the producer opens.
            ssl_context: replaces the system's certificates for https.
            tracing: make a span of each request that publishes, with OpenTelemetry. It continues
                the trace of the caller. This needs the extra ``tracing``.

        Raises:
            ConfigurationError: an argument is invalid, or a package for it is missing.
        """
        self._settings = Settings(
            url=url,
            key=key,
            timeout=timeout,
            connect_timeout=connect_timeout,
            attempts=attempts,
            deadline=deadline,
            backoff=backoff,
            backoff_max=backoff_max,
            batch_events=batch_events,
            batch_bytes=batch_bytes,
            max_connections=max_connections,
            tracing=tracing,
        )
        self._open_pool(ssl_context)
        # Python reseeds the module's own generator after a fork, so children wait different times.
        self._core = Core(self._settings, new_id=new_event_id, random=random.random)
        self._clock = time.monotonic
        self._closed = False

    def _open_pool(self, ssl_context: ssl.SSLContext | None) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._closed:
            raise ProducerClosed("the producer is closed")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.url!r})"
