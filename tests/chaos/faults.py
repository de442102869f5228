"""What goes wrong in a run, each fault a coroutine that ends when it has been made good again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

from tests.chaos.node import Node
from tests.chaos.options import AWAY_SECONDS
from tests.support.proxy import Proxy


class Scene(Protocol):
    """What faults are done to."""

    random: Random

    @property
    def nodes(self) -> list[Node]:
        """The server's nodes."""

    @property
    def proxies(self) -> list[Proxy]:
        """What stands before them."""

    async def published(self, count: int) -> None:
        """Wait until so many more events have been acknowledged."""

    async def restart_log(self) -> None:
        """End the log's own process without warning, and start it again."""

    async def take_log(self, how: str) -> None:
        """Put the log out of reach: ``cut`` off, ``silent`` or ``ended``."""

    async def bring_log(self) -> None:
        """Let it be reached again."""

    async def refused(self, code: str) -> None:
        """Wait until a publish has been answered with that error."""


Fault = Callable[[Scene], Awaitable[None]]


async def kill(scene: Scene) -> None:
    """SIGKILL, and start again on the same port and data."""
    node = scene.random.choice(scene.nodes)
    await node.kill()
    await node.start()


async def drain(scene: Scene) -> None:
    """SIGTERM, and start again."""
    node = scene.random.choice(scene.nodes)
    await node.stop()
    await node.start()


async def roll(scene: Scene) -> None:
    """Drain one node after the other; what connects meanwhile is sent to another, as by a balancer.

    A node gets its own back, and the next one goes, when it says that it is ready.
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
    """SIGSTOP for longer than some clients wait, then SIGCONT."""
    node = scene.random.choice(scene.nodes)
    node.freeze()
    try:
        await asyncio.sleep(scene.random.uniform(0.2, 2.5))
    finally:
        node.thaw()


async def kill_frozen(scene: Scene) -> None:
    """SIGKILL a process that stands still, with what it has not answered."""
    node = scene.random.choice(scene.nodes)
    node.freeze()
    await asyncio.sleep(scene.random.uniform(0.05, 0.3))
    await node.kill()
    await node.start()


async def cut(scene: Scene) -> None:
    """Reset the connections."""
    for proxy in _some(scene):
        proxy.cut()


async def half_open(scene: Scene) -> None:
    """Let no byte through any more, and tell neither end."""
    for proxy in _some(scene):
        proxy.silence()


async def blackhole(scene: Scene) -> None:
    """Refuse every connection for a while."""
    proxies = _some(scene)
    for proxy in proxies:
        proxy.open = False
        proxy.cut()
    try:
        await scene.published(20)
    finally:
        for proxy in proxies:
            proxy.open = True


async def disk_full(scene: Scene) -> None:
    """Leave no space until a publish was refused for it."""
    node = scene.random.choice(scene.nodes)
    node.disk.fill(node.pid)
    try:
        await scene.refused("log_unavailable")
    finally:
        node.disk.free(node.pid)


async def killed_with_a_full_disk(scene: Scene) -> None:
    """SIGKILL while there is no space; there is again when it starts."""
    node = scene.random.choice(scene.nodes)
    node.disk.fill(node.pid)
    await scene.refused("log_unavailable")
    await node.kill()
    if node.disk.mounted:  # the other kind has ended with the process
        node.disk.free(node.pid)
    await node.start()


async def kill_log(scene: Scene) -> None:
    """SIGKILL the log's own process, and start it again on the same port and data."""
    await scene.restart_log()


async def log_cut(scene: Scene) -> None:
    """Cut the log off for a while."""
    await _without_log(scene, "cut")


async def log_silent(scene: Scene) -> None:
    """Let nothing through to the log and back for a while, and tell nobody."""
    await _without_log(scene, "silent")


async def log_ended(scene: Scene) -> None:
    """End the log's own process, and start it again after a while."""
    await _without_log(scene, "ended")


async def _without_log(scene: Scene, how: str) -> None:
    """Take the log away until publishes are refused and the nodes say that they aren't ready."""
    await scene.take_log(how)
    await scene.refused("log_unavailable")
    await _ready(scene, 503)
    await asyncio.sleep(AWAY_SECONDS)
    await scene.bring_log()
    await _ready(scene, 200)


async def _ready(scene: Scene, status: int) -> None:
    for node in scene.nodes:
        await asyncio.to_thread(node.server.wait_until_ready, status)


def _some(scene: Scene) -> list[Proxy]:
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
