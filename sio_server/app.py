"""The composition root: makes every part of the server from the settings, and runs them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from sio_server import __version__, memory
from sio_server.access import credentials
from sio_server.access.limits import Limits
from sio_server.access.principals import Access
from sio_server.access.revocations import Revocations
from sio_server.access.tokens import Tokens
from sio_server.contract.errors import StartError
from sio_server.contract.events import EVENT_TYPES
from sio_server.contract.schemas import error_codes
from sio_server.delivery.connections import Connections
from sio_server.delivery.fanout import Fanout
from sio_server.delivery.revocations import RevocationFollower
from sio_server.delivery.sessions import ConsumerSessions
from sio_server.endpoints.admin import NAMESPACE as ADMIN_NAMESPACE
from sio_server.endpoints.admin import AdminUi
from sio_server.endpoints.documents import Documents
from sio_server.endpoints.gate import Gate
from sio_server.endpoints.http import PUBLISH_PATH, HttpApi
from sio_server.endpoints.middleware import HttpHandler, Middleware
from sio_server.endpoints.ops import Ops
from sio_server.endpoints.pages import Pages
from sio_server.endpoints.revocations import RevocationApi
from sio_server.endpoints.socketio import SocketIO
from sio_server.endpoints.sse import SseApi
from sio_server.endpoints.stats import StatsApi
from sio_server.endpoints.visitors import VisitorApi
from sio_server.endpoints.websocket import PlainWebSocket
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.hub import Hub
from sio_server.logs import get_logger, server_logger
from sio_server.metrics import Metrics
from sio_server.net import openfiles
from sio_server.net.front import HttpFront
from sio_server.net.handler import Front
from sio_server.net.listening import Listener, bind
from sio_server.net.tls import Certificate
from sio_server.net.websocket_handshake import asks_for_websocket
from sio_server.settings import Settings
from sio_server.supervisor import Supervisor

if TYPE_CHECKING:
    from sio_server.tracing import Tracing

log = get_logger("sio_server")

SWITCH_SECONDS = 0.0001
"""How long the event loop may keep the interpreter while the log's thread waits for it. Python's
5 ms would delay each step of the thread as soon as the event loop is busy."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""The signals that let the server drain and end."""


def make_event_log(settings: Settings) -> EventLog:
    """Make the event log that the settings name, not yet open.

    Raises:
        StartError: the log's URL cannot be used.
    """
    retention = Retention(
        settings.retention_seconds,
        settings.retention_events,
        settings.max_pieces,
        settings.max_sessions,
        settings.max_session_bytes,
        settings.max_token_seconds,
    )
    if settings.valkey_url is not None:
        from sio_server.eventlog.valkey.log import ValkeyLog  # noqa: PLC0415 - the other logs need no client

        return ValkeyLog(settings.valkey_url, retention)
    path = settings.sqlite_path
    return MemoryLog(retention) if path is None else SqliteLog(path, retention)


OPS = web.AppKey("ops", web.Application)
"""The application on the operators' port, if they have a port of their own."""


def make_tracing(settings: Settings) -> Tracing | None:
    """Begin to trace, if the settings say so.

    Raises:
        StartError: a variable ``OTEL_*`` asks for something that this server cannot do.
    """
    if not settings.tracing:
        return None
    from sio_server.tracing import Tracing  # noqa: PLC0415 - others need no OpenTelemetry

    tracing = Tracing(__version__)
    log.info("tracing", service_name=tracing.service, receiver=tracing.receiver)
    return tracing


