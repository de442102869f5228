"""The command ``python -m sio_server``."""

from __future__ import annotations

import sys

from sio_server import app, logs, settings, terminal
from sio_server.contract.errors import StartError


def main() -> int:
    """Run the server, or another command. Return the exit status."""
    try:
        if terminal.is_command(sys.argv[1:]):
            return terminal.run(sys.argv[1:])
        loaded = settings.load()
        logs.configure(loaded.log_format, loaded.log_level)
        app.run(loaded)
    except StartError as error:
        print(f"sio_server: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
