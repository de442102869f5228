"""For operators: liveness, readiness, metrics."""

from __future__ import annotations

import asyncio

from aiohttp import web

from sio_server.contract.errors import LogUnavailable
from sio_server.endpoints.responses import json_response
from sio_server.eventlog.contract import EventLog
from sio_server.hub import Hub
from sio_server.metrics import CONTENT_TYPE, Metrics

PATHS = frozenset(("/healthz", "/readyz", "/metrics"))

READY_SECONDS = 2.0
"""The time within which the event log of a ready server answers."""

PROBE_SECONDS = 1.0
"""The time between two probes of the event log, however often its readiness is asked for."""


class Ops:
    """The endpoints that answer even while the server drains.

    Args:
        hub: knows whether the server delivers and whether it drains.
        event_log: must answer for the server to be ready.
        metrics: the counters to show.
    """

    def __init__(self, hub: Hub, event_log: EventLog, metrics: Metrics) -> None:
        self._hub = hub
        self._event_log = event_log
        self._metrics = metrics
        self._probe: asyncio.Task[bool] | None = None
        self._next_probe_at = 0.0

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
        if not await self._is_log_writable():
            return json_response({"status": "log_unavailable"}, 503)
        return json_response({"status": "ok"})

    async def _is_log_writable(self) -> bool:
        """Return the result of the running probe, or of the last one if that is recent.

        A probe writes to the log, so strangers who ask often must not cause many.
        """
        now = asyncio.get_running_loop().time()
        if self._probe is None or (self._probe.done() and now >= self._next_probe_at):
            self._next_probe_at = now + PROBE_SECONDS
            self._probe = asyncio.create_task(self._probe_log())
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await asyncio.shield(self._probe)
        except TimeoutError:
            return False

    async def _probe_log(self) -> bool:
        try:
            await self._event_log.check_writable()
        except (LogUnavailable, asyncio.CancelledError):  # cancelled by the log, which closes
            return False
        return True

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics, in Prometheus's text format."""
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})
