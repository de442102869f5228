"""A server in process, without sockets: everything between the event log and the transports."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from sio_server.access import credentials
from sio_server.access.identity import Identity
from sio_server.access.principals import Principal
from sio_server.app import make_app
from sio_server.contract.events import Event
from sio_server.engine import EngineSession
from sio_server.engine.engineio.handlers import call_handler
from sio_server.eventlog.contract import AppendResult, Bounds, Retention
from sio_server.net.request import HttpRequest
from sio_server.net.response import HttpResponse
from sio_server.settings import Settings
from tests.histories.event_logs import ReadHold, make_log
from tests.histories.event_loop import SteppedLoop
from tests.histories.transport import SimulatedTransport
from tests.support.tokens import SECRET

SLOW_SECONDS = 30
START_TIME = 1_700_000_000
"""The Unix time at the start of a history, in seconds."""
PRODUCER = Principal(Identity("key", "default"), may_publish=True, may_consume=True)
SETTINGS = Settings(
    _env_file=None,
    open_publish="anyone",
    rate_limit=1_000_000,
    slow_seconds=SLOW_SECONDS,
    jwt_secret=SECRET,
)
TOKENS = credentials.tokens(SETTINGS)


class InProcessServer:
    """A running server.

    Args:
        loop: the event loop that it runs in.
        path: the file of its log; None: the log is in memory.
        retention: the retention of its log.
        recent_events: the number of latest events that its fan-out holds in memory.
    """

    def __init__(
        self, loop: SteppedLoop, path: Path | None, retention: Retention, recent_events: int
    ) -> None:
        self.reads = ReadHold()
        self._loop = loop
        self._log = make_log(path, retention, lambda: START_TIME + loop.now, self.reads)
        settings = SETTINGS.model_copy(update={"retention_events": recent_events})
        _, self._hub, self._endpoint = make_app(settings, self._log, TOKENS)
        self._eio = self._endpoint.server.eio
        self._loop.finish(self._hub.start())

    def bounds(self) -> Bounds:
        """Return the log's oldest and latest offset."""
        return self._loop.finish(self._log.bounds())

    def publish(self, events: Sequence[Event]) -> Coroutine[Any, Any, list[AppendResult]]:
        """Publish events in one batch."""
        return self._hub.publish_many(PRODUCER, events)

    def connect(self, transport: SimulatedTransport, auth: dict[str, Any]) -> EngineSession:
        """Open an Engine.IO session on a transport, and send the client's Socket.IO CONNECT."""
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
        guest = self._eio._door.admit(request)
        assert not isinstance(guest, HttpResponse)
        sid = self._eio.generate_id()
        session: EngineSession = self._eio.make_session(self._eio, sid, request, guest)
        session.transport = transport
        self._eio.sockets[session.sid] = session
        call_handler(self._eio.handlers, session, "connect", session.environ)
        self.receive(session, f"0{json.dumps(auth)}")
        return session

    def receive(self, session: EngineSession, packet: str) -> None:
        """Receive a Socket.IO packet of a client, when the loop runs."""

        async def receive() -> None:
            waiting = session.message_received(f"4{packet}")
            if waiting is not None:
                await waiting

        self._loop.create_task(receive())

    def cut(self, session: EngineSession) -> None:
        """End a client's transport, so that the server sees it when the loop runs."""
        self._loop.call_soon(session.connection_closed, None)

    def stop(self) -> None:
        """Close all connections, then stop."""
        self.reads.release()
        self._loop.run_until_idle()
        for session in list(self._eio.sockets.values()):
            self._loop.call_soon(session.end, "transport close")
        self._loop.run_until_idle()
        self._loop.finish(self._hub.stop())
        self._loop.cancel_all()

    def kill(self) -> None:
        """End at once, without storing anything about the open connections."""
        self._loop.finish(self._log.close())
        self._loop.cancel_all()


async def _read_nothing(max_bytes: int, seconds: float) -> bytes:
    return b""
