"""The program: all commands under one name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sio_server import __version__
from sio_server.commands import NAME
from sio_server.commands.check import check
from sio_server.commands.check_token import check_token
from sio_server.commands.completion import completion
from sio_server.commands.key import key
from sio_server.commands.position import position
from sio_server.commands.publish import publish
from sio_server.commands.run import run, run_server
from sio_server.commands.settings_options import WithSettings, given_settings, settings_options
from sio_server.commands.stats import stats
from sio_server.commands.tail import tail
from sio_server.commands.token import token

HELP_COLUMNS = 100
"""How wide the help may be, if the terminal is."""


def program_name() -> str:
    """Return how this program was started, for its help."""
    return NAME if Path(sys.argv[0]).stem == NAME else "python -m sio_server"


class Program(WithSettings, click.Group):
    """All commands, in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(self.commands)


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_COLUMNS},
)
@settings_options
@click.version_option(__version__, prog_name=NAME, message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context, /, **options: Any) -> None:
    """Distribute furniture events to every consumer, on one port.

    Without a command, the server runs. Other commands check it, talk to it, or make its keys: they
    are at the end of this page, and each one has --help.

    Each setting is an option, or a variable SIO_… in the environment or in the file .env. An option
    wins over the environment, and the environment over .env.
    """
    context.obj = given_settings(options)
    if context.invoked_subcommand is None:
        run_server(context.obj)


for command in (run, check, tail, publish, position, stats, key, token, check_token, completion):
    program.add_command(command)
