"""Liveness, readiness and metrics."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.test_utils import make_mocked_request

from sio_server.app import make_app
from sio_server.endpoints import ops
from sio_server.eventlog.contract import Bounds, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.metrics import Metrics
from sio_server.settings import Settings


class SilentLog(MemoryLog):
    """A log that does not answer until the test sets ``answers``."""

    def __init__(self) -> None:
        super().__init__(Retention())
        self.answers = asyncio.Event()

    async def bounds(self) -> Bounds:
        """Wait, then answer."""
        await self.answers.wait()
        return await super().bounds()


async def test_readiness_does_not_wait_for_a_silent_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers within its own bound: a load balancer gives up long before the log does."""
    monkeypatch.setattr(ops, "READY_SECONDS", 0.01)
    log = SilentLog()
    _, hub, _ = make_app(Settings(_env_file=None), log)
    endpoint = ops.Ops(hub, log, Metrics())
    request = make_mocked_request("GET", "/readyz")
    async with asyncio.timeout(20):
        assert (await endpoint.readyz(request)).status == 503
        await log.open()
        log.answers.set()
        monkeypatch.setattr(ops, "READY_SECONDS", 20)
        assert (await endpoint.readyz(request)).status == 200
    await log.close()
