"""Liveness, readiness and metrics."""

from __future__ import annotations

import asyncio
import math

import pytest
from aiohttp.test_utils import make_mocked_request

from sio_server.app import make_app
from sio_server.contract.errors import LogUnavailable
from sio_server.delivery.fanout import Fanout
from sio_server.endpoints import ops
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.metrics import Metrics
from sio_server.settings import Settings
from tests.support.metrics import parse


class ProbedLog(MemoryLog):
    """A log that a test makes silent or full.

    Attributes:
        answers: probes wait until it is set.
        full: whether the log refuses appends.
        probes: the number of probes until now.
    """

    def __init__(self) -> None:
        super().__init__(Retention())
        self.answers = asyncio.Event()
        self.answers.set()
        self.full = False
        self.probes = 0

    async def check_writable(self) -> None:
        """Wait, then answer."""
        self.probes += 1
        await self.answers.wait()
        if self.full:
            raise LogUnavailable("the disk is full")


@pytest.fixture
def log() -> ProbedLog:
    """Return a log that takes appends."""
    return ProbedLog()


@pytest.fixture
def endpoints(log: ProbedLog) -> ops.Ops:
    """Return the endpoints of a server with that log."""
    _, hub, _ = make_app(Settings(_env_file=None), log)
    return ops.Ops(hub, log, Fanout(log, slow_seconds=30), Metrics())


async def readiness(endpoints: ops.Ops) -> int:
    """Return the status of ``/readyz``."""
    async with asyncio.timeout(20):
        return (await endpoints.readyz(make_mocked_request("GET", "/readyz"))).status


async def test_readiness_does_not_wait_for_a_silent_log(
    log: ProbedLog, endpoints: ops.Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers within its own bound: a load balancer gives up long before the log does."""
    monkeypatch.setattr(ops, "READY_SECONDS", 0.01)
    monkeypatch.setattr(ops, "PROBE_SECONDS", 0)
    log.answers.clear()
    assert [await readiness(endpoints) for _ in range(2)] == [503, 503]
    assert log.probes == 1, "a second probe would wait behind the first one"
    log.answers.set()
    monkeypatch.setattr(ops, "READY_SECONDS", 20)
    assert await readiness(endpoints) == 200


async def test_a_server_whose_log_refuses_appends_is_not_ready(
    log: ProbedLog, endpoints: ops.Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads may still work; the server becomes ready when the log takes appends again."""
    monkeypatch.setattr(ops, "PROBE_SECONDS", 0)
    for full, status in ((False, 200), (True, 503), (False, 200)):
        log.full = full
        assert await readiness(endpoints) == status


async def test_many_questions_cause_one_probe(
    log: ProbedLog, endpoints: ops.Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe writes to the log, and everybody may ask. A client that leaves cancels no probe."""
    monkeypatch.setattr(ops, "PROBE_SECONDS", 3_600)
    log.answers.clear()
    clients = [asyncio.create_task(readiness(endpoints)) for _ in range(50)]
    await asyncio.sleep(0)
    clients.pop(0).cancel()
    await asyncio.sleep(0)
    log.answers.set()
    assert set(await asyncio.gather(*clients)) == {200}
    log.full = True
    assert await readiness(endpoints) == 200
    assert log.probes == 1
    monkeypatch.setattr(endpoints._writable, "_next_at", 0.0)  # an hour later
    assert await readiness(endpoints) == 503
    assert log.probes == 2


async def test_a_log_that_closes_is_not_ready(log: ProbedLog, endpoints: ops.Ops) -> None:
    """It cancels a probe whose outcome it does not know, and the client still gets an answer."""
    log.answers.clear()
    answer = asyncio.create_task(readiness(endpoints))
    async with asyncio.timeout(20):
        while not log.probes:
            await asyncio.sleep(0)
    assert endpoints._writable._task is not None
    endpoints._writable._task.cancel()
    assert await answer == 503


async def test_a_log_that_cannot_be_reached_shows_in_the_metrics(
    log: ProbedLog, endpoints: ops.Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes, the server is not ready, and the log's figures are no numbers."""
    monkeypatch.setattr(ops, "READY_SECONDS", 0.01)
    log.answers.clear()  # it is silent for appends, and not open for reads
    answer = await endpoints.metrics(make_mocked_request("GET", "/metrics"))
    assert isinstance(answer.body, bytes)
    figures = parse(answer.body.decode())
    assert figures.of("sio_ready") == 0
    assert math.isnan(figures.of("sio_log_events"))
