"""Storage for a server: a folder, and for some servers a Valkey of their own."""

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

APPENDFSYNC = {"valkey": "always", "everysec": "everysec"}
"""The setting ``appendfsync`` of a server's Valkey, by the server's name."""


@dataclass(frozen=True)
class Storage:
    """Storage that several runs of a server can use, one after another.

    Attributes:
        folder: the server's working directory.
        settings: the settings that select its log.
        valkey: the Valkey that has the log, or None.
    """

    folder: Path
    settings: Mapping[str, str]
    valkey: Valkey | None = None


@contextmanager
def temporary_storage(name: str) -> Iterator[Storage]:
    """Make empty storage for a server of that name, and delete it in the end."""
    with tempfile.TemporaryDirectory() as path, storage_in(Path(path), name) as storage:
        yield storage


@contextmanager
def storage_in(folder: Path, name: str) -> Iterator[Storage]:
    """Use a folder as the storage of a server of that name. The folder stays."""
    if name not in APPENDFSYNC:
        yield Storage(folder, {})
        return
    with running_valkey(folder, APPENDFSYNC[name]) as server:
        yield Storage(folder, {"SIO_EVENT_LOG": server.url}, server)


@contextmanager
def running_valkey(folder: Path, appendfsync: str) -> Iterator[Valkey]:
    """Run a Valkey on the load's core, because it is not on the server's machine in production."""
    server = Valkey(folder / "valkey", appendonly="yes", appendfsync=appendfsync)
    server.start()
    try:
        yield server
    finally:
        server.kill()
