"""``completion``: the script with which a shell completes this program's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sio_server.commands import NAME

VARIABLE = f"_{NAME}_COMPLETE".replace("-", "_").upper()
"""With this variable the program answers a shell that completes."""


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options and their values. Add the line of your shell to the named file,
    in zsh after compinit:

    \b
    ~/.bashrc                   eval "$(furniture-events-server completion bash)"
    ~/.zshrc                    eval "$(furniture-events-server completion zsh)"
    ~/.config/fish/config.fish  furniture-events-server completion fish | source
    """  # noqa: D301 - click reads the \b
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, NAME, VARIABLE).source())
