"""Where a server keeps what outlives it: a folder, and for some a Valkey, started for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

try:
    from tests.support.valkey import Valkey
except ImportError:
    Valkey = None  # type: ignore[assignment,misc]

SYNCED = {"valkey": "always", "everysec": "everysec"}
"""When the Valkey of a server of that name syncs what is appended."""


@dataclass(frozen=True)
class Place:
    """An empty one, until a server has run there.

    Attributes:
        folder: what the server is started in.
        settings: that say where its log is.
    """

    folder: Path
    settings: Mapping[str, str]


@contextmanager
def place(name: str) -> Iterator[Place]:
    """Make a place for a server of that name; it goes with all that is in it."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        if name not in SYNCED:
            yield Place(folder, {})
            return
        with valkey(folder, SYNCED[name]) as server:
            yield Place(folder, {"SIO_EVENT_LOG": server.url})


@contextmanager
def valkey(folder: Path, synced: str) -> Iterator[Valkey]:
    """Run a Valkey on the load's core; a Valkey is on another machine than the server."""
    server = Valkey(folder / "valkey", appendonly="yes", appendfsync=synced)
    server.start()
    try:
        yield server
    finally:
        server.kill()
