"""Measure delivery under drops and during a deploy: ``python -m benchmarks.drops``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields, replace

from benchmarks import results
from benchmarks.drops import servers
from benchmarks.drops.run import SCENARIOS, Plan, Trouble, run
from benchmarks.figures import Figures
from benchmarks.results import Plot, Result, Row
from benchmarks.servers import LOAD_CORE, ServerError, pin
from benchmarks.versions import versions

STAGGER_SECONDS = 2
IN_TIME = ["within 1 s %", "within 5 s %", "delivered %"]
VERSIONS = (
    "socket.io", "python-socketio", "channels", "channels-redis", "django-eventstream", "Django",
    "uvicorn", "socket.io-client", "eventsource", "reconnecting-websocket",
)  # fmt: skip
NETWORK = "How it is with your network: a proxy cuts these connections, all on one machine."
ONE_SERVER = "How it is with several servers behind a load balancer: here is one, and it is away."
DOES_NOT_SAY = [
    "How many consumers a server can have: there are few, and no server is busy.",
    "What a page can do by itself: after a reconnect it can load its list again.",
    "That all clients are equal: `EventSource` and socket.io-client wait differently long.",
    "`p50` and `p99` count only events that arrived. A server that loses late events looks fast.",
]


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drops",
        description="Publish events to consumers whose networks go away, or whose server is "
        "restarted. The table has the share that arrives, in time, and twice.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    for name, choices, help in (
        ("--scenarios", SCENARIOS, "; ".join(f"{name}: {_doc(name)}" for name in SCENARIOS)),
        (
            "--peers",
            servers.KINDS,
            "; ".join(f"{key}: {it.label}" for key, it in servers.KINDS.items()),
        ),
    ):
        add(name, nargs="+", metavar="NAME", choices=choices, default=list(choices), help=help)
    add("--rounds", type=int, default=3, help="rounds, each with other times of the drops")
    add(
        "--together",
        action="store_true",
        help="run all servers at the same time; for loads that keep no core busy",
    )
    add("--save", action="store_true", help="write benchmarks/results/drops-*.json")
    plan = parser.add_argument_group("the load")
    for name, help in {
        "consumers": "stock clients",
        "networks": "networks between them and the server; each goes away at its own times",
        "rate": "events a second",
        "seconds": "how long events are published",
        "online": "seconds between two drops of a network, on average",
        "away": "seconds for which a network goes away",
        "grace": "seconds after the last event for late arrivals",
        "seed": "of the times of the drops",
    }.items():
        default = getattr(Plan, name)
        plan.add_argument(f"--{name}", type=type(default), default=default, help=help)
    other = parser.add_argument_group("a server of your own, instead of the peers")
    other.add_argument("--url", help="where its consumers connect, such as http://127.0.0.1:3000/")
    other.add_argument("--publish", help="the URL that takes a POST with an event as JSON")
    other.add_argument(
        "--client", choices=("socketio", "websocket", "sse"), default="socketio", help="the client"
    )
    other.add_argument("--restart", help="a shell command that restarts it, for deploy")
    chosen = parser.parse_args(arguments)
    if (chosen.url is None) != (chosen.publish is None):
        parser.error("--url and --publish belong together")
    try:
        servers.host_and_port(chosen.url or "http://127.0.0.1/")
    except ValueError as error:
        parser.error(f"--url: {error}")
    return chosen


def measure(chosen: argparse.Namespace, scenario: str) -> dict[str, list[Figures]]:
    """Run the rounds of a scenario; return the rounds of each server, by its name in tables."""
    names = ["your server"] if chosen.url else chosen.peers
    groups = [names] if chosen.together else [[name] for name in names]
    rounds: dict[str, list[Figures]] = {}
    plan = Plan(**{each.name: getattr(chosen, each.name) for each in fields(Plan)})
    turns = ((number, group) for number in range(chosen.rounds) for group in groups)
    with suppress(KeyboardInterrupt):  # the rounds so far count
        for number, group in turns:
            this = replace(plan, seed=plan.seed + number)
            try:
                with ExitStack() as stack:
                    targets = [stack.enter_context(_target(name, chosen)) for name in group]
                    found = asyncio.run(_run_all(targets, SCENARIOS[scenario], this))
            except ServerError as error:  # the other servers are still measured
                found = [error] * len(group)
            for name, figures in zip(group, found, strict=True):
                print(f"{scenario}, {name}: {figures}", file=sys.stderr)
                if not isinstance(figures, Exception):
                    label = servers.KINDS[name].label if name in servers.KINDS else name
                    rounds.setdefault(label, []).append(figures)
    return rounds


async def _run_all(
    targets: Sequence[servers.Target], trouble: Trouble, plan: Plan
) -> list[Figures | ServerError]:
    """Run all at the same time, each a bit later than the one before it.

    So no two servers are restarted in the same moment. If one fails, the others are still measured.
    """

    async def later(seconds: float, target: servers.Target) -> Figures:
        await asyncio.sleep(seconds)
        return await run(target, trouble, plan)

    runs = (later(at * STAGGER_SECONDS, target) for at, target in enumerate(targets))
    found = await asyncio.gather(*runs, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, ServerError):
            raise each
    return found


@contextmanager
def _target(name: str, chosen: argparse.Namespace) -> Iterator[servers.Target]:
    if chosen.url:
        yield servers.Elsewhere(chosen.url, chosen.publish, chosen.client, chosen.restart)
    else:
        with servers.running(name) as local:
            yield local


def result(scenario: str, chosen: argparse.Namespace, rounds: dict[str, list[Figures]]) -> Result:
    """Describe the rounds of a scenario."""
    says = (
        f"{chosen.rate:g} events a second for {chosen.seconds:g} s, to {chosen.consumers} consumers"
        f" with stock clients in {chosen.networks} networks. {_doc(scenario)}."
    )
    if scenario != "deploy":
        says += f" It is away for {chosen.away:g} s, about every {chosen.online + chosen.away:g} s."
    if chosen.together:
        says += " Several servers ran at the same time."
    return Result(
        name=f"drops-{scenario}",
        says=says,
        does_not_say=[ONE_SERVER if scenario == "deploy" else NETWORK, *DOES_NOT_SAY],
        rows=[Row(label, figures) for label, figures in rounds.items()],
        plots=[Plot("Share of the events that reach a consumer", IN_TIME, "% of all deliveries")],
        versions=versions(*VERSIONS),
    )


def main() -> None:
    """Measure what the command line chooses; print the tables, and save them."""
    chosen = options(sys.argv[1:])
    pin(LOAD_CORE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in list(chosen.peers):
        if reason := servers.missing(name):
            print(f"{name} is LEFT OUT: {reason}", file=sys.stderr)
            chosen.peers.remove(name)
    for scenario in chosen.scenarios:
        found = result(scenario, chosen, measure(chosen, scenario))
        print(f"\n{found.says}\n\n{results.table(found)}", flush=True)
        if chosen.save:
            results.save(found)


def _doc(scenario: str) -> str:
    return (SCENARIOS[scenario].__doc__ or "").removesuffix(".")


if __name__ == "__main__":
    main()
