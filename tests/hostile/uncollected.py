"""A server without garbage collection, which counts its live objects on SIGUSR2.

``tests.support.forks`` runs it.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
from collections import Counter

from tests.support import server_program

COUNTED = ("uvloop", "sio_server.net", "sio_server.engine", "sio_server.endpoints", "aiohttp")
"""The packages whose objects are counted: each client has some of each."""

KEPT = ("HTTPNotFound", "SystemRoute", "TimerHandle")
"""Objects that do not tell of a client: aiohttp's answer to an unknown path, and running timers."""


def _count(*signal: object) -> None:
    live = Counter(
        type(it).__name__ for it in gc.get_objects() if type(it).__module__.startswith(COUNTED)
    )
    line = {"message": "live_objects", **{it: live[it] for it in sorted(live) if it not in KEPT}}
    sys.stderr.write(json.dumps(line) + "\n")


def main() -> None:
    """Run the server."""
    gc.disable()
    signal.signal(signal.SIGUSR2, _count)
    server_program.main()
