"""What operators are told while the event log is slow to say anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from sio_server.access.principals import Access
from sio_server.endpoints import ops
from sio_server.eventlog.contract import Bounds, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.hub import Hub
from sio_server.metrics import Metrics
from sio_server.settings import load


class SilentLog(MemoryLog):
    """A log whose server takes questions, and answers none while it is silent."""

    def __init__(self) -> None:
        super().__init__(Retention())
        self.answers = asyncio.Event()

    async def bounds(self) -> Bounds:
        """Answer once it does."""
        await self.answers.wait()
        return await super().bounds()


async def test_readiness_does_not_wait_for_a_silent_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a time of its own: whoever asks would give up long before the log does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ops, "READY_SECONDS", 0.01)
    log = SilentLog()
    hub = Hub(load([]), log, Access((), "anyone", require_auth=False), Metrics())
    request = make_mocked_request("GET", "/readyz")
    async with asyncio.timeout(20):
        assert (await ops.Ops(hub).readyz(request)).status == 503
        await log.open()
        log.answers.set()
        monkeypatch.setattr(ops, "READY_SECONDS", 20)
        assert (await ops.Ops(hub).readyz(request)).status == 200
    await log.close()
