"""The curves over connections: their number, their rooms, the size of the events they receive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks.durability import EVENT
from benchmarks.figures import FURNITURE, Figures, Usage, least_cpu
from benchmarks.http import Requester, post
from benchmarks.load import TIMEOUT, Client, Crowd, timed_out
from benchmarks.servers import PING_INTERVAL, Running, running

WARM_UP_CLIENTS = 100
WARM_UP_EVENTS = 20
DELIVERIES = 100_000
"""Deliveries of a point, about."""

SETTLE_SECONDS = 3.0
"""The server gives memory back to the system every two seconds."""

REPEATS = 5
ROOM_CLIENTS = 10_000
ROOM_EVENTS = 1_100
BATCH_EVENTS = 100
PAGE_KIB = 4


class RoomsCrowd(Crowd):
    """Clients that each ask for rooms of their own."""

    def __init__(self, server: Running) -> None:
        super().__init__(server.port, server.greeting)
        self._rooms: Iterator[Sequence[str]] = iter(())

    def join(self, rooms: Sequence[Sequence[str]]) -> None:
        """Connect a client for each of these lists of rooms."""
        self._rooms = iter(rooms)
        self.connect(len(rooms))

    def _open(self) -> Client:
        return Client(self._port, auth=json.dumps({"rooms": next(self._rooms)}))

    def receive(self, events: int) -> None:
        """Wait until all clients together have received this many events."""
        while events > 0:
            for descriptor, _ in self._poll.poll(TIMEOUT) or timed_out():
                client = self._clients[descriptor]
                events -= client.receive(client.socket.recv(65_536))


def clients(name: str, size: int) -> Figures:
    """All clients receive every event; then they are idle for a ping interval.

    ``kernel KiB`` is the kernel's memory for one end of a connection: half of its growth here,
    where both ends are on one machine.
    """
    with running(name) as server, Crowd(server.port, server.greeting) as crowd:
        crowd.connect(min(size // 2, WARM_UP_CLIENTS))
        crowd.answer_pings(SETTLE_SECONDS)
        count = size - min(size // 2, WARM_UP_CLIENTS)
        before, kernel_before = server.memory_kib(), kernel_kib()
        with Usage(server) as connecting:
            crowd.connect(count)
        crowd.answer_pings(SETTLE_SECONDS)
        memory, kernel = server.memory_kib() - before, kernel_kib() - kernel_before
        delivered = deliver(server, crowd, size, FURNITURE)
        crowd.answer_pings(PING_INTERVAL / 5)
        with Usage(server) as idle:
            crowd.answer_pings(PING_INTERVAL)
    return {
        "connect µs": connecting.cpu / count * 1e6,
        "KiB": memory / count,
        "kernel KiB": kernel / count / 2,
        **delivered,
        "idle core %": idle.cpu / idle.wall * 100,
        "idle µs/s each": idle.cpu / idle.wall / size * 1e6,
    }


def payload(name: str, size: int) -> Figures:
    """Each event has about ``size`` bytes."""
    furniture = FURNITURE | {"relleno": ""}
    furniture["relleno"] = "x" * max(0, size - len(json.dumps(EVENT | {"furniture": furniture})))
    with running(name) as server, Crowd(server.port, server.greeting) as crowd:
        crowd.connect(500)
        return deliver(server, crowd, 500, furniture)


def rooms(name: str, size: int) -> Figures:
    """Each room has one of 10,000 clients; the others are in a room without events.

    The events are published in batches, each event to the next room.
    """
    members = min(size, ROOM_CLIENTS)
    each = -(-size // members)
    joined: list[list[str]] = [
        [f"author:room-{number}" for number in range(first, min(first + each, size))]
        for first in range(0, size, each)
    ]
    joined += [["author:nobody"]] * (ROOM_CLIENTS - len(joined))
    with running(name) as server, RoomsCrowd(server) as crowd, ExitStack() as stack:
        crowd.join(joined)  # before the publisher connects: the server closes silent connections
        requester = stack.enter_context(closing(Requester(server.port)))
        warm_up, *measured = [
            _batch_to(start, size) for start in range(0, ROOM_EVENTS, BATCH_EVENTS)
        ]
        requester.send(warm_up)
        crowd.receive(BATCH_EVENTS)

        def work() -> int:
            for batch in measured:
                requester.send(batch)
                crowd.receive(BATCH_EVENTS)
            return len(measured) * BATCH_EVENTS

        return {
            "event µs": least_cpu(server.cpu_seconds, work, REPEATS),
            "MiB": server.memory_kib() / 1024,
        }


def _batch_to(start: int, rooms: int) -> bytes:
    """Return a batch of events about pieces of their own, each to another one of the rooms."""
    events = []
    for number in range(start, start + BATCH_EVENTS):
        room = f"room-{number * 7_919 % rooms}"  # the next room is far away
        changes = {"furniture_id": f"{number:024}", "autor_username": room}
        events.append(EVENT | {"furniture": FURNITURE | changes})
    return post("/api/events/batch", {"events": events})


def rooms_each(name: str, size: int) -> Figures:
    """Each client is in ``size`` rooms, of which up to five receive each event."""
    five = [
        "catalog",
        f"material:{FURNITURE['material']}",
        f"author:{FURNITURE['autor_username']}",
        f"furniture:{FURNITURE['furniture_id']}",
        "type:furniture_created",
    ]
    names = [*five, *(f"author:other-{number}" for number in range(95))][:size]
    with running(name) as server, RoomsCrowd(server) as crowd:
        crowd.join([names] * WARM_UP_CLIENTS)
        crowd.answer_pings(SETTLE_SECONDS)
        before = server.memory_kib()
        with Usage(server) as connecting:
            crowd.join([names] * 900)
        crowd.answer_pings(SETTLE_SECONDS)
        memory = server.memory_kib() - before
        return {
            "connect µs": connecting.cpu / 900 * 1e6,
            "KiB": memory / 900,
            **deliver(server, crowd, 1_000, FURNITURE),
        }


def deliver(server: Running, crowd: Crowd, count: int, furniture: dict[str, object]) -> Figures:
    """Deliver events to all clients, the next one after the last has reached everyone."""
    events = max(1, DELIVERIES // count // REPEATS)

    def work() -> int:
        for _ in range(events):
            crowd.deliver(furniture)
        return events

    for _ in range(-(-WARM_UP_EVENTS // events)):
        work()
    cost = least_cpu(server.cpu_seconds, work, REPEATS)
    return {"delivery µs": cost / count, "event µs": cost}


def kernel_kib() -> int:
    """Return the memory of the kernel's objects and of all socket buffers."""
    slab = next(
        int(line.split()[1])
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("Slab:")
    )
    tcp = next(
        line.split()
        for line in Path("/proc/net/sockstat").read_text().splitlines()
        if line.startswith("TCP:")
    )
    return slab + PAGE_KIB * int(tcp[tcp.index("mem") + 1])
