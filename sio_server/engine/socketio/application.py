"""An application's handlers, called as python-socketio documents it, but once."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import socketio

logger = logging.getLogger("sio_server.engine.socketio")

_ack_requested: ContextVar[bool] = ContextVar("ack_requested", default=False)


def ack_requested() -> bool:
    """Tell an event handler whether the client waits for its return value."""
    return _ack_requested.get()


class Application(socketio.AsyncServer):  # type: ignore[misc]
    """The part of a server that the application's handlers are in."""

    async def _trigger_event(self, event: Any, namespace: str, *args: Any) -> Any:
        """Run an application's handler, once, with as many arguments as it takes.

        Those of ``connect`` and ``disconnect`` may do without the last one.
        """
        handler, bound = self._get_event_handler(event, namespace, args)
        if handler is not None and event == "*":  # a client's name for it, not the catch-all's own
            bound = (event, *bound)
        if handler is None:
            owner, bound = self._get_namespace_handler(namespace, args)
            if owner is None:
                return self.not_handled
            if type(owner).trigger_event is not socketio.AsyncNamespace.trigger_event:
                return await owner.trigger_event(event, *bound)
            handler = getattr(owner, f"on_{event}", None)
            if handler is None:
                return None
        if event in self.reserved_events and not _takes(handler, len(bound)):
            bound = bound[:-1]
        result = handler(*bound)
        return await result if inspect.isawaitable(result) else result

    def _listens(self, event: str, namespace: str) -> bool:
        """Tell whether the application has a handler that an event may be for."""
        handler, _ = self._get_event_handler(event, namespace, ())
        return handler is not None or self._get_namespace_handler(namespace, ())[0] is not None

    async def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: Any, namespace: str, id: int | None
    ) -> None:
        _ack_requested.set(id is not None)
        try:
            await super()._handle_event_internal(server, sid, eio_sid, data, namespace, id)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("event_handler_failed")


@functools.lru_cache(maxsize=256)
def _takes(handler: Callable[..., Any], count: int) -> bool:
    """Tell whether a handler can be called with so many arguments."""
    try:
        inspect.signature(handler).bind(*range(count))
    except TypeError:
        return False
    return True
