"""The command ``python -m sio_server``, which is also ``furniture-events-server``."""

from __future__ import annotations

import sys

try:
    import click

    from sio_server.commands.completion import VARIABLE
    from sio_server.commands.program import program, program_name
    from sio_server.contract.errors import StartError
except ModuleNotFoundError as missing:
    sys.exit(
        f"sio_server: {sys.executable} does not have the package {missing.name}. In this "
        "repository, `make run` installs all packages; then use .venv/bin/python."
    )


def main() -> int:
    """Run the server, or another command. Return the exit status.

    Raises:
        SystemExit: a command has ended.
    """
    try:
        program.main(prog_name=program_name(), complete_var=VARIABLE)
    except StartError as error:
        click.echo(f"sio_server: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