def make_app(
    settings: Settings,
    event_log: EventLog | None = None,
    tokens: Tokens | None = None,
    tracing: Tracing | None = None,
) -> tuple[web.Application, Hub, SocketIO]:
    """Make every part of the server. Nothing is started.

    Args:
        settings: the server's settings.
        event_log: not yet open; None: the log that the settings name.
        tokens: verifies tokens; None: the server accepts none.
        tracing: makes spans; None: the server makes none.

    Returns:
        The web application, the hub, and the Socket.IO endpoint.
    """
    metrics = Metrics(__version__, settings.event_log.partition(":")[0])
    metrics.show_from_start(metrics.published, EVENT_TYPES, ("false", "true"))
    metrics.show_from_start(metrics.refused, error_codes())
    limits = Limits(
        settings.rate_limit,
        settings.max_rooms,
        settings.max_connections,
        settings.max_connections_per_address,
        settings.connect_rate,
        openfiles.max_connections(),
    )
    revocations = Revocations(settings.max_token_seconds)
    access = Access(
        credentials.producer_keys(settings),
        tokens,
        settings.open_publish,
        settings.require_auth,
        limits,
        revocations,
    )
    event_log = event_log or make_event_log(settings)
    fanout = Fanout(
        event_log,
        settings.slow_seconds,
        metrics.delivered.inc,
        metrics.parked.inc,
        settings.retention_events,
        metrics.replayed.inc,
    )
    metrics.parked_now.set_function(lambda: fanout.parked_now)
    sessions = ConsumerSessions(event_log.sessions)
    connections = Connections(fanout, metrics, revocations)
    hub = Hub(
        event_log,
        fanout,
        sessions,
        connections,
        access,
        RevocationFollower(event_log, revocations, connections),
        limits,
        metrics,
        settings.drain_seconds,
        settings.max_message_bytes,
        tracing,
    )
    gate = Gate(access, settings, limits, metrics)

    app = web.Application(client_max_size=settings.max_batch_bytes)
    middleware = Middleware(hub, gate, settings.keepalive_seconds)
    middleware.install(app)
    socketio = SocketIO(hub, gate, fanout, sessions, connections, limits, settings)
    sockets = PlainWebSocket(hub, gate, fanout, connections, settings)
    pages = Pages()
    socketio.add_routes(app)
    http = HttpApi(hub, gate, event_log, metrics, settings, tracing)
    http.add_routes(app)
    socketio.posts[PUBLISH_PATH] = middleware.wrap(http.publish)
    RevocationApi(hub, gate, settings).add_routes(app)
    VisitorApi(gate).add_routes(app)
    StatsApi(hub, gate, event_log, fanout, connections, metrics, settings).add_routes(app)
    SseApi(gate, fanout, connections, settings).add_routes(app)
    ops = Ops(hub, event_log, fanout, metrics)
    administrator = credentials.administrator(settings, limits)
    admin = None if administrator is None else AdminUi(administrator, socketio.server, hub, gate)
    if settings.ops_port is None:
        ops.add_routes(app)
        if admin is not None:
            admin.serve_on(socketio.server)
            socketio.add_namespace(ADMIN_NAMESPACE, admin)
    else:
        app[OPS] = web.Application()
        Middleware(hub, gate, settings.keepalive_seconds).install(app[OPS])
        ops.add_routes(app[OPS])
        if admin is not None:
            admin.add_routes(app[OPS], settings)
    pages.add_routes(app)
    Documents().add_routes(app)

    async def root(request: web.Request) -> web.StreamResponse:
        upgrades = request.method == "GET" and asks_for_websocket(request.headers)
        return await (sockets.handle if upgrades else pages.index)(request)

    app.router.add_get("/", root)
    for path in ("/ws", "/ws/"):
        app.router.add_get(path, sockets.handle, allow_head=False)
    return app, hub, socketio


