"""The application's handlers: the choice of the handler, and its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import socketio

from sio_server.engine import ack_requested
from sio_server.engine.socketio.application import Application


@pytest.fixture
def application() -> Application:
    """Return an application without handlers."""
    return Application(async_mode="aiohttp")


@pytest.mark.parametrize("event", ["connect", "disconnect"])
@pytest.mark.parametrize(
    ("handler", "count"),
    [
        (lambda a: 1, 1),
        (lambda a, b: 2, 2),
        (lambda a, b="default": 2, 2),
        (lambda *arguments: len(arguments), 2),
    ],
)
async def test_connect_and_disconnect_handlers_may_omit_their_last_parameter(
    application: Application, event: str, handler: Callable[..., int], count: int
) -> None:
    """The signature decides, not a failed call."""
    application.on(event, handler)
    assert await application._trigger_event(event, "/", "sid", "last") == count


async def test_other_handlers_get_all_arguments(application: Application) -> None:
    """A wrong number of arguments is an error."""
    application.on("x", lambda sid: None)
    with pytest.raises(TypeError):
        await application._trigger_event("x", "/", "sid", "data")


async def test_a_type_error_in_a_handler_is_raised_and_not_retried(
    application: Application,
) -> None:
    """python-socketio would call the handler again with fewer arguments."""
    calls: list[str] = []

    def connect(sid: str, environ: str = "default") -> None:
        calls.append(environ)
        raise TypeError("a handler's own")

    application.on("connect", connect)
    with pytest.raises(TypeError, match="a handler's own"):
        await application._trigger_event("connect", "/", "sid", "environ")
    assert calls == ["environ"]


async def test_a_catch_all_handler_gets_the_events_name(application: Application) -> None:
    """This includes an event that a client has named «*»."""
    application.on("*", lambda event, sid: event)
    assert await application._trigger_event("x", "/", "sid") == "x"
    assert await application._trigger_event("*", "/", "sid") == "*"


async def test_an_event_without_a_handler_is_not_handled(application: Application) -> None:
    """The caller then sends no acknowledgement."""
    assert await application._trigger_event("x", "/", "sid") is application.not_handled


async def test_a_class_without_a_method_returns_none(application: Application) -> None:
    """A class with its own ``trigger_event`` gets every event."""

    class Plain(socketio.AsyncNamespace):
        async def on_known(self, sid: str) -> str:
            return "known"

    class Dispatching(socketio.AsyncNamespace):
        async def trigger_event(self, event: str, *arguments: Any) -> Any:
            return (event, *arguments)

    application.register_namespace(Plain("/plain"))
    application.register_namespace(Dispatching("/dispatching"))
    assert await application._trigger_event("known", "/plain", "sid") == "known"
    assert await application._trigger_event("unknown", "/plain", "sid") is None
    assert await application._trigger_event("x", "/dispatching", "sid") == ("x", "sid")


async def test_has_handler_finds_functions_and_classes(application: Application) -> None:
    """The server creates the handshake's environment only for a connect handler."""
    application.on("connect", lambda sid, environ: None, namespace="/function")
    application.register_namespace(socketio.AsyncNamespace("/class"))
    found = [
        application._has_handler("connect", name) for name in ("/function", "/class", "/other")
    ]
    assert found == [True, True, False]


@pytest.mark.parametrize(("id", "requested"), [(None, False), (0, True), (7, True)])
async def test_ack_requested_tells_whether_the_event_has_an_id(
    application: Application, id: int | None, requested: bool
) -> None:
    """Id 0 is an id."""
    seen: list[bool] = []
    application.on("x", lambda sid: seen.append(ack_requested()))
    await application._handle_event_internal(application, "sid", "eio_sid", ["x"], "/", id)
    assert seen == [requested]


async def test_an_exception_in_an_event_handler_is_only_logged(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not end the client's session."""

    def fail(sid: str) -> None:
        raise ValueError("a handler's own")

    application.on("x", fail)
    await application._handle_event_internal(application, "sid", "eio_sid", ["x"], "/", None)
    (record,) = caplog.records
    assert record.getMessage() == "event_handler_failed"
    assert record.exc_info is not None
