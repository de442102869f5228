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
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._event_log.bounds()
        except (LogUnavailable, TimeoutError):
            return json_response({"status": "log_unavailable"}, 503)
        return json_response({"status": "ok"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics, in Prometheus's text format."""
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})
