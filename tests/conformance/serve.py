"""Serve a server within a test, or as a process with a command line."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.engine import serving

STOPPED_BY = (signal.SIGTERM, signal.SIGINT)


@asynccontextmanager
async def served(server: Any, path: str) -> AsyncIterator[str]:
    """Serve a server within a test; return the whole URL."""
    async with serving(server, path) as url:
        yield f"{url}/{path}/"


async def _serve(make_server: Callable[[], Any], path: str, port: int) -> None:
    stopped = asyncio.Event()
    for number in STOPPED_BY:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(make_server(), path, port) as url:
        sys.stdout.write(f"listening on {url}/{path}/\n")
        sys.stdout.flush()
        await stopped.wait()


def main(make_server: Callable[[], Any], path: str) -> None:
    """Serve until a signal stops the process; print the URL on standard output.

    Args:
        make_server: makes the server, within the event loop.
        path: the path of the server.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=3000, help="0 takes a free one")
    asyncio.run(_serve(make_server, path, parser.parse_args().port))
