"""``tail``: events as they come, also over restarts of the server."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from sio_server.commands.client import (
    Client,
    ServerError,
    find_server,
    printable,
    server_options,
)

RETRY_SECONDS = 0.3, 5.0
"""The first pause before a new connection, and the longest one. Each pause doubles."""

LOOKS = {
    "furniture_created": ("+ created", "green"),
    "furniture_updated": ("~ updated", "yellow"),
    "furniture_deleted": ("- deleted", "red"),
}


@click.command()
@server_options
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="ROOM",
    help="Show only the events of this room, such as material:roble, author:Juan, "
    "furniture:673a2f1b or type:furniture_deleted; may be repeated. [default: every event]",
)
@click.option("--since", metavar="OFFSET", help="Begin with the events after this offset.")
@click.option("--all", "everything", is_flag=True, help="Begin with the oldest event of the log.")
@click.option(
    "-n", "--count", type=click.IntRange(1), metavar="NUMBER", help="End after so many events."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, for programs.")
@click.option("--color/--no-color", default=None, help="Use colours. [default: only on a terminal]")
@click.pass_obj
def tail(
    given: dict[str, Any] | None,
    /,
    url: str | None,
    credential_file: Path | None,
    rooms: tuple[str, ...],
    since: str | None,
    count: int | None,
    *,
    everything: bool,
    as_json: bool,
    color: bool | None,
) -> None:
    """Show events as they come, until Ctrl-C.

    If the connection breaks, the command connects again and shows the missed events first. What it
    says about the connection goes to standard error.
    """
    client = find_server(given, url, credential_file)

    def say(text: str) -> None:
        click.secho(text, err=True, dim=True, color=color)

    events = follow(client, rooms, since, say, everything=everything)
    try:
        for event in islice(events, count):
            text = json.dumps(event, ensure_ascii=False) if as_json else line(event)
            click.echo(printable(text) if as_json else text, color=color)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def follow(
    client: Client,
    rooms: tuple[str, ...],
    since: str | None,
    say: Callable[[str], object],
    *,
    everything: bool = False,
) -> Iterator[dict[str, Any]]:
    """Read events, each with its offset, and connect again whenever the connection breaks.

    Args:
        client: of the server.
        rooms: the rooms; none: every event.
        since: the offset before the first event; None: the log's end.
        say: is told about the connection.
        everything: begin with the oldest event of the log.

    Raises:
        ServerError: the server refuses permanently.
    """
    is_new, failures = True, 0
    while True:
        pause, reason = 0.0, f"the server at {client.url} has ended the stream"
        try:
            if everything and since is None:
                since = client.call("/api/events", limit=0)["oldest"]
            for name, offset, data in client.stream("/api/stream", room=rooms, since=since):
                decoded, failures, since = json.loads(data), 0, offset or since
                if name == "ready":
                    say(_about(decoded, client, is_new=is_new))
                    is_new = False
                elif name == "error":
                    message = printable(f"{decoded['code']}: {decoded['message']}")
                    raise ServerError(message, is_temporary=False)
                else:
                    yield {**decoded, "offset": offset}
        except ServerError as error:
            if not error.is_temporary:
                raise
            pause, reason = error.retry_seconds, error.message
        if not failures:
            say(f"{reason}; connecting again")
        pause = max(pause, min(RETRY_SECONDS[0] * 2 ** min(failures, 10), RETRY_SECONDS[1]))
        failures += 1
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311


def line(event: dict[str, Any]) -> str:
    """Return an event as one line for a person, with colours."""
    furniture = event["furniture"]
    sign, colour = LOOKS.get(event["type"], (f"? {event['type']}", "white"))
    when = datetime.fromisoformat(event["timestamp"]).astimezone()
    facts = (
        furniture["material"],
        f"{furniture['altura']} high, {furniture['ancho']} wide",
        f"by {furniture['autor_username']}",
        furniture["furniture_id"],
    )
    return "  ".join(
        (
            click.style(f"{when:%H:%M:%S}.{when.microsecond // 1000:03}", dim=True),
            click.style(printable(sign), fg=colour),
            click.style(printable(furniture["nombre"]), bold=True),
            printable(", ".join(map(str, facts))),
        )
    )


def _about(ready: dict[str, Any], client: Client, *, is_new: bool) -> str:
    rooms = printable(", ".join(ready["rooms"]))
    if ready["gap"]:
        return "events are missing here: the log does not have them any more"
    if is_new:
        return f"following {client.url}, rooms: {rooms}"
    missed = ready["replayed"]
    return f"connected again; {missed} missed event{'s' if missed != 1 else ''} shown above"
