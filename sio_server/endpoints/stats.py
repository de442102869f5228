"""The figures of this server, read-only, as JSON: ``GET /api/stats``. Figures only, no secrets."""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from typing import Any

from aiohttp import web

from sio_server.contract.errors import Forbidden, LogUnavailable, Unauthorized
from sio_server.contract.events import now_timestamp
from sio_server.delivery.connections import Connections
from sio_server.delivery.fanout import Fanout
from sio_server.endpoints.gate import Gate, check_query
from sio_server.endpoints.responses import json_response
from sio_server.endpoints.visitors import may_see_stats
from sio_server.eventlog.contract import EventLog
from sio_server.hub import Hub
from sio_server.metrics import TRANSPORTS, Metrics
from sio_server.net.turns import in_turns
from sio_server.settings import Settings

MAX_SHOWN_ROOMS = 50

SAMPLE_SECONDS = 5
"""The deliveries are counted for spans of this length."""

SAMPLES = 60
"""Five minutes of them."""


class StatsApi:
    """The endpoint ``/api/stats``, for producer keys and for this machine.

    Args:
        hub: knows how long publishing took.
        gate: identifies the client.
        event_log: says which events it keeps.
        fanout: knows the rooms.
        connections: knows the consumers.
        metrics: counts the deliveries. They are read every few seconds, so that a delivery costs
            nothing more.
        settings: the log's kind and its retention.
    """

    def __init__(
        self,
        hub: Hub,
        gate: Gate,
        event_log: EventLog,
        fanout: Fanout,
        connections: Connections,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._event_log = event_log
        self._fanout = fanout
        self._connections = connections
        self._metrics = metrics
        self._settings = settings
        self._started = time.monotonic()
        self._samples: deque[int] = deque(maxlen=SAMPLES)

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint, and count while the application runs."""
        app.router.add_get("/api/stats", self.stats, allow_head=False)
        app.cleanup_ctx.append(self._sampling)

    async def _sampling(self, app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sample())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _sample(self) -> None:
        before = self._metrics.deliveries()
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            now = self._metrics.deliveries()
            self._samples.append(now - before)
            before = now

    async def stats(self, request: web.Request) -> web.Response:
        """Answer with the figures."""
        visitor = self._gate.visitor(request)
        check_query(request.query)
        self._gate.count(visitor.source)
        if not may_see_stats(visitor):
            is_unknown = visitor.principal.identity.kind == "anonymous"
            error = Unauthorized if is_unknown else Forbidden
            raise error("the figures need a key of SIO_PRODUCER_KEYS, or a request of this machine")
        counts = self._connections.count()
        figures = {
            "timestamp": now_timestamp(),
            "uptime_seconds": round(time.monotonic() - self._started),
            "log": await self._log(),
            "consumers": {name: counts[name] for name in (*TRANSPORTS, "parked")},
            "rooms": await in_turns(self._rooms(), visitor.source.network),
            "deliveries": {
                "seconds": SAMPLE_SECONDS,
                "samples": SAMPLES,
                "counts": list(self._samples),
            },
        }
        times = sorted(self._hub.publish_seconds)
        if times:
            figures["publish_ms"] = {
                "count": len(times),
                "p50": _milliseconds(times, 0.5),
                "p99": _milliseconds(times, 0.99),
            }
        return json_response(figures)

    async def _log(self) -> dict[str, Any]:
        settings = self._settings
        known = {
            "kind": settings.event_log.partition(":")[0],
            "position": str(self._fanout.position),
            "retention_seconds": settings.retention_seconds,
            "retention_events": settings.retention_events,
        }
        try:
            bounds = await self._event_log.bounds()
            first = (await self._event_log.read(bounds.oldest, None, 1)).records
        except LogUnavailable:
            return known
        return known | {
            "position": str(bounds.position),
            "oldest": str(bounds.oldest),
            "events": bounds.position.seq - bounds.oldest.seq,
            "oldest_timestamp": json.loads(first[0].body)["timestamp"] if first else None,
        }

    def _rooms(self) -> Generator[None, None, dict[str, Any]]:
        sizes: Counter[str] = Counter()
        for name, members in self._fanout.room_sizes():
            sizes[name] += members
            yield
        largest = heapq.nsmallest(MAX_SHOWN_ROOMS, sizes.items(), lambda it: (-it[1], it[0]))
        return {
            "count": len(sizes),
            "largest": [{"room": name, "consumers": members} for name, members in largest],
        }


def _milliseconds(seconds: list[float], share: float) -> float:
    """Return the value below which this share of sorted values is."""
    return round(1000 * seconds[min(len(seconds) - 1, int(len(seconds) * share))], 2)
