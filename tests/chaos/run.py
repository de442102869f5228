"""One run: servers, producers and consumers under faults, and the recorded history."""

from __future__ import annotations

import asyncio
import random as randomness
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.backing import BACKINGS
from tests.chaos.checker import Verdict, check, check_consumer
from tests.chaos.consumers import NodeFleet, PlainConsumer, is_ready
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.history import Consumer, History, Log, LogEvent
from tests.chaos.node import Disk, Node
from tests.chaos.order import Order
from tests.chaos.producers import Production, bundled, raw
from tests.chaos.simulated import ROOMS
from tests.support.proxy import Proxy, proxied

SETTLE_SECONDS = 30.0
"""Seconds that consumers may take to get all of their events after the last fault."""

STEP_SECONDS = 30.0
"""Seconds that any other step may take."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run.

    Attributes:
        seed: the seed of all random choices.
        mode: the way in which socket.io-clients reconnect: by ``recovery``, or with ``since``.
        faults: the names of the faults, in order.
        publishes: the least number of published events.
        between: the number of events acknowledged between two faults.
        mounted: fill a file system of its own, if it can be mounted.
        log: the event log, a name in ``BACKINGS``.
        restless: consumers change their rooms, and sometimes end their sessions.
        socketio: the number of socket.io-clients.
        plain: the number of plain WebSockets.
    """

    seed: int
    mode: str
    faults: tuple[str, ...]
    publishes: int
    between: int = 25
    mounted: bool = True
    log: str = "sqlite"
    restless: bool = True
    socketio: int = 8
    plain: int = 4


@dataclass(slots=True)
class Report:
    """The results of a run."""

    plan: Plan
    history: History
    verdict: Verdict
    outcomes: Counter[str]
    faults: Counter[str]
    stuck: Counter[str]
    troubles: list[str]
    statuses: list[int]
    seconds: float
    disconnects: int = 0
    delivered: int = 0

    def __str__(self) -> str:
        plan = self.plan
        return (
            f"seed {plan.seed}, {plan.mode}: {len(self.history.log.events)} events in the log, "
            f"{len(self.history.attempts)} attempts {dict(self.outcomes)}, "
            f"{len(self.history.consumers)} consumers, {self.delivered} deliveries, "
            f"{self.disconnects} connections lost, faults {dict(self.faults)}, "
            f"stuck clients {dict(self.stuck)}, {self.seconds:.1f} s; {self.verdict}"
        )


