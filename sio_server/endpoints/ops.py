"""For operators: liveness, readiness, metrics."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from aiohttp import web

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.events import Record
from sio_server.delivery.fanout import Fanout
from sio_server.endpoints.responses import json_response
from sio_server.eventlog.contract import EventLog
from sio_server.hub import Hub
from sio_server.metrics import CONTENT_TYPE, Metrics

PATHS = frozenset(("/healthz", "/readyz", "/metrics"))

READY_SECONDS = 2.0
"""The time within which the event log of a ready server answers."""

PROBE_SECONDS = 1.0
"""The time between two probes of the event log, however often a client asks."""


class Probe:
    """A question to the event log. Strangers may ask it often, so the log hears it rarely.

    Args:
        ask: asks the log; raises ``LogUnavailable``.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._task: asyncio.Task[bool] | None = None
        self._next_at = 0.0

    async def succeeds(self) -> bool:
        """Return the result of the running probe, or of the last one if that is recent."""
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now >= self._next_at):
            self._next_at = now + PROBE_SECONDS
            self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await asyncio.shield(self._task)
        except TimeoutError:
            return False

    async def _run(self) -> bool:
        try:
            await self._ask()
        except (LogUnavailable, asyncio.CancelledError):  # cancelled by the log, which closes
            return False
        return True


class Ops:
    """The endpoints that answer even while the server drains.

    Args:
        hub: knows whether the server delivers and whether it drains.
        event_log: must answer for the server to be ready.
        fanout: knows how far this server has delivered.
        metrics: the figures to show.
    """

    def __init__(self, hub: Hub, event_log: EventLog, fanout: Fanout, metrics: Metrics) -> None:
        self._hub = hub
        self._event_log = event_log
        self._fanout = fanout
        self._metrics = metrics
        self._writable = Probe(event_log.check_writable)
        self._measurable = Probe(self._measure_log)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoints."""
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)

    async def healthz(self, request: web.Request) -> web.Response:
        """Answer 200 unless only a restart helps."""
        if not self._hub.is_delivering:
            return json_response({"status": "not_delivering"}, 503)
        return json_response({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        """Answer 200 if the server can publish and deliver."""
        if self._hub.is_draining:
            return json_response({"status": "draining"}, 503)
        if not await self._writable.succeeds():
            return json_response({"status": "log_unavailable"}, 503)
        return json_response({"status": "ok"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics, in Prometheus's text format."""
        is_writable, is_measurable = await asyncio.gather(
            self._writable.succeeds(), self._measurable.succeeds()
        )
        self._metrics.ready.set(is_writable and not self._hub.is_draining)
        if not is_measurable:
            self._metrics.forget_log()
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _measure_log(self) -> None:
        """Set the figures of the log that no other part of the server counts."""
        log, metrics = self._event_log, self._metrics
        bounds = await log.bounds()
        oldest = (await log.read(bounds.oldest, None, 1)).records
        sessions = await log.sessions.count_left()
        metrics.sessions_kept.set(sessions)
        metrics.log_events.set(bounds.position.seq - bounds.oldest.seq)
        metrics.log_oldest_age.set(_age(oldest[0]) if oldest else 0)
        epoch, delivered = self._fanout.position
        is_same_log = epoch == bounds.position.epoch
        metrics.tail_lag.set(max(0, bounds.position.seq - delivered) if is_same_log else 0)


def _age(record: Record) -> float:
    """Return the seconds since a record was appended."""
    appended = datetime.fromisoformat(json.loads(record.body)["timestamp"])
    return max(0.0, time.time() - appended.timestamp())
