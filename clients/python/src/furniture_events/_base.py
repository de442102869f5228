"""What both faces share: the constructor, once, with every option in words. It opens nothing."""

import random
import ssl
import time

from furniture_events._core import Core
from furniture_events._ids import new_event_id
from furniture_events._settings import Settings
from furniture_events.errors import ProducerClosed

__all__ = ["ProducerBase"]


class ProducerBase:
    """A producer without a way to send."""

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
        batch_events: int = 1000,
        batch_bytes: int = 1_048_576,
        max_connections: int = 32,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Take the broker's base URL, such as `http://127.0.0.1:8765`, and the options.

        A path in `url` is a prefix. `key` is a producer key or a JWT that may publish.

        Bounds of one attempt: `connect_timeout` seconds to connect; `timeout` seconds without a
        byte of the answer, and the same to send, or to get a free one of `max_connections`
        connections.

        Bounds of one call (in `publish_many`: of each batch): `attempts`, the first included, and
        `deadline` seconds from the call to its end, waits included. Between attempts it waits a
        random time up to `backoff` seconds, doubled each time up to `backoff_max`, on top of what
        the broker's Retry-After asks for.

        `publish_many` sends at most `batch_events` events and `batch_bytes` bytes in one request;
        set them to the broker's own limits where those were changed. `ssl_context` replaces the
        system's certificates for https. Environment variables are not read.

        Raises `ConfigurationError` for an argument that cannot be right.
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
        )
        self._open_pool(ssl_context)
        # The module's own generator is reseeded after a fork: children do not wait in step.
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
