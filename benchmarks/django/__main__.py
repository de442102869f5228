"""Measure the Django app: ``python -m benchmarks.django``.

Broker, site, relay and writer are separate processes. The broker has one core, and the others share
a second one. Each table has one run, and compares each line with the first.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket
from furniture_events import Producer

from benchmarks import servers
from benchmarks.figures import FURNITURE, Figures, percentiles
from tests.support.postgres import Postgres

DATABASES = ("sqlite", "postgres")
DRAIN_PIECES = 1000
WARM_UP = 20
"""The first commits and requests, which are not measured."""

EventsSetting = Mapping[str, object]


class Site:
    """A site's database, and its processes, each with its own setting for the app."""

    def __init__(self, database: Mapping[str, object], folder: Path) -> None:
        self._database = database
        self._folder = folder

    def run(self, *command: str, events: EventsSetting | None = None) -> str:
        """Run a Python program of the site to its end; return its output."""
        with self.start(*command, events=events, stdout=subprocess.PIPE) as process:
            output: bytes = process.communicate()[0]
        if process.returncode:
            raise servers.ServerError(f"{command} ended with {process.returncode}")
        return output.decode()

    @contextmanager
    def start(
        self, *command: str, events: EventsSetting | None = None, **options: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a Python program of the site for a block."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.django.settings",
            "SITE_DATABASE": json.dumps(self._database),
            "SITE_EVENTS": json.dumps(events) if events else "",
        }
        with (self._folder / "stderr").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env=environment, stderr=errors, **options
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def site(kind: str) -> Iterator[Site]:
    """Make a site with an empty outbox and one piece."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        if kind == "sqlite":
            database = {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(folder / "site.db"),
                "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL"},
            }
            yield _prepared(Site(database, folder))
            return
        postgres = Postgres()
        postgres.start()
        try:
            yield _prepared(Site(postgres.create("site"), folder))
        finally:
            postgres.stop()


def _prepared(new: Site) -> Site:
    new.run("benchmarks.django.writer", "prepare", events={"URL": "http://127.0.0.1:9"})
    return new


def latency(kind: str, rate: int, seconds: float) -> dict[str, Figures]:
    """From the commit until a consumer has the event over WebSocket, for each kind of wake-up."""
    settings: dict[str, EventsSetting] = {
        "socket": {"WAKE": "socket"},
        "listen": {"WAKE": "listen"},
        "poll": {"WAKE": "poll"},
    }
    if kind != "postgres":
        del settings["listen"]
    return {name: _latency(kind, rate, seconds, events) for name, events in settings.items()}


def _latency(kind: str, rate: int, seconds: float, setting: EventsSetting) -> Figures:
    count = WARM_UP + int(rate * seconds)
    with servers.running("ours") as broker, site(kind) as running_site:
        events = {"URL": f"http://127.0.0.1:{broker.port}", **setting}
        consumer = websocket.create_connection(f"ws://127.0.0.1:{broker.port}", timeout=30)
        received: dict[int, float] = {}

        def consume() -> None:
            while len(received) < count:
                event = json.loads(consumer.recv())
                received.setdefault(event["furniture"]["ancho"], time.monotonic())

        reader = threading.Thread(target=consume)
        reader.start()
        with running_site.start("django", "relay_furniture_events", events=events):
            committed = json.loads(
                running_site.run(
                    "benchmarks.django.writer", "commits", str(rate), str(count), events=events
                )
            )
            reader.join(30)
        consumer.close()
    if reader.is_alive():
        raise servers.ServerError(f"{len(received)} of {count} events came")
    latencies = [received[number] - committed[str(number)] for number in range(WARM_UP, count)]
    return percentiles(latencies)


def drain(kind: str, count: int) -> dict[str, Figures]:
    """A backlog of 1,000 pieces, from the relay's start to its end, and the producer alone."""
    with (
        servers.running("ours", SIO_RETENTION_EVENTS=10 * count) as broker,
        site(kind) as running_site,
    ):
        url = f"http://127.0.0.1:{broker.port}"
        running_site.run(
            "benchmarks.django.writer",
            "backlog",
            str(count),
            str(DRAIN_PIECES),
            events={"URL": url},
        )
        started = time.monotonic()
        running_site.run("django", "relay_furniture_events", "--once", events={"URL": url})
        relay_seconds = time.monotonic() - started
        event = {"type": "furniture_updated", "furniture": FURNITURE}
        with Producer(url) as producer:
            started = time.monotonic()
            producer.publish_many([event] * count)
            producer_seconds = time.monotonic() - started
    return {
        "producer alone": {"events/s": count / producer_seconds},
        "relay": {"events/s": count / relay_seconds},
    }


def request(kind: str, seconds: float) -> dict[str, Figures]:
    """A request that saves a piece, under gunicorn, without the app and with each setting."""
    with servers.running("ours") as broker, site(kind) as running_site, _silent() as silent:
        up = f"http://127.0.0.1:{broker.port}"
        down = "http://127.0.0.1:9"
        settings: dict[str, EventsSetting | None] = {
            "without": None,
            "outbox": {"URL": up},
            "outbox, no broker": {"URL": down},
            "direct": {"URL": up, "MODE": "direct"},
            "direct, refused": {"URL": down, "MODE": "direct"},
            "direct, silent": {"URL": silent, "MODE": "direct", "DIRECT_TIMEOUT": 0.2},
        }
        return {name: _request(running_site, events, seconds) for name, events in settings.items()}


def _request(running_site: Site, events: EventsSetting | None, seconds: float) -> Figures:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gunicorn = (
        "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "2",
        "--log-level", "error", "benchmarks.django.site",
    )  # fmt: skip
    with running_site.start(*gunicorn, events=events):
        client = _connected(port)
        durations = []
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at or len(durations) < 2 * WARM_UP:
            started = time.monotonic()
            client.request("GET", "/save")
            answer = client.getresponse()
            answer.read()
            durations.append(time.monotonic() - started)
            if answer.status != http.HTTPStatus.NO_CONTENT:
                raise servers.ServerError(f"the site answers {answer.status}")
        client.close()
    return percentiles(durations[WARM_UP:])


def _connected(port: int) -> http.client.HTTPConnection:
    deadline = time.monotonic() + servers.START_SECONDS
    while True:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            client.connect()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return client


@contextmanager
def _silent() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def table(title: str, rows: Mapping[str, Figures]) -> str:
    """Format figures, each with its ratio to the first line."""
    first = next(iter(rows.values()))
    lines = [title]
    for name, figures in rows.items():
        cells = [
            f"{column} {value:,.2f} ({value / first[column]:.2f})"
            if first[column]
            else f"{column} {value:,.2f}"
            for column, value in figures.items()
        ]
        lines.append(f"  {name:20}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the tables that the arguments choose."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.django", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--rate", type=int, default=100, help="commits a second, for latency")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each line")
    parser.add_argument("--backlog", type=int, default=100_000, help="events, for draining")
    chosen = parser.parse_args(arguments)
    servers.pin(servers.LOAD_CORE)
    for kind in chosen.databases:
        print(
            table(f"latency, {kind}: {latency.__doc__}", latency(kind, chosen.rate, chosen.seconds))
        )
        print(table(f"drain, {kind}: {drain.__doc__}", drain(kind, chosen.backlog)))
        print(
            table(f"request, {kind}: {request.__doc__}", request(kind, chosen.seconds)), flush=True
        )


if __name__ == "__main__":
    main()
