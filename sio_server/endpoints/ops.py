"""For operators: liveness, readiness, metrics."""

from __future__ import annotations

import asyncio

from aiohttp import web

from sio_server.contract.errors import LogUnavailable
from sio_server.endpoints.responses import json_response
from sio_server.hub import Hub
from sio_server.metrics import CONTENT_TYPE

PATHS = frozenset(("/healthz", "/readyz", "/metrics"))

READY_SECONDS = 2.0
"""How long the event log may take to answer a server that is ready."""


class Ops:
    """The endpoints that answer even while the server drains."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoints."""
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)

    async def healthz(self, request: web.Request) -> web.Response:
        """Say that the process answers, and need not be restarted."""
        if not self._hub.is_delivering:  # the log has ended: only a restart helps
            return json_response({"status": "not_delivering"}, 503)
        return json_response({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        """Say whether the server can do its work."""
        if self._hub.draining:
            return json_response({"status": "draining"}, 503)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._hub.event_log.bounds()
        except (LogUnavailable, TimeoutError):
            return json_response({"status": "log_unavailable"}, 503)
        return json_response({"status": "ok"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics in Prometheus's text format."""
        return web.Response(body=self._hub.metrics.render(), headers={"Content-Type": CONTENT_TYPE})
