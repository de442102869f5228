"""``python -m sio_server``."""

from __future__ import annotations

import sys

from sio_server import app, logs, settings
from sio_server.contract.errors import StartError


def main() -> int:
    """Run the server; return its exit status."""
    try:
        chosen = settings.load()
        logs.configure(chosen.log_format, chosen.log_level)
        app.run(chosen)
    except StartError as error:
        print(f"sio_server: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
