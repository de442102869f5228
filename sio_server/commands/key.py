"""``key``: a new producer key."""

from __future__ import annotations

import secrets

import click

KEY_BYTES = 32


@click.command()
@click.argument("name", required=False)
def key(name: str | None) -> None:
    """Make a producer key for SIO_PRODUCER_KEYS.

    NAME is a name for it, such as django. Log lines show it.
    """
    if name is not None and (not name or set(name) & set(":, \n")):
        raise click.UsageError("a name has no colon, no comma and no space")
    made = secrets.token_urlsafe(KEY_BYTES)
    click.echo(made if name is None else f"{name}:{made}")
