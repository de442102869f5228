"""A page's configuration, to stay live: the broker's URL, the log's position, a user's token.

The position must be older than the query that renders the page. Then every event is in the page or
is delivered after it. So ``live`` reads the position before the view begins.
"""

import logging
import time
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.module_loading import import_string

from furniture_events import FurnitureEventsError
from furniture_events.django.conf import config, per_setting
from furniture_events.tokens import issue_token

__all__ = ["describe", "describe_early", "live", "position"]

_logger = logging.getLogger("furniture_events.django")

_ATTRIBUTE = "furniture_events_page"


def live(view: Callable[..., Any]) -> Callable[..., Any]:
    """Read the log's position before the view queries the database; keep a token out of caches.

    The view may be sync or async. A class-based view: ``live(Page.as_view())``, or, with sync
    handlers, ``@method_decorator(live, name="dispatch")``.
    """
    if iscoroutinefunction(view):

        @wraps(view)
        async def live_async_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            setattr(request, _ATTRIBUTE, await sync_to_async(_describe)(request))
            return _private(request, await view(request, *args, **kwargs))

        return live_async_view

    @wraps(view)
    def live_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        setattr(request, _ATTRIBUTE, _describe(request))
        return _private(request, view(request, *args, **kwargs))

    return live_view


def _private(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Keep a page with a user's token out of caches that users share."""
    if getattr(request, _ATTRIBUTE)["token"] is not None:
        patch_cache_control(response, private=True)
    return response


def describe(request: HttpRequest) -> dict[str, str | None]:
    """Return the frontend's configuration: ``url``, ``since`` and ``token``.

    ``since`` is the position that ``live`` has read, or else the current one. It is None if the
    broker has never answered: then the page reloads its list when it connects, as after a gap.
    ``token`` is None without ``TOKEN_SECRET``, and if no user is signed in.
    """
    described: dict[str, str | None] | None = getattr(request, _ATTRIBUTE, None)
    return described or _describe(request)


def describe_early(request: HttpRequest) -> dict[str, str | None]:
    """As ``describe``, but ``since`` is None without ``live``: the page may be older than now."""
    described: dict[str, str | None] | None = getattr(request, _ATTRIBUTE, None)
    return described or _described(request, None)


def _describe(request: HttpRequest) -> dict[str, str | None]:
    return _described(request, position())  # before the user, which may be a query


def _described(request: HttpRequest, since: str | None) -> dict[str, str | None]:
    return {
        "url": (config().public_url or config().url).rstrip("/"),
        "since": since,
        "token": _token(getattr(request, "user", None)),
    }


def position() -> str | None:
    """Return a position of the log, at most ``POSITION_SECONDS`` old.

    While the broker does not answer, the last known position is returned, or None if there is none.
    From an older position the page also gets events that it shows already.
    """
    return _position().read()


class _Position:
    """The last position that this process got from the broker."""

    def __init__(self) -> None:
        self._seconds = config().position_seconds
        timeout = config().position_timeout
        self._producer = config().producer(
            attempts=1, deadline=timeout, timeout=timeout, connect_timeout=timeout
        )
        self.close = self._producer.close
        self._last: str | None = None
        self._has_asked = False
        self._ask_at = 0.0
        self._asking = Lock()

    def read(self) -> str | None:
        if not self._has_asked or time.monotonic() >= self._ask_at:
            with self._asking:  # the first pages wait for one answer; later pages have an older one
                self._ask()
                self._has_asked = True
        return self._last

    def _ask(self) -> None:
        now = time.monotonic()
        if now < self._ask_at:
            return
        self._ask_at = now + self._seconds
        try:
            self._last = self._producer.position()
        except FurnitureEventsError as error:
            _logger.warning("position_unknown reason=%s", type(error).__name__)


_position = per_setting(_Position)


def _token(user: Any) -> str | None:
    secret = config().token_secret
    if secret is None or user is None or not user.is_authenticated:
        return None
    rooms_of = config().token_rooms
    return issue_token(
        secret,
        str(user.pk),
        seconds=config().token_seconds,
        rooms=None if rooms_of is None else import_string(rooms_of)(user),
        iss=config().token_issuer,
        aud=config().token_audience,
    )
