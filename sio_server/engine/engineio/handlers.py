"""The application's handlers of Engine.IO's events."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.session import EngineSession

logger = logging.getLogger("sio_server.engine")


def call_handler(
    handlers: Mapping[str, Callable[[str, Any], Any]],
    session: EngineSession,
    event: str,
    argument: Any,
) -> Any:
    """Call the application's handler of an event, if there is one.

    Returns:
        The handler's result, or an awaitable of it; False if the handler has failed; None if there
        is none.

    Raises:
        ProtocolError: a message breaks the protocol above Engine.IO.
    """
    handler = handlers.get(event)
    if handler is None:
        return None
    try:
        result = handler(session.sid, argument)
    except ProtocolError:
        raise
    except Exception:
        logger.exception("handler_failed event=%s", event)
        return False
    return _await_result(session, event, result) if isinstance(result, Awaitable) else result


async def _await_result(session: EngineSession, event: str, result: Awaitable[Any]) -> Any:
    try:
        return await result
    except ProtocolError as error:
        session.close_with_error(error)
    except Exception:
        logger.exception("handler_failed event=%s", event)
    return False
