"""``stats``: the figures of a running server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from sio_server.commands.client import find_server, printable, server_options

SHOWN_ROOMS = 5
"""The largest rooms are shown. ``--json`` has more."""


@click.command()
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option(
    "--watch",
    type=click.FloatRange(1),
    metavar="SECONDS",
    help="Print them again and again, with a pause of so many seconds, until Ctrl-C.",
)
@click.pass_obj
def stats(
    given: dict[str, Any] | None,
    /,
    url: str | None,
    credential_file: Path | None,
    watch: float | None,
    *,
    as_json: bool,
) -> None:
    """Print the figures of a running server.

    It tells them to producer keys, and to programs on its own machine.
    """
    client = find_server(given, url, credential_file)
    try:
        while True:
            figures = client.call("/api/stats")
            shown = json.dumps(figures) if as_json else table(figures)
            if watch is not None and not as_json:
                click.clear()
            click.echo(shown)
            if watch is None:
                return
            time.sleep(watch)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def table(figures: dict[str, Any]) -> str:
    """Return the figures as lines for a person."""
    formatter = click.HelpFormatter(max_width=100)
    formatter.write_dl([(click.style(name, bold=True), text) for name, text in _rows(figures)])
    return formatter.getvalue().rstrip()


def _rows(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    log, rooms, sent = figures["log"], figures["rooms"], figures["deliveries"]
    yield "running for", str(timedelta(seconds=figures["uptime_seconds"]))
    yield (
        "log",
        f"{log['kind']}, {log['events']:,} events"
        if "events" in log
        else (f"{log['kind']}, which can't be reached"),
    )
    if log.get("oldest_timestamp"):
        yield "oldest event", log["oldest_timestamp"]
    yield "position", log["position"]
    consumers = figures["consumers"]
    total = sum(number for name, number in consumers.items() if name != "parked")
    yield "consumers", f"{total:,} ({', '.join(f'{it}: {n:,}' for it, n in consumers.items())})"
    largest = ", ".join(
        f"{it['room']} ({it['consumers']:,})" for it in rooms["largest"][:SHOWN_ROOMS]
    )
    yield "rooms", printable(f"{rooms['count']:,}{largest and ', the largest: '}{largest}")
    if sent["counts"]:
        rate = sent["counts"][-1] / sent["seconds"]
        yield "deliveries", f"{rate:,.1f} a second, in the last {sent['seconds']} seconds"
    if "publish_ms" in figures:
        times = figures["publish_ms"]
        text = f"half of them within {times['p50']} ms, 99 of 100 within {times['p99']} ms"
        yield "publishes", f"the last {times['count']:,}: {text}"
