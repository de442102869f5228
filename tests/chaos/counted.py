"""A run in which the servers' metrics must be exactly what the consumers and producers have seen.

A process takes its counters with it, and a request may be counted although its answer was lost. So
before each end of a process, this run lets all producers pause and all consumers catch up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from sio_server.contract.events import EVENT_TYPES
from tests.chaos.consumers import is_ready
from tests.chaos.history import Acknowledged, Connecting, Delivered, History, Ready
from tests.chaos.run import Report, Run, until
from tests.support.metrics import scrape

AWAY_EVENTS = 10
"""How many events are published while the consumers are away."""

Sample = tuple[str, frozenset[str]]


def sample(name: str, *labels: str) -> Sample:
    """Return the name of a sample; see ``Figures``."""
    return name, frozenset(labels)


class CountedRun(Run):
    """A run that adds up the metrics of all processes.

    Attributes:
        counted: the samples, over all processes.
    """

    def __post_init__(self) -> None:
        """Begin with no counts."""
        super().__post_init__()
        self.counted: Counter[Sample] = Counter()
        self.faults = {"kill": self._kill, "drain": self._drain}
        self.settings |= {"ping_interval": 25, "ping_timeout": 20}  # no connection ends by itself

    async def _kill(self, _: Any) -> None:
        await self._replace(self.nodes[0].kill)

    async def _drain(self, _: Any) -> None:
        await self._replace(self.nodes[0].stop)

    async def _replace(self, end: Callable[[], Awaitable[None]]) -> None:
        """End the process, start another one, and publish before its consumers come back."""
        self.production.running.clear()
        await until(lambda: self.production.paused == len(self.producing), "all producers pause")
        await self._note()
        connections = [self._readies(it.records) for it in self.consumers]
        for proxy in self.proxies:
            proxy.open = False
        await end()
        await self.nodes[0].start()
        self.production.running.set()
        await self.published(AWAY_EVENTS)
        for proxy in self.proxies:
            proxy.open = True
        await until(
            lambda: all(
                self._readies(it.records) > before
                for it, before in zip(self.consumers, connections, strict=True)
            ),
            "all consumers are back",
        )

    @staticmethod
    def _readies(records: list[Any]) -> int:
        return sum(isinstance(record, Ready) for record in records)

    async def _note(self) -> None:
        """Add the metrics of the present process, once all deliveries have arrived."""

        def delivered() -> int:
            return sum(isinstance(it, Delivered) for one in self.consumers for it in one.records)

        deliveries = sample("sio_deliveries_total")
        async with asyncio.timeout(30):
            while True:
                figures = await asyncio.to_thread(scrape, self.nodes[0].server.url)
                if all(map(is_ready, self.consumers)) and (
                    self.counted[deliveries] + figures[deliveries] == delivered()
                ):
                    break
                await asyncio.sleep(0.02)
        for (name, labels), value in figures.items():
            self.counted[name, labels - set(EVENT_TYPES)] += value  # of all types together

    async def _settle(self) -> History:
        history = await super()._settle()
        await self._note()
        return history


def seen(report: Report) -> dict[Sample, int]:
    """Return what the metrics must be: what the clients have seen, and the checker has counted."""
    history, verdict = report.history, report.verdict
    readies = [it for one in history.consumers for it in one.records if isinstance(it, Ready)]
    resumed = [
        it
        for one in history.consumers
        for it in one.records
        if isinstance(it, Connecting) and it.since is not None
    ]
    answers = [it.outcome for it in history.attempts if isinstance(it.outcome, Acknowledged)]
    return {
        sample("sio_recoveries_total", "recovered"): verdict.recovered,
        sample("sio_recoveries_total", "resumed"): len(resumed),
        sample("sio_recoveries_total", "gap"): verdict.gaps,
        sample("sio_events_replayed_total"): sum(it.replayed for it in readies),
        sample("sio_commit_to_write_seconds_count"): len(history.log.events),
        sample("sio_events_published_total", "false"): len(history.log.events),
        sample("sio_events_published_total", "true"): sum(it.duplicate for it in answers),
        sample("sio_deliveries_total"): report.delivered,
        sample("sio_commands_refused_total", "id_conflict"): report.outcomes["id_conflict"],
        sample("sio_commands_refused_total", "invalid_furniture"): report.outcomes[
            "invalid_furniture"
        ],
    }
