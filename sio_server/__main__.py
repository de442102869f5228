"""The command ``python -m sio_server``."""

from __future__ import annotations

import sys

from sio_server import app, logs, settings
from sio_server.contract.errors import StartError


def main() -> int:
    """Run the server. Return the exit status."""
    try:
        loaded = settings.load()
        logs.configure(loaded.log_format, loaded.log_level)
        app.run(loaded)
    except StartError as error:
        print(f"sio_server: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
