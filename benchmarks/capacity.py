"""How many nodes some consumers need, and what bends first: ``python -m benchmarks.capacity``.

A pure model; it measures nothing. Its costs are the result ``capacity`` in ``benchmarks/results``,
measured by ``python -m benchmarks.capacity_fit --save``. docs/scaling.md explains the model. Times
are CPU seconds, sizes are bytes, rates are per second.
"""

from __future__ import annotations

import argparse
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from benchmarks.results import RESULTS, load

KIB, GIB = 1024, 2**30
FRAME_BYTES = 140
"""Headers of TCP, IP and Ethernet for one event, and the kernel's acknowledgement of it."""

CROWDED_CONSUMERS, CROWDED_COST = 2_000, 1.5
"""With more consumers than this, a delivery of a node costs this many times as much; about, see the
result ``growth-clients``."""

LEAST_HELP = 0.1
"""If n % more nodes relieve each node by less than this share of n %, they hardly help."""

TOUCH_SECONDS = 600.0
"""How often a node takes a new lease in Valkey, and puts its sessions in it."""


RATES = (50.0, 150.0, 500.0, 3_000.0)
"""The events in a second at which the costs of an event are measured. The more events come, the
more of them share a commit, a wake-up and an answer, so an event costs less."""


@dataclass(frozen=True)
class Costs:
    """What one thing costs. Three costs depend on the rate: they have one value for each rate.

    Attributes:
        delivery: a node's time to write an event to one consumer.
        publish: a node's time to take an event from a producer, and to deliver it to nobody.
        follow: a node's time for an event that another node has taken, delivered to nobody.
        idle: a node's time for one connected consumer in each second: heartbeat and session.
        connect: a node's time for one consumer that connects.
        background: the busy share of a core of a node without consumers and events.
        valkey_publish: Valkey's time for an event.
        valkey_follow: Valkey's time to hand an event to one node.
        valkey_touch: Valkey's time to put one session in a new lease of its node.
        valkey_connect: Valkey's time for the session of one consumer that connects and leaves.
        valkey_background: the busy share of Valkey's core for such a node.
        consumer_bytes: a node's memory for one consumer, with the kernel's.
        session_bytes: Valkey's memory for one session.
        event_bytes: Valkey's memory for one retained event.
        node_bytes: the memory of a node without consumers.
    """

    delivery: float
    publish: Sequence[float]
    follow: Sequence[float]
    idle: float
    connect: float
    background: float
    valkey_publish: Sequence[float]
    valkey_follow: float
    valkey_touch: float
    valkey_connect: float
    valkey_background: float
    consumer_bytes: float
    session_bytes: float
    event_bytes: float
    node_bytes: float

    def figures(self) -> dict[str, float]:
        """Return all costs by name, those of an event with their rates."""
        figures: dict[str, float] = {}
        for name, value in asdict(self).items():
            names = named(name)
            figures |= zip(names, value if name in BY_RATE else [value], strict=True)
        return figures


BY_RATE = "publish", "follow", "valkey_publish"


def named(cost: str) -> list[str]:
    """Return the names of a cost's figures: with each rate, if it depends on the rate."""
    return [f"{cost} at {rate:,.0f}/s" for rate in RATES] if cost in BY_RATE else [cost]


def at_rate(costs: Sequence[float], rate: float) -> float:
    """Return the cost of an event at a rate.

    Between two of ``RATES``, the time for all events of a second lies on a line; beyond the first
    and the last of them, an event costs as much as there.
    """
    position = bisect_left(RATES, rate)
    if position in (0, len(RATES)):
        return costs[min(position, len(RATES) - 1)]
    below, above = RATES[position - 1 : position + 1]
    busy_below, busy_above = below * costs[position - 1], above * costs[position]
    return (busy_below + (busy_above - busy_below) * (rate - below) / (above - below)) / rate


@dataclass(frozen=True)
class Demand:
    """What the users want.

    Attributes:
        consumers: connected consumers.
        publishes: events in a second.
        fan_out: consumers that receive an event, on average.
        payload: bytes of an event.
        stay: seconds that a consumer stays connected, on average.
        retained: retained events.
    """

    consumers: int
    publishes: float
    fan_out: float
    payload: int = 350
    stay: float = 600
    retained: int = 100_000


@dataclass(frozen=True)
class Limits:
    """What one machine may be used for. A node is one process, so it has one core.

    Attributes:
        core: the share of a core that may be busy: beyond it, latency grows quickly.
        node_bytes: the memory of a node.
        node_bandwidth: bytes in a second.
        node_consumers: ``SIO_MAX_CONNECTIONS``.
        valkey_bytes: the memory of Valkey.
        valkey_bandwidth: bytes in a second.
    """

    core: float = 0.6
    node_bytes: float = 2 * GIB
    node_bandwidth: float = 1.25e8
    node_consumers: int = 20_000
    valkey_bytes: float = 32 * GIB
    valkey_bandwidth: float = 1.25e9


class Use(NamedTuple):
    """The share of each limit that is used; above 1, it does not fit."""

    node_core: float
    node_memory: float
    node_bandwidth: float
    node_connections: float
    valkey_core: float
    valkey_memory: float
    valkey_bandwidth: float

    @property
    def bend(self) -> str:
        """The limit that is used most."""
        return max(self._fields, key=lambda name: getattr(self, name)).replace("_", " ")

    @property
    def of_node(self) -> float:
        """The most used limit of a node."""
        return max(self[:4])

    @property
    def fits(self) -> bool:
        """Whether no limit is exceeded."""
        return max(self) <= 1


