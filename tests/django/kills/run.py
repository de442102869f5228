"""A run: writers, relays that are killed, a broker that is down at times, and a consumer."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from furniture_events.django.models import OutboxEvent

from tests.chaos.consumers import PlainConsumer
from tests.chaos.history import Consumer, Delivered, Ready
from tests.django.kills.checker import Change, Written, change_of, check, read_written
from tests.django.relays import Relay, published, site_environment
from tests.support.server import Server, wait_until

POINTS = ("before_reading", "after_reading", "sent", "answered", "deleting")
"""The points at which relays are killed; see ``killed_relay.py``."""

SETTLE_SECONDS = 120


@dataclass(frozen=True)
class Plan:
    """The plan of a run."""

    seed: int
    kills: int
    writers: int
    transactions: int
    delay_seconds: float
    batch_events: int = 10

    def deaths(self) -> list[tuple[str, int]]:
        """Return the point and the visit at which each relay is killed, evenly over the points."""
        random = Random(self.seed)
        points = list(itertools.islice(itertools.cycle(POINTS), self.kills))
        random.shuffle(points)
        return [(point, random.randint(1, 5)) for point in points]


@dataclass
class Report:
    """The results of a run."""

    plan: Plan
    written: Written
    killed: Counter[str]
    outages: int
    refused: int
    delivered: list[Change]
    live: list[Change]
    gaps: int
    seconds: float
    violations: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.violations = [
            f"{where}: {violation}"
            for where, changes in (("log", self.delivered), ("live", self.live))
            for violation in check(self.written, changes)
        ]

    def __str__(self) -> str:
        kills = ", ".join(f"{self.killed[point]} {point}" for point in POINTS)
        outcomes = ", ".join(f"{count} {name}" for name, count in self.written.outcomes.items())
        events = (
            f"{len(self.written.committed)} committed, {len(self.written.rolled_back)} rolled back,"
            f" {len(self.delivered)} delivered, {self.refused} refused"
        )
        lines = [
            f"seed {self.plan.seed}, {self.seconds:.0f} s, {len(self.violations)} violations",
            f"kills: {kills}; {self.outages} times without the broker",
            f"transactions: {outcomes}; events: {events}",
        ]
        return "\n".join([*lines, *self.violations[:20]])


def carry_out(plan: Plan, folder: Path, database: Mapping[str, Any]) -> Report:
    """Do a run on a database that has only one user."""
    started = time.monotonic()
    broker = Server(folder, event_log="sqlite:///events.db")
    setting = {"URL": broker.url, "BATCH_EVENTS": plan.batch_events, "LEASE_SECONDS": 0.5}
    environment = site_environment(database, **setting)
    killed: Counter[str] = Counter()
    deaths = plan.deaths()
    # Two relays start without the broker, of those that are killed after a request.
    after_requests = [at for at, (point, _) in enumerate(deaths) if point in ("sent", "answered")]
    outages = {
        after_requests[len(after_requests) // 3]: Server.kill,
        after_requests[-1]: Server.stop,
    }
    relay: Relay | None = None
    try:
        with _listening(broker.url) as consumer, _writing(plan, folder, environment) as writers:
            for at, (point, visit) in enumerate(deaths):
                if at in outages:
                    outages[at](broker)
                program = ("-m", "tests.django.kills.killed_relay", point, str(visit))
                relay = Relay(program=program, environment=environment)
                if at in outages:
                    relay.wait_for("relay_waits", 2)
                    broker = Server(folder, event_log="sqlite:///events.db", port=broker.port)
                status = wait_until(relay.process.poll, f"{point} {visit}", SETTLE_SECONDS)
                killed[point] += status == -9
                assert status == -9, relay.output
            relay = Relay(environment=environment)
            wait_until(lambda: writers.poll() is not None, "the writers have ended", SETTLE_SECONDS)
            assert writers.returncode == 0
            waiting = OutboxEvent.objects.filter(error="")
            wait_until(lambda: not waiting.exists(), "the outbox is empty", SETTLE_SECONDS)
            assert relay.stop() == 0, relay.output
            events = published(broker)
            wait_until(lambda: len(_events(consumer)) >= len(events), "the consumer has all events")
    finally:
        if relay is not None:
            relay.kill()
        broker.stop()
    return Report(
        plan,
        read_written(folder),
        killed,
        len(outages),
        OutboxEvent.objects.count(),
        [change_of(event) for event in events],
        [change_of({"type": each.type, "furniture": each.furniture}) for each in _events(consumer)],
        sum(isinstance(record, Ready) and record.gap for record in consumer.records),
        time.monotonic() - started,
    )


def _events(consumer: Consumer) -> list[Delivered]:
    return [record for record in list(consumer.records) if isinstance(record, Delivered)]


@contextmanager
def _writing(
    plan: Plan, folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the writers."""
    numbers = (plan.seed, plan.writers, plan.transactions, plan.delay_seconds)
    writers = subprocess.Popen(
        [sys.executable, "-m", "tests.django.kills.writers", folder, *map(str, numbers)],
        env=dict(environment),
        start_new_session=True,
    )
    try:
        yield writers
    finally:
        if writers.poll() is None:
            os.killpg(writers.pid, signal.SIGKILL)
            writers.wait()


@contextmanager
def _listening(url: str) -> Iterator[Consumer]:
    """Run a consumer of all events, which connects again after each disconnect."""
    with urllib.request.urlopen(f"{url}/api/events?limit=0") as answer:
        start = json.load(answer)["position"]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def open_consumer() -> PlainConsumer:
        return PlainConsumer("live", url, [], start)

    consumer = asyncio.run_coroutine_threadsafe(open_consumer(), loop).result()
    try:
        yield consumer.consumer
    finally:
        asyncio.run_coroutine_threadsafe(consumer.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
