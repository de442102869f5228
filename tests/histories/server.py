"""A server in process, without sockets: all that lies between the log and the transports."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from sio_server.access.principals import Principal
from sio_server.app import make_app
from sio_server.contract.events import Event
from sio_server.engine import EngineSession
from sio_server.eventlog.contract import AppendResult, Bounds, Retention
from sio_server.net.request import HttpRequest
from sio_server.settings import Settings
from tests.histories.line import Line
from tests.histories.logs import Gate, make_log
from tests.histories.loop import QuietLoop

SLOW_SECONDS = 30
EPOCH_SECONDS = 1_700_000_000
PRODUCER = Principal("key", may_publish=True, may_consume=True)
SETTINGS = Settings(
    _env_file=None, open_publish="anyone", rate_limit=1_000_000, slow_seconds=SLOW_SECONDS
)


class Node:
    """A running server.

    Args:
        loop: that it runs in.
        path: its log's file; None: it is in memory.
        retention: its log's.
        recent: how many of the latest events its fan-out holds.
    """

    def __init__(
        self, loop: QuietLoop, path: Path | None, retention: Retention, recent: int
    ) -> None:
        self.gate = Gate()
        self._loop = loop
        self._log = make_log(path, retention, lambda: EPOCH_SECONDS + loop.now, self.gate)
        settings = SETTINGS.model_copy(update={"retention_events": recent})
        _, self._hub, self._endpoint = make_app(settings, self._log)
        self._eio = self._endpoint.server.eio
        self._loop.finish(self._hub.start())

    def bounds(self) -> Bounds:
        """Return what the log keeps."""
        return self._loop.finish(self._log.bounds())

    def publish(self, events: Sequence[Event]) -> Coroutine[Any, Any, list[AppendResult]]:
        """Append events as one step."""
        return self._hub.publish_many(PRODUCER, events)

    def connect(self, line: Line, auth: dict[str, Any]) -> EngineSession:
        """Let a client connect over a line, as the engine does after the handshake."""
        request = HttpRequest(
            "GET",
            "/socket.io/?EIO=4&transport=websocket",
            CIMultiDict({"Host": "localhost"}),
            ("127.0.0.1", 1),
            "http",
            detach=lambda connection: None,
            is_open=lambda: True,
            read=_read_nothing,
        )
        release = self._eio._admit(request)
        assert callable(release)
        session: EngineSession = self._eio.make_session(self._eio, self._eio.generate_id(), request)
        session.transport, session.release = line, release
        self._eio.sockets[session.sid] = session
        self._eio._call(session, "connect", session.environ)
        self.receive(session, f"0{json.dumps(auth)}")
        return session

    def receive(self, session: EngineSession, packet: str) -> None:
        """Take a Socket.IO packet from a client, once the loop runs."""

        async def take() -> None:
            waiting = session.message_received(f"4{packet}")
            if waiting is not None:
                await waiting

        self._loop.create_task(take())

    def cut(self, session: EngineSession) -> None:
        """Let the server see that a client's transport is gone, once the loop runs."""
        self._loop.call_soon(session.connection_closed, None)

    def stop(self) -> None:
        """Stop, once the consumers are closed."""
        self.gate.open()
        self._loop.settle()
        for session in list(self._eio.sockets.values()):
            self._loop.call_soon(session.end, "transport close")
        self._loop.settle()
        self._loop.finish(self._hub.stop())
        self._loop.cancel_all()

    def kill(self) -> None:
        """End at once: nothing more is noted of any consumer."""
        self._loop.finish(self._log.close())
        self._loop.cancel_all()


async def _read_nothing(max_bytes: int, seconds: float) -> bytes:
    return b""
