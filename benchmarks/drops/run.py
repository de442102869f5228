"""One run: networks, consumers, a publisher, and the trouble between them."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.drops.network import Network
from benchmarks.drops.servers import Target, host_and_port
from benchmarks.drops.tally import Tally
from benchmarks.figures import FURNITURE, Figures
from benchmarks.servers import ServerError

CONSUMERS = Path(__file__).parent.parent / "consumers"
RETRY_SECONDS = 0.1
CONNECT_SECONDS = 30
MAX_LINE_BYTES = 2**24


@dataclass(frozen=True)
class Plan:
    """The amounts of a run.

    Attributes:
        consumers: how many.
        networks: networks between them and the server. Consumers of one network lose it together.
        rate: events a second.
        seconds: how long events are published.
        online: seconds between two drops of a network on average. They vary by half of it.
        away: seconds for which a network goes away.
        grace: seconds after the last event for late arrivals.
        seed: of the drops' times. All servers have the same ones.
    """

    consumers: int = 20
    networks: int = 10
    rate: float = 10
    seconds: float = 18
    online: float = 6
    away: float = 2
    grace: float = 8
    seed: int = 1


Trouble = Callable[[Target, Sequence[Network], Plan], Awaitable[None]]


async def drops(target: Target, networks: Sequence[Network], plan: Plan) -> None:
    """Each network goes away again and again; the server notices each time."""
    await _drop(networks, plan, unnoticed=False)


async def roaming(target: Target, networks: Sequence[Network], plan: Plan) -> None:
    """Each network goes away again and again; the server does not notice, as if phones move."""
    await _drop(networks, plan, unnoticed=True)


async def deploy(target: Target, networks: Sequence[Network], plan: Plan) -> None:
    """The server is stopped by SIGTERM after a third of the time, and started again."""
    await asyncio.sleep(plan.seconds / 3)
    await target.restart()


SCENARIOS: dict[str, Trouble] = {each.__name__: each for each in (drops, roaming, deploy)}


async def run(target: Target, trouble: Trouble, plan: Plan) -> Figures:
    """Publish events during the trouble; return the figures of their arrival.

    Raises:
        ServerError: a consumer got nothing while there was no trouble.
    """
    try:
        return await _run(target, trouble, plan)
    except* ServerError as errors:
        raise errors.exceptions[0] from None


async def _run(target: Target, trouble: Trouble, plan: Plan) -> Figures:
    tally = Tally(plan.consumers)
    events = int(plan.rate * plan.seconds)
    async with (
        _networks(target, plan) as networks,
        _consuming(target, networks, tally),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
        asyncio.TaskGroup() as group,
    ):
        publisher = _Publisher(session, target.publish)
        await _warm_up(publisher, tally, events)
        start = time.monotonic()
        due_at = {number: start + number / plan.rate for number in range(events)}
        tasks = [group.create_task(publisher.publish_at(*due)) for due in due_at.items()]
        tasks.append(group.create_task(trouble(target, networks, plan)))
        await asyncio.sleep(plan.seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(plan.grace):
                while not tally.has_all(due_at):  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.25)
        for task in tasks:
            task.cancel()
    return tally.figures(due_at)


async def _drop(networks: Sequence[Network], plan: Plan, *, unnoticed: bool) -> None:
    end = time.monotonic() + plan.seconds

    async def suffer(network: Network, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0, plan.online))
        while time.monotonic() < end:
            network.go_away(unnoticed=unnoticed)
            await asyncio.sleep(plan.away)
            network.come_back()
            await asyncio.sleep(chance.uniform(0.5, 1.5) * plan.online)

    chances = (random.Random(f"{plan.seed}-{number}") for number in range(len(networks)))
    await asyncio.gather(*map(suffer, networks, chances))


class _Publisher:
    """Sends each event until the server has acknowledged it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._run = uuid.uuid4().hex

    async def publish_at(self, number: int, due: float) -> None:
        await asyncio.sleep(due - time.monotonic())
        event = {
            "type": "furniture_created",
            "furniture": FURNITURE | {"furniture_id": f"{number:024}"},
            "id": f"{self._run}-{number}",
        }
        while not await self._accepted(event):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(RETRY_SECONDS)

    async def _accepted(self, event: dict[str, object]) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(self._url, json=event) as answer:
                return answer.ok
        return False


async def _warm_up(publisher: _Publisher, tally: Tally, first: int) -> None:
    """Publish until each consumer has an event, so that a client has an offset to recover from."""
    number, deadline = first, time.monotonic() + CONNECT_SECONDS
    while len(tally.reached()) < tally.consumers:
        if time.monotonic() > deadline:
            raise ServerError(f"{len(tally.reached())} of {tally.consumers} consumers got an event")
        await asyncio.wait_for(publisher.publish_at(number, 0), CONNECT_SECONDS)
        await asyncio.sleep(RETRY_SECONDS)
        number += 1


@asynccontextmanager
async def _networks(target: Target, plan: Plan) -> AsyncIterator[list[Network]]:
    networks = [Network(*host_and_port(target.consume)) for _ in range(plan.networks)]
    try:
        for network in networks:
            await network.start()
        yield networks
    finally:
        for network in networks:
            await network.stop()


@asynccontextmanager
async def _consuming(
    target: Target, networks: Sequence[Network], tally: Tally
) -> AsyncIterator[None]:
    """Run the consumers, and count what they report."""
    path = target.consume.partition("://")[2].partition("/")[2]
    scheme = "ws" if target.client == "websocket" else "http"
    process = await asyncio.create_subprocess_exec(
        "node", "consumers.mjs", target.client, str(tally.consumers),
        *(f"{scheme}://127.0.0.1:{network.port}/{path}" for network in networks),
        cwd=CONSUMERS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
    )  # fmt: skip

    async def count() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            tally.add(json.loads(line))

    counting = asyncio.create_task(count())
    try:
        yield
        if process.returncode is not None:
            raise ServerError(f"the consumers ended with {process.returncode}")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await counting
