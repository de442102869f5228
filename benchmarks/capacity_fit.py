"""Measure the costs of ``capacity`` on this machine, and check the model against two nodes.

``python -m benchmarks.capacity_fit`` runs servers with their log in a Valkey. Each cost is a
difference of two runs. The check then compares the CPU time of two nodes and of their Valkey, under
a load that no run of the fit had, with the model's prediction.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from benchmarks import servers
from benchmarks.capacity import (
    RATES,
    TOUCH_SECONDS,
    Costs,
    Demand,
    measured_costs,
    node_core,
    valkey_core,
)
from benchmarks.figures import FURNITURE
from benchmarks.filling import RETENTION, Content, fill
from benchmarks.growth_connections import kernel_kib
from benchmarks.open_loop import RecordingCrowd, ScheduledEvent, numbered
from benchmarks.results import Result, Row, save
from benchmarks.servers import Running, cpu_seconds, running
from benchmarks.storage import Storage, temporary_storage
from sio_server.eventlog.valkey.log import ValkeyLog

LOG = "valkey"
WARM_UP_EVENTS = 40
IDLE_SECONDS = 15.0
"""Here, the pings have this interval, so that the run is short. By default, it is 25 s."""

PUBLISH_SECONDS, MAX_PUBLISHES = 5.0, 3_000
FEW, MANY = 5, 200
IDLE = 1_000
CONNECTED = 200
FILLED = 5_000
TOUCHED = 10_000
TOUCHES = 5


class Load(NamedTuple):
    """The load of one run.

    Attributes:
        consumers: the consumers of each node.
        publishes: events a second, to all consumers; 0: none.
        seconds: how long.
        publishing: how many of the nodes take the events, in turns. One more consumer publishes
            on each of them.
    """

    consumers: Sequence[int]
    publishes: float
    seconds: float
    publishing: int = 1


class Used(NamedTuple):
    """CPU seconds in each second, by process."""

    nodes: list[float]
    valkey: float


def run(load: Load) -> Used:
    """Run a load on fresh nodes."""
    with _nodes(len(load.consumers)) as (storage, nodes), ExitStack() as stack:
        crowds = [stack.enter_context(RecordingCrowd(node.port, node.greeting)) for node in nodes]
        for crowd, consumers in zip(crowds, load.consumers, strict=True):
            crowd.join(consumers)
        publishers = [
            publisher
            for crowd in crowds[: load.publishing]
            for publisher in crowd.join(1, ["author:nobody"])
        ]
        clocks = [node.cpu_seconds for node in nodes]
        clocks.append(partial(cpu_seconds, storage.valkey.process))

        def publish(first: int, count: int) -> None:
            rate = load.publishes
            schedule = [
                ScheduledEvent(
                    at / rate, numbered(first + at, FURNITURE), publishers[at % len(publishers)]
                )
                for at in range(count)
            ]
            for crowd, consumers in zip(crowds, load.consumers, strict=True):
                crowd.publish_on_schedule(schedule, count * consumers)
                schedule = []  # the other nodes only receive

        if load.publishes:
            publish(0, WARM_UP_EVENTS)
        before = [clock() for clock in clocks]
        if load.publishes:
            publish(WARM_UP_EVENTS, int(load.publishes * load.seconds))
        else:
            crowds[0].answer_pings(load.seconds)
        *used, valkey = [
            (clock() - start) / load.seconds for clock, start in zip(clocks, before, strict=True)
        ]
    return Used(used, valkey)


@contextmanager
def _nodes(count: int) -> Iterator[tuple[Storage, list[Running]]]:
    with temporary_storage(LOG) as storage, ExitStack() as stack:
        nodes = []
        for number in range(count):
            folder = storage.folder / str(number)
            folder.mkdir()
            own = replace(storage, folder=folder)
            nodes.append(stack.enter_context(running(LOG, IDLE_SECONDS, storage=own)))
        yield storage, nodes


def fit() -> Costs:
    """Measure all costs."""
    quiet = run(Load([0], 0, IDLE_SECONDS / 2))
    idle = run(Load([IDLE], 0, IDLE_SECONDS))
    each_idle = (idle.nodes[0] - quiet.nodes[0]) / IDLE
    touch = asyncio.run(_touch())
    seconds = [min(PUBLISH_SECONDS, MAX_PUBLISHES / rate) for rate in RATES]
    alone = [run(Load([FEW], rate, each)) for rate, each in zip(RATES, seconds, strict=True)]
    two = [run(Load([FEW, 0], rate, each)) for rate, each in zip(RATES, seconds, strict=True)]
    full = run(Load([MANY], RATES[1], PUBLISH_SECONDS))
    delivery = ((full.nodes[0] - alone[1].nodes[0]) / (MANY - FEW) - each_idle) / RATES[1]
    valkey_follow = (two[-1].valkey - alone[-1].valkey - quiet.valkey) / RATES[-1]
    few = FEW * each_idle, FEW * touch / TOUCH_SECONDS
    return Costs(
        delivery=delivery,
        publish=[
            (used.nodes[0] - quiet.nodes[0] - few[0]) / rate - FEW * delivery
            for rate, used in zip(RATES, alone, strict=True)
        ],
        follow=[
            (used.nodes[1] - quiet.nodes[0]) / rate for rate, used in zip(RATES, two, strict=True)
        ],
        idle=each_idle,
        background=quiet.nodes[0],
        valkey_publish=[
            ((one.valkey + both.valkey - 3 * quiet.valkey) / 2 - few[1]) / rate - valkey_follow
            for rate, one, both in zip(RATES, alone, two, strict=True)
        ],
        valkey_follow=valkey_follow,
        valkey_touch=touch,
        valkey_background=quiet.valkey,
        **_memory_and_connects(),
    )


async def _touch() -> float:
    """Return Valkey's time to touch a session."""
    with temporary_storage(LOG) as storage:
        log = ValkeyLog(storage.settings["SIO_EVENT_LOG"], RETENTION)
        await log.open()
        names = [f"{number:032}" for number in range(TOUCHED)]
        for start in range(0, TOUCHED, CONNECTED):
            await asyncio.gather(
                *(
                    log.sessions.create(name, name, "anonymous", "x" * 150, {"catalog": 0})
                    for name in names[start : start + CONNECTED]
                )
            )
        costs = []
        for _ in range(TOUCHES):
            before = cpu_seconds(storage.valkey.process)
            await log.sessions._lease.renew()  # noqa: SLF001 - it runs every ten minutes
            costs.append((cpu_seconds(storage.valkey.process) - before) / TOUCHED)
        await log.close()
    return min(costs)


