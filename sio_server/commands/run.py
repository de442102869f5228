"""``run``: the server."""

from __future__ import annotations

from typing import Any

import click

from sio_server import settings
from sio_server.commands.settings_options import WithSettings, given_settings, settings_options


def run_server(given: dict[str, Any]) -> None:
    """Run the server until a signal stops it.

    Args:
        given: the settings of the command line.

    Raises:
        StartError: the server cannot start. The message says why.
    """
    loaded = settings.load(given)
    from sio_server import app, logs

    processors = []
    if loaded.tracing:
        from sio_server.tracing import add_trace_id

        processors.append(add_trace_id)
    logs.configure(loaded.log_format, loaded.log_level, processors=processors)
    app.run(loaded)


@click.command(cls=WithSettings)
@settings_options
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Run the server until Ctrl-C. It is the default command.

    Each setting is an option, or a variable SIO_… in the environment or in the file .env. An option
    wins over the environment, and the environment over .env.
    """
    run_server({**context.obj, **given_settings(options)})