def node_core(costs: Costs, demand: Demand, nodes: int) -> float:
    """Return the busy share of a node's core, if consumers and publishes are spread evenly."""
    crowded = CROWDED_COST if demand.consumers / nodes > CROWDED_CONSUMERS else 1
    publishes = demand.publishes / nodes
    return (
        costs.background
        + publishes * at_rate(costs.publish, demand.publishes)
        + (demand.publishes - publishes) * at_rate(costs.follow, demand.publishes)
        + demand.publishes * demand.fan_out / nodes * costs.delivery * crowded
        + demand.consumers / nodes * (costs.idle + costs.connect / demand.stay)
    )


def valkey_core(costs: Costs, demand: Demand, nodes: int) -> float:
    """Return the busy share of Valkey's one core."""
    sessions = costs.valkey_touch / TOUCH_SECONDS + costs.valkey_connect / demand.stay
    return (
        nodes * costs.valkey_background
        + demand.publishes
        * (at_rate(costs.valkey_publish, demand.publishes) + nodes * costs.valkey_follow)
        + demand.consumers * sessions
    )


def use(costs: Costs, demand: Demand, limits: Limits, nodes: int) -> Use:
    """Return the use of all limits with a number of nodes."""
    event = demand.payload + FRAME_BYTES
    each = demand.consumers / nodes
    deliveries = demand.publishes * demand.fan_out / nodes
    sessions = demand.consumers * costs.session_bytes
    return Use(
        node_core(costs, demand, nodes) / limits.core,
        (costs.node_bytes + each * costs.consumer_bytes) / limits.node_bytes,
        (deliveries + demand.publishes) * event / limits.node_bandwidth,
        each / limits.node_consumers,
        valkey_core(costs, demand, nodes) / limits.core,
        (sessions + demand.retained * costs.event_bytes) / limits.valkey_bytes,
        demand.publishes * (nodes + 1) * event / limits.valkey_bandwidth,
    )


def plan(costs: Costs, demand: Demand, limits: Limits) -> tuple[int, Use]:
    """Return the least number of nodes that the nodes' own limits allow, and the use of all limits.

    More nodes never relieve Valkey. If no number of nodes suffices, because each of them follows
    every event, it is the number from which more nodes hardly help.
    """
    nodes, found = 1, use(costs, demand, limits, 1)
    while found.of_node > 1:
        more = max(nodes + 1, math.ceil(nodes * 1.02))
        next_found = use(costs, demand, limits, more)
        if next_found.of_node > found.of_node * (1 - (more - nodes) / more * LEAST_HELP):
            break
        nodes, found = more, next_found
    return nodes, found


def measured_costs() -> Costs:
    """Return the costs that were measured last. A cost below 0 is smaller than the noise: 0."""
    (row, *_) = load(RESULTS / "capacity.json").rows

    costs: dict[str, Any] = {}
    for each in fields(Costs):
        values = [max(0.0, row.median(name)) for name in named(each.name)]
        costs[each.name] = values if each.name in BY_RATE else values[0]
    return Costs(**costs)


SCENARIOS = {
    "everybody sees 1 change a second": lambda consumers: Demand(consumers, 1, consumers),
    "everybody sees 10 changes a second": lambda consumers: Demand(consumers, 10, consumers),
    "rooms: 100 changes a second, each for 1,000": lambda consumers: Demand(
        consumers, 100, min(1_000, consumers)
    ),
    "rooms: 300 changes a second, each for 100": lambda consumers: Demand(
        consumers, 300, min(100, consumers)
    ),
}
CONSUMERS = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]


def table(costs: Costs, limits: Limits) -> str:
    """Return the plans of all scenarios, in Markdown."""
    lines = []
    for name, demand_of in SCENARIOS.items():
        lines += ["", f"**{name[0].upper()}{name[1:]}.**", ""]
        lines += ["| consumers | nodes | core | memory | Valkey's core | memory | bends first |"]
        lines += ["| ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
        for consumers in CONSUMERS:
            nodes, found = plan(costs, demand_of(consumers), limits)
            cells = [
                f"{consumers:,}",
                f"{nodes:,}",
                f"{found.node_core * limits.core * 100:.0f} %",
                f"{found.node_memory * limits.node_bytes / GIB:.2f} GiB",
                f"{found.valkey_core * limits.core * 100:.0f} %",
                f"{found.valkey_memory * limits.valkey_bytes / GIB:.1f} GiB",
                f"{found.bend}{': does not fit' * (not found.fits)}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines[1:])


def main() -> None:
    """Print the tables, or the plan for one demand."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity",
        description="How many nodes some consumers need, and what bends first.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demand = parser.add_argument_group("one demand", "Without --consumers: tables of several.")
    demand.add_argument("--consumers", type=int, help="connected consumers")
    demand.add_argument("--publishes", type=float, default=1.0, help="events a second")
    demand.add_argument("--fan-out", type=float, help="consumers of an event (default: all)")
    for each in fields(Demand)[3:]:
        demand.add_argument(f"--{each.name}", type=type(each.default), default=each.default)
    machines = parser.add_argument_group("machines")
    for each in fields(Limits):
        machines.add_argument(
            f"--{each.name.replace('_', '-')}", type=type(each.default), default=each.default
        )
    chosen = vars(parser.parse_args())
    limits = Limits(**{each.name: chosen[each.name] for each in fields(Limits)})
    costs = measured_costs()
    if chosen["consumers"] is None:
        print(table(costs, limits))
        return
    if chosen["fan_out"] is None:
        chosen["fan_out"] = chosen["consumers"]
    nodes, found = plan(costs, Demand(**{e.name: chosen[e.name] for e in fields(Demand)}), limits)
    print(f"{nodes} node{'s' * (nodes > 1)}{'' if found.fits else ', and it does not fit'}")
    for name, share in found._asdict().items():
        print(f"{name.replace('_', ' '):18}{share * 100:6.1f} % of its limit")


if __name__ == "__main__":
    main()
