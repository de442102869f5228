"""The faults of a run. Each is a coroutine that returns after the fault has been repaired."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

from tests.chaos.node import Node
from tests.chaos.options import AWAY_SECONDS
from tests.support.proxy import Proxy


class Scene(Protocol):
    """The parts of a run that faults act on."""

    random: Random

    @property
    def nodes(self) -> list[Node]:
        """The server's nodes."""

    @property
    def proxies(self) -> list[Proxy]:
        """The proxies between clients and nodes."""

    async def published(self, count: int) -> None:
        """Wait until ``count`` more events have been acknowledged."""

    async def restart_log(self) -> None:
        """Kill the log's own process and restart it."""

    async def make_log_unreachable(self, how: str) -> None:
        """Make the log unreachable: ``cut`` off, ``silent`` or ``ended``."""

    async def make_log_reachable(self) -> None:
        """Make the log reachable again."""

    async def refused(self, code: str) -> None:
        """Wait until a publish has been answered with this error."""


Fault = Callable[[Scene], Awaitable[None]]


async def kill(scene: Scene) -> None:
    """Kill a node, and restart it with the same port and data."""
    node = scene.random.choice(scene.nodes)
    await node.kill()
    await node.start()


async def drain(scene: Scene) -> None:
    """Send SIGTERM to a node, and restart it after its end."""
    node = scene.random.choice(scene.nodes)
    await node.stop()
    await node.start()


async def roll(scene: Scene) -> None:
    """Drain one node after the other, while new connections go to the other node.

    The proxies act as a load balancer. A node gets its connections back when it is ready again, and
    only then the next node is drained.
    """
    for node, other in zip(scene.nodes, [*scene.nodes[1:], scene.nodes[0]], strict=True):
        own = [proxy for proxy in scene.proxies if proxy.target == node.server.port]
        for proxy in own:
            proxy.target = other.server.port
        await node.stop()
        await node.start()
        await asyncio.to_thread(node.server.wait_until_ready)
        for proxy in own:
            proxy.target = node.server.port


async def freeze(scene: Scene) -> None:
    """Send SIGSTOP for longer than some clients wait, then SIGCONT."""
    node = scene.random.choice(scene.nodes)
    node.freeze()
    try:
        await asyncio.sleep(scene.random.uniform(0.2, 2.5))
    finally:
        node.thaw()


async def kill_frozen(scene: Scene) -> None:
    """Kill a stopped process that has unanswered requests."""
    node = scene.random.choice(scene.nodes)
    node.freeze()
    await asyncio.sleep(scene.random.uniform(0.05, 0.3))
    await node.kill()
    await node.start()


async def cut(scene: Scene) -> None:
    """Reset the connections of some proxies."""
    for proxy in _some_proxies(scene):
        proxy.cut()


async def half_open(scene: Scene) -> None:
    """Drop all bytes of the present connections, without a sign to either end."""
    for proxy in _some_proxies(scene):
        proxy.silence()


async def blackhole(scene: Scene) -> None:
    """Refuse every connection for a while."""
    proxies = _some_proxies(scene)
    for proxy in proxies:
        proxy.open = False
        proxy.cut()
    try:
        await scene.published(20)
    finally:
        for proxy in proxies:
            proxy.open = True


async def disk_full(scene: Scene) -> None:
    """Fill the disk until a publish is refused because of it."""
    node = scene.random.choice(scene.nodes)
    node.disk.fill(node.pid)
    try:
        await scene.refused("log_unavailable")
    finally:
        node.disk.free(node.pid)


async def killed_with_a_full_disk(scene: Scene) -> None:
    """Kill a node with a full disk. The disk has space again when the node starts."""
    node = scene.random.choice(scene.nodes)
    node.disk.fill(node.pid)
    await scene.refused("log_unavailable")
    await node.kill()
    if node.disk.mounted:  # a limit of the process has ended with the process
        node.disk.free(node.pid)
    await node.start()


async def kill_log(scene: Scene) -> None:
    """Kill the log's own process, and restart it with the same port and data."""
    await scene.restart_log()


async def log_cut(scene: Scene) -> None:
    """Cut the log off for a while."""
    await _without_log(scene, "cut")


async def log_silent(scene: Scene) -> None:
    """Drop all bytes to and from the log for a while, without a sign to either end."""
    await _without_log(scene, "silent")


async def log_ended(scene: Scene) -> None:
    """Stop the log's own process, and restart it after a while."""
    await _without_log(scene, "ended")


async def _without_log(scene: Scene, how: str) -> None:
    """Keep the log away until publishes are refused and no node is ready."""
    await scene.make_log_unreachable(how)
    await scene.refused("log_unavailable")
    await _wait_for_readiness(scene, 503)
    await asyncio.sleep(AWAY_SECONDS)
    await scene.make_log_reachable()
    await _wait_for_readiness(scene, 200)


async def _wait_for_readiness(scene: Scene, status: int) -> None:
    for node in scene.nodes:
        await asyncio.to_thread(node.server.wait_until_ready, status)


def _some_proxies(scene: Scene) -> list[Proxy]:
    return scene.random.sample(scene.proxies, scene.random.randint(1, len(scene.proxies)))


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill,
        drain,
        roll,
        freeze,
        kill_frozen,
        cut,
        half_open,
        blackhole,
        disk_full,
        killed_with_a_full_disk,
        kill_log,
        log_cut,
        log_silent,
        log_ended,
    )
}