def _memory_and_connects() -> dict[str, float]:
    with _nodes(1) as (storage, (node,)), RecordingCrowd(node.port, node.greeting) as crowd:
        crowd.join(CONNECTED)
        crowd.answer_pings(3)
        valkey = partial(cpu_seconds, storage.valkey.process)
        before = node.cpu_seconds(), valkey(), node.memory_kib(), kernel_kib()
        node_kib = before[2]
        crowd.join(2 * CONNECTED)
        cpu, valkey_cpu = node.cpu_seconds() - before[0], valkey() - before[1]
        crowd.answer_pings(3)
        memory = node.memory_kib() - before[2] + (kernel_kib() - before[3]) / 2
    with temporary_storage(LOG) as storage, storage.valkey.client as client:
        sizes = [client.info("memory")["used_memory"]]
        for content in (Content(events=FILLED), Content(FILLED, sessions=FILLED)):
            fill(storage, content)
            sizes.append(client.info("memory")["used_memory"])
    return {
        "connect": cpu / 2 / CONNECTED,
        "valkey_connect": valkey_cpu / CONNECTED,  # about as much again when it leaves
        "consumer_bytes": memory * 1024 / 2 / CONNECTED,
        "node_bytes": node_kib * 1024,
        "event_bytes": (sizes[1] - sizes[0]) / FILLED,
        "session_bytes": (sizes[2] - sizes[1]) / FILLED,
    }


def check(costs: Costs, load: Load) -> dict[str, tuple[float, float]]:
    """Run a load on two nodes; return the measured and the predicted CPU by process, in percent."""
    used = run(load)
    consumers = sum(load.consumers)
    demand = Demand(consumers, load.publishes, consumers, stay=float("inf"))
    nodes = node_core(costs, demand, len(load.consumers)) * len(load.consumers)
    return {
        "both nodes": (sum(used.nodes) * 100, nodes * 100),
        "Valkey": (used.valkey * 100, valkey_core(costs, demand, len(load.consumers)) * 100),
    }


CHECKS = [
    Load([300, 100], 50, 5, publishing=2),
    Load([100, 100], 100, 5, publishing=2),
    Load([20, 20], 300, 5, publishing=2),
]


def main() -> None:
    """Measure, check, and print both."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity_fit",
        description="Measure the costs of the capacity model, and check it against two nodes.",
    )
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results")
    parser.add_argument("--check", action="store_true", help="only check the saved costs")
    chosen = parser.parse_args()
    servers.pin(servers.LOAD_CORE)
    rows = []
    if not chosen.check:
        costs = fit()
        rows.append(Row("costs", [costs.figures()]))
        for name, value in costs.figures().items():
            shown = f"{value:,.0f} bytes" if name.endswith("bytes") else f"{value * 1e6:,.1f} µs"
            print(f"{name:26}{shown}", flush=True)
        if chosen.save:
            _save("capacity", "The costs of the capacity model.", rows)
    else:
        costs = measured_costs()
    rows = []
    print("| consumers of the nodes, events a second | process | measured | model | error |")
    print("| --- | --- | ---: | ---: | ---: |")
    for load in CHECKS:
        name = f"{' + '.join(map(str, load.consumers))}, {load.publishes}"
        for process, (measured, predicted) in check(costs, load).items():
            error = (predicted / measured - 1) * 100
            rows.append(Row(f"{name}: {process}", [{"measured %": measured, "model %": predicted}]))
            print(
                f"| {name} | {process} | {measured:.1f} % | {predicted:.1f} % | {error:+.0f} % |",
                flush=True,
            )
    if chosen.save:
        _save("capacity-check", "Two nodes and a Valkey under a load, beside the model.", rows)


def _save(name: str, says: str, rows: list[Row]) -> None:
    save(Result(name, says, ["What another machine needs."], rows))


if __name__ == "__main__":
    main()
