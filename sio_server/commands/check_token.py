"""``check-token``: what the server would do with a credential."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from sio_server import settings

if TYPE_CHECKING:
    from sio_server.access.tokens import Token


@click.command()
@click.pass_context
def check_token(context: click.Context) -> None:
    """Say what the server would do with a credential.

    The command reads it from standard input. The exit status is 1 if the server would refuse it.
    """
    from sio_server.access import credentials
    from sio_server.contract.errors import Unauthorized

    loaded = settings.load()
    is_terminal = sys.stdin.isatty()
    asked = click.prompt("token", hide_input=True) if is_terminal else sys.stdin.read()
    credential = asked.strip()
    name = credentials.producer_keys(loaded).name_of(credential)
    if name is not None:
        click.echo(
            f"accepted: it is the producer key {name!r}. It may publish, and consume everything."
        )
        return
    verifier = credentials.tokens(loaded)
    if verifier is None:
        click.echo("refused: it is no producer key, and no SIO_JWT_* setting has keys for tokens")
        context.exit(1)
    try:
        token = verifier.verify(credential)
    except Unauthorized as error:
        click.echo(f"refused: {error.message}")
        context.exit(1)
    click.echo(_describe(token))


def _describe(token: Token) -> str:
    from sio_server.contract.events import format_timestamp

    rights = {"publish": token.may_publish, "subscribe": token.may_consume}
    allowed = [word for word, has in rights.items() if has]
    named = sorted((*token.rooms.rooms, *token.rooms.patterns))
    rooms = "every room" if token.rooms.everything else ", ".join(named) or "none"
    left = token.expires - time.time()
    issued = "unknown" if token.issued is None else format_timestamp(int(token.issued * 1000))
    return "\n".join(
        (
            f"accepted: it is a token, of {token.identity} in the log",
            f"scope:    {' '.join(allowed) or 'none'}",
            f"rooms:    {rooms}",
            f"issued:   {issued}",
            f"expires:  {format_timestamp(int(token.expires * 1000))}, in {left:.0f} seconds",
            "Whether it was revoked, only the running server knows.",
        )
    )
