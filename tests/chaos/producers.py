"""Producers that record each publish and its answer: raw HTTP, and the bundled client."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
from furniture_events import AsyncProducer, FurnitureEventsError, Published

from sio_server.contract.events import EVENT_TYPES
from tests.chaos.history import Acknowledged, Attempt, Outcome, Refused, Unanswered
from tests.chaos.simulated import piece

ANSWER_SECONDS = 2.0
"""Seconds that a raw producer waits for an answer."""

PAUSE_SECONDS = 0.05
"""Seconds before its next request, if no answer arrived."""

Event = dict[str, Any]


@dataclass
class Production:
    """The shared state of all producers of a run.

    Attributes:
        goal: the number of events to publish.
        endless: continue after the goal.
        attempts: all attempts.
        outcomes: the number of attempts by outcome.
        intents: the number of events so far.
        running: while it is cleared, the producers pause.
        paused: the number of producers that pause.
    """

    goal: int
    endless: bool = True
    attempts: list[Attempt] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    intents: int = 0
    running: asyncio.Event = field(default_factory=asyncio.Event)
    paused: int = 0

    def __post_init__(self) -> None:
        """Let the producers run."""
        self.running.set()

    async def rest(self, random: Random) -> None:
        """Wait a moment, and as long as the producers pause. No request is in flight then."""
        await asyncio.sleep(random.uniform(0, 0.01))
        self.paused += 1
        await self.running.wait()
        self.paused -= 1

    @property
    def unfinished(self) -> bool:
        """Whether the producers have to continue."""
        return self.endless or self.intents < self.goal

    def record(
        self, event: Event, began: float, outcome: Outcome, *, retries: bool = False
    ) -> None:
        """Record one attempt."""
        kind = outcome.code if isinstance(outcome, Refused) else type(outcome).__name__
        self.outcomes[kind] += 1
        self.attempts.append(
            Attempt(
                event["id"],
                event["type"],
                event["furniture"],
                began,
                time.monotonic(),
                outcome,
                retries,
            )
        )

    def next(self, random: Random, name: str) -> Event:
        """Make an event. It counts towards the goal."""
        self.intents += 1
        furniture = piece(random) | {"nombre": f"{name} {self.intents} ñ€😀"}
        return {
            "id": f"{name}-{self.intents}",
            "type": random.choice(EVENT_TYPES),
            "furniture": furniture,
        }


def outcome_of_client(result: Published | FurnitureEventsError) -> Outcome:
    """Return the outcome in a result of the bundled client."""
    if isinstance(result, Published):
        stamp = result.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Acknowledged(result.offset, stamp, result.duplicate)
    if result.maybe_appended:
        return Unanswered(str(result))
    return Refused(str(getattr(result, "code", type(result).__name__)))


async def bundled(production: Production, url: str, name: str, random: Random) -> None:
    """Publish single events and batches with ``AsyncProducer``, which retries by itself."""
    async with AsyncProducer(url, timeout=2, connect_timeout=1, attempts=3, deadline=4) as producer:
        while production.unfinished:
            began = time.monotonic()
            events = [production.next(random, name) for _ in range(random.choice((1, 1, 1, 5)))]
            results: list[Published | FurnitureEventsError]
            if len(events) > 1:
                results = await producer.publish_many(events)
            else:
                try:
                    results = [await producer.publish(events[0])]
                except FurnitureEventsError as error:
                    results = [error]
            for event, result in zip(events, results, strict=True):
                production.record(event, began, outcome_of_client(result), retries=True)
            await production.rest(random)


async def raw(production: Production, url: str, name: str, random: Random) -> None:
    """Publish with plain HTTP requests. Send some again, some changed, and some invalid events."""
    connector = aiohttp.TCPConnector(force_close=True)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        while production.unfinished:
            event = production.next(random, name)
            outcome = await _post(production, http, url, event)
            if isinstance(outcome, Unanswered):
                await asyncio.sleep(PAUSE_SECONDS)
            luck = random.random()
            if luck < 0.1 or (isinstance(outcome, Unanswered) and luck < 0.7):
                await _post(
                    production, http, url, event
                )  # the same id: a duplicate, or the first append
            elif luck < 0.13:
                other = event["furniture"] | {"altura": 1_000}
                await _post(production, http, url, event | {"furniture": other})
            elif luck < 0.16:
                bad = event["furniture"] | {"altura": -1}
                await _post(
                    production, http, url, event | {"id": f"{event['id']}-", "furniture": bad}
                )
            await production.rest(random)


async def _post(
    production: Production, http: aiohttp.ClientSession, url: str, event: Event
) -> Outcome:
    began = time.monotonic()
    outcome: Outcome
    try:
        async with http.post(f"{url}/api/events", json=event) as response:
            answer = await response.json(content_type=None)
        if response.status in (200, 201):
            outcome = Acknowledged(answer["offset"], answer["timestamp"], answer["duplicate"])
        else:
            outcome = Refused(answer["code"])
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        outcome = Unanswered(repr(error))
    production.record(event, began, outcome)
    return outcome
