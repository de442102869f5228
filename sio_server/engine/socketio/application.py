"""Call an application's handlers as python-socketio documents it, and each of them only once."""

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
    """Return whether the client waits for the return value of the running event handler."""
    return _ack_requested.get()


class Application(socketio.AsyncServer):  # type: ignore[misc]
    """The part of the Socket.IO server that calls the application's handlers."""

    async def _trigger_event(self, event: Any, namespace: str, *args: Any) -> Any:
        """Run the handler of an event, once.

        A handler of ``connect`` or ``disconnect`` may omit its last parameter. Its
        signature decides. python-socketio calls it a second time if it raises a ``TypeError``.
        """
        handler, bound = self._get_event_handler(event, namespace, args)
        if handler is not None and event == "*":  # the client named its event "*"
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
        if event in self.reserved_events and not _accepts(handler, len(bound)):
            bound = bound[:-1]
        result = handler(*bound)
        return await result if inspect.isawaitable(result) else result

    def _has_handler(self, event: str, namespace: str) -> bool:
        """Return whether the application has a handler for an event in a namespace."""
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
def _accepts(handler: Callable[..., Any], count: int) -> bool:
    """Return whether a handler can be called with this number of arguments."""
    try:
        inspect.signature(handler).bind(*range(count))
    except TypeError:
        return False
    return True
