"""``position``: where the log ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sio_server.commands.client import find_server, server_options


@click.command()
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print the oldest offset, too, as JSON.")
@click.pass_obj
def position(
    given: dict[str, Any] | None,
    /,
    url: str | None,
    credential_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print the position of the log: the offset of its last event.

    A consumer that begins with since=POSITION gets every later event.
    """
    page = find_server(given, url, credential_file).call("/api/events", limit=0)
    shown = {name: page[name] for name in ("position", "oldest")}
    click.echo(json.dumps(shown) if as_json else page["position"])