@dataclass
class Run:
    """One run of a plan. The faults act on it, see ``Scene``."""

    plan: Plan
    folder: Path
    nodes: list[Node] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Derive all random numbers from the seed, with one stream for each part."""
        self.random = self._stream("faults")
        self.production = Production(self.plan.publishes)
        self.fleet = NodeFleet()
        self.backing = BACKINGS[self.plan.log]()
        self.plain: list[PlainConsumer] = []
        self.faults: Mapping[str, Fault] = FAULTS
        self.settings: dict[str, Any] = {
            "ping_interval": 1,
            "ping_timeout": 1,
            "rate_limit": 1_000_000,
            "retention_events": 10_000_000,
            "max_connections_per_address": 0,
        }

    def _stream(self, name: str) -> randomness.Random:
        return randomness.Random(f"{self.plan.seed} {name}")

    @property
    def consumers(self) -> list[Consumer]:
        """All consumers."""
        return [*self.fleet.consumers.values(), *(it.consumer for it in self.plain)]

    async def published(self, count: int) -> None:
        """Wait until ``count`` more events have been acknowledged."""
        goal = self.production.outcomes["Acknowledged"] + count
        await until(
            lambda: self.production.outcomes["Acknowledged"] >= goal, f"{count} acknowledgements"
        )

    async def refused(self, code: str) -> None:
        """Wait until a publish has been answered with this error."""
        before = self.production.outcomes[code]
        await until(lambda: self.production.outcomes[code] > before, f"a refusal: {code}")

    async def restart_log(self) -> None:
        """Kill the log's own process and restart it."""
        await self.backing.kill()
        await self.backing.start(self.folder)

    async def make_log_unreachable(self, how: str) -> None:
        """Make the log unreachable: ``cut`` off, ``silent`` or ``ended``."""
        await self.backing.make_unreachable(how)

    async def make_log_reachable(self) -> None:
        """Make the log reachable again."""
        await self.backing.make_reachable()

    async def carry_out(self) -> Report:
        """Carry out the plan, and check the history."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self.producing = producing = self._produce()
            restless = asyncio.create_task(self._unsettle())
            try:
                done: Counter[str] = Counter()
                for name in self.plan.faults:
                    await self.published(self.plan.between)
                    await self.faults[name](self)
                    done[name] += 1
                await self.published(self.plan.between)
            finally:
                self.production.endless = False
                restless.cancel()
                await asyncio.wait([restless])
            await asyncio.gather(*producing)
            history = await self._settle()
        report = Report(
            self.plan,
            history,
            check(history),
            self.production.outcomes,
            done,
            self.fleet.stuck,
            [line for node in self.nodes for line in node.troubles()],
            [status for node in self.nodes for status in node.statuses],
            time.monotonic() - began,
        )
        kinds = Counter(type(it).__name__ for one in history.consumers for it in one.records)
        report.disconnects, report.delivered = kinds["Disconnected"], kinds["Delivered"]
        return report

    async def _start(self, stack: AsyncExitStack) -> None:
        settings = {**self.settings, "event_log": await self.backing.start(self.folder)}
        stack.push_async_callback(self.backing.stop)
        stack.push_async_callback(self._stop_nodes)
        for number in range(self.backing.nodes):
            folder = self.folder / f"node-{number}"
            folder.mkdir()
            disk = Disk(folder, mounted=self.plan.mounted)
            self.nodes.append(await asyncio.to_thread(Node, disk, dict(settings)))
        for number in range(3):
            port = self.nodes[number % len(self.nodes)].server.port
            self.proxies.append(await stack.enter_async_context(proxied(port)))
        await self.fleet.start()
        stack.push_async_callback(self.fleet.stop)
        start = await self._position()
        stream = self._stream("consumers")
        for number in range(self.plan.socketio):
            self.fleet.open(
                f"socketio-{number}",
                url=self.proxies[number % len(self.proxies)].url,
                transports=(["websocket"], ["polling"], ["polling", "websocket"])[number % 3],
                mode=self.plan.mode,
                rooms=["catalog"] if number < 3 else stream.sample(ROOMS, stream.randint(1, 3)),
                since=start,
            )
        for number in range(self.plan.plain):
            rooms = ["catalog"] if not number else stream.sample(ROOMS, stream.randint(1, 3))
            url = self.proxies[number % len(self.proxies)].url
            self.plain.append(PlainConsumer(f"plain-{number}", url, rooms, start))
            stack.push_async_callback(self.plain[-1].stop)
        await until(lambda: all(map(is_ready, self.consumers)), "all consumers are ready")

    async def _stop_nodes(self) -> None:
        for node in self.nodes:
            await node.stop()
            node.disk.remove()

    def _produce(self) -> list[asyncio.Task[None]]:
        direct, through = self.nodes[-1].server.url, self.proxies[0].url
        return [
            asyncio.create_task(publish(self.production, url, name, self._stream(name)))
            for publish, url, name in (
                (raw, direct, "raw"),
                (raw, through, "far"),
                (bundled, direct, "bundled"),
                (bundled, through, "bundled-far"),
            )
        ]

    async def _unsettle(self) -> None:
        """Let consumers change their rooms and sometimes end their sessions, if planned."""
        stream = self._stream("restless")
        while self.plan.restless:
            await asyncio.sleep(stream.uniform(0.01, 0.1))
            name = stream.choice(list(self.fleet.consumers))
            kind = stream.choice(("subscribe", "unsubscribe"))
            # The first consumer of each kind stays in the catalogue, so that it gets every event.
            if stream.random() < 0.04:
                self.fleet.leave(name)
            elif name not in ("socketio-0", "socketio-1", "socketio-2"):
                self.fleet.change(name, kind, stream.choice(ROOMS))
            if self.plain[1:] and stream.random() < 0.2:
                await stream.choice(self.plain[1:]).change(kind, stream.choice(ROOMS))

    async def _settle(self) -> History:
        """Wait until every consumer has all of its events, or until the time is over."""
        log = await self._read_log()
        order = Order(log, self.production.attempts)
        missing = self.consumers
        deadline = time.monotonic() + SETTLE_SECONDS
        while missing and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            missing = [it for it in missing if not is_ready(it) or check_consumer(it, order)]
        consumers = [Consumer(it.name, list(it.records)) for it in self.consumers]
        return History(self.production.attempts, log, consumers)

    async def _position(self) -> str:
        async with aiohttp.ClientSession() as http:
            url = f"{self.nodes[0].server.url}/api/events"
            async with http.get(url, params={"limit": "0"}) as response:
                position: str = (await response.json())["position"]
                return position

    async def _read_log(self) -> Log:
        events: list[LogEvent] = []
        start = ""
        async with aiohttp.ClientSession() as http:
            query = {"limit": "1000"}
            while True:
                url = f"{self.nodes[0].server.url}/api/events"
                async with http.get(url, params=query) as response:
                    page = await response.json()
                start = start or page["oldest"]
                events += [
                    LogEvent(it["offset"], it["id"], it["type"], it["furniture"], it["timestamp"])
                    for it in page["events"]
                ]
                if not page["more"]:
                    return Log(start, events)
                query["since"] = page["position"]


async def until(condition: Callable[[], bool], expected: str) -> None:
    """Wait until the condition is True; name what was expected if it takes too long."""
    deadline = time.monotonic() + STEP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {STEP_SECONDS} s: {expected}")
        await asyncio.sleep(0.01)