async def serve(settings: Settings) -> None:
    """Run the server until SIGTERM or SIGINT, then drain it.

    Raises:
        StartError: the server cannot start. The message says why.
    """
    openfiles.raise_limit()
    if openfiles.limit() < settings.max_connections:
        log.warning(
            "few_open_files",
            limit=openfiles.limit(),
            max_connections=settings.max_connections,
            remedy="raise the hard limit of open files (ulimit -Hn), or lower SIO_MAX_CONNECTIONS",
        )
    tokens, certificate = credentials.tokens(settings), credentials.certificate(settings)
    tracing = make_tracing(settings)
    app, hub, socketio = make_app(settings, tokens=tokens, tracing=tracing)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        # Not add_signal_handler: the end of the loop would restore the default, which kills.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    supervisor = Supervisor(os.environ)
    _reload_on_sighup(
        tokens if settings.jwt_jwks is not None else None, certificate, always=supervisor.listens
    )
    runner = web.AppRunner(app, shutdown_timeout=1)
    http_logger = server_logger()

    def make_handler(front_connection: Front) -> asyncio.Protocol:
        assert runner.server is not None
        return HttpHandler(
            front_connection,
            runner.server,
            loop=loop,
            access_log=None,
            logger=http_logger,
            lingering_time=settings.connect_timeout,
        )

    async with AsyncExitStack() as ending:  # the last one ends first
        if tracing is not None:
            ending.callback(tracing.close)
        ending.push_async_callback(hub.stop)
        await hub.start()
        ops_runner = await _serve_ops(app.get(OPS), settings)
        if ops_runner is not None:
            ending.push_async_callback(ops_runner.cleanup)
        front = socketio.front(make_handler)
        ending.callback(front.abort)  # connections that have not closed yet
        ending.push_async_callback(runner.cleanup)
        await runner.setup()
        listener = await _listen(front, certificate, settings)
        ending.callback(listener.close)
        memory.tune_collector()
        ending.callback(asyncio.create_task(memory.give_back()).cancel)
        sys.setswitchinterval(SWITCH_SECONDS)
        supervisor.ready(f"serving on port {listener.port}")
        ending.callback(asyncio.create_task(supervisor.show_life()).cancel)
        await stop.wait()
        supervisor.stopping(f"closing the clients within {settings.drain_seconds:g} s")
        await hub.drain()
    log.info("stopped")
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second one must not change the exit status


def _reload_on_sighup(
    tokens: Tokens | None, certificate: Certificate | None, *, always: bool
) -> None:
    """Read these again on SIGHUP. Without any, SIGHUP ends the server, unless ``always`` is true.

    A supervisor sends SIGHUP to reload. A terminal that closes sends it, too.
    """
    reloads: list[Callable[[], None]] = []
    if tokens is not None:
        reloads.append(partial(credentials.reload_keys, tokens))
    if certificate is not None:
        reloads.append(partial(credentials.reload_certificate, certificate))

    def reload_all() -> None:
        for reload in reloads:
            reload()

    if reloads or always:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload_all)


async def _serve_ops(ops: web.Application | None, settings: Settings) -> web.AppRunner | None:
    """Serve the endpoints for operators on a port of their own, if the settings name one."""
    if ops is None or settings.ops_port is None:
        return None
    runner = web.AppRunner(ops, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        with _start_error(settings.host, settings.ops_port):
            for it in await bind(settings.host, settings.ops_port):
                await web.SockSite(runner, it).start()
    except StartError:
        await runner.cleanup()
        raise
    log.info("ops_listening", addresses=",".join(settings.host), port=runner.addresses[0][1])
    return runner


@contextmanager
def _start_error(hosts: Sequence[str], port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror  # no such host, for instance
        places = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)
        raise StartError(f"can't listen on {', '.join(places)}: {reason}") from None


async def _listen(
    front: HttpFront, certificate: Certificate | None, settings: Settings
) -> Listener:
    with _start_error(settings.host, settings.port):
        sockets = await bind(settings.host, settings.port)
        tls = None if certificate is None else certificate.context
        listener = Listener(sockets, partial(front.accept, tls=tls))
    credentials.log_who_may_publish(settings)
    log.info(
        "listening",
        addresses=",".join(settings.host),
        port=listener.port,
        tls=settings.tls_cert is not None,
        url=settings.own_url(listener.port),
        event_log=settings.event_log_shown,
    )
    return listener


def run(settings: Settings) -> None:
    """Run the server, on uvloop if it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it does not exist for Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
