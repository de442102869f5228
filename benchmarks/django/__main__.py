"""Measure the Django app: ``python -m benchmarks.django``.

Broker, site, relay and writer are processes of their own; the broker has one core, the rest the
other. Each table is of one run, each of its lines beside the first.
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
"""Commits and requests that are not counted."""

Events = Mapping[str, object]


class Site:
    """A site's database, and its processes with some way of publishing."""

    def __init__(self, database: Mapping[str, object], folder: Path) -> None:
        self._database = database
        self._folder = folder

    def run(self, *command: str, events: Events | None = None) -> str:
        """Run a Python program of the site to its end; return what it prints."""
        with self.start(*command, events=events, stdout=subprocess.PIPE) as process:
            output: bytes = process.communicate()[0]
        if process.returncode:
            raise servers.ServerError(f"{command} ended with {process.returncode}")
        return output.decode()

    @contextmanager
    def start(
        self, *command: str, events: Events | None = None, **options: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a Python program of the site for a block."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.django.settings",
            "SITE_DATABASE": json.dumps(self._database),
            "SITE_EVENTS": json.dumps(events) if events else "",
        }
        with (self._folder / "said").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env=environment, stderr=said, **options
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
    """From the commit until a consumer has the event over WebSocket, by what wakes the relay."""
    ways: dict[str, Events] = {
        "socket": {"WAKE": "socket"},
        "listen": {"WAKE": "listen"},
        "poll": {"WAKE": "poll"},
    }
    if kind != "postgres":
        del ways["listen"]
    return {way: _latency(kind, rate, seconds, events) for way, events in ways.items()}


def _latency(kind: str, rate: int, seconds: float, way: Events) -> Figures:
    count = WARM_UP + int(rate * seconds)
    with servers.running("ours") as broker, site(kind) as here:
        events = {"URL": f"http://127.0.0.1:{broker.port}", **way}
        consumer = websocket.create_connection(f"ws://127.0.0.1:{broker.port}", timeout=30)
        received: dict[int, float] = {}

        def consume() -> None:
            while len(received) < count:
                event = json.loads(consumer.recv())
                received.setdefault(event["furniture"]["ancho"], time.monotonic())

        reader = threading.Thread(target=consume)
        reader.start()
        with here.start("django", "relay_furniture_events", events=events):
            committed = json.loads(
                here.run(
                    "benchmarks.django.writer", "commits", str(rate), str(count), events=events
                )
            )
            reader.join(30)
        consumer.close()
    if reader.is_alive():
        raise servers.ServerError(f"{len(received)} of {count} events came")
    late = [received[number] - committed[str(number)] for number in range(WARM_UP, count)]
    return percentiles(late)


def drain(kind: str, count: int) -> dict[str, Figures]:
    """A backlog of 1,000 pieces, from the relay's start to its end; beside the producer alone."""
    with servers.running("ours", SIO_RETENTION_EVENTS=10 * count) as broker, site(kind) as here:
        url = f"http://127.0.0.1:{broker.port}"
        here.run(
            "benchmarks.django.writer",
            "backlog",
            str(count),
            str(DRAIN_PIECES),
            events={"URL": url},
        )
        begun = time.monotonic()
        here.run("django", "relay_furniture_events", "--once", events={"URL": url})
        relay = time.monotonic() - begun
        event = {"type": "furniture_updated", "furniture": FURNITURE}
        with Producer(url) as producer:
            begun = time.monotonic()
            producer.publish_many([event] * count)
            alone = time.monotonic() - begun
    return {"producer alone": {"events/s": count / alone}, "relay": {"events/s": count / relay}}


def request(kind: str, seconds: float) -> dict[str, Figures]:
    """A request that saves a piece, under gunicorn: without the app, and with it each way."""
    with servers.running("ours") as broker, site(kind) as here, _silent() as nobody_answers:
        up = f"http://127.0.0.1:{broker.port}"
        down = "http://127.0.0.1:9"
        ways: dict[str, Events | None] = {
            "without": None,
            "outbox": {"URL": up},
            "outbox, no broker": {"URL": down},
            "direct": {"URL": up, "MODE": "direct"},
            "direct, refused": {"URL": down, "MODE": "direct"},
            "direct, silent": {"URL": nobody_answers, "MODE": "direct", "DIRECT_TIMEOUT": 0.2},
        }
        return {way: _request(here, events, seconds) for way, events in ways.items()}


def _request(here: Site, events: Events | None, seconds: float) -> Figures:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gunicorn = (
        "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "2",
        "--log-level", "error", "benchmarks.django.site",
    )  # fmt: skip
    with here.start(*gunicorn, events=events):
        client = _connected(port)
        took = []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends or len(took) < 2 * WARM_UP:
            begun = time.monotonic()
            client.request("GET", "/save")
            answer = client.getresponse()
            answer.read()
            took.append(time.monotonic() - begun)
            if answer.status != http.HTTPStatus.NO_CONTENT:
                raise servers.ServerError(f"the site answers {answer.status}")
        client.close()
    return percentiles(took[WARM_UP:])


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
    """Return the address of one that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def table(title: str, rows: Mapping[str, Figures]) -> str:
    """Lay out figures, each with its ratio to the first line's."""
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
    """Measure what is asked for and print it."""
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
