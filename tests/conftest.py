"""Fixtures for every test."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browser import chromium
from tests.support.server import Server
from tests.support.valkey import Valkey

VECTORS = Path(__file__).parent / "vectors"

# In the background, or under nohup, these are ignored, and the programs that the tests start would
# ignore them, too.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def load_vectors(name: str) -> list[dict[str, Any]]:
    """Read one file of golden vectors."""
    vectors: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return vectors


def load_contract() -> dict[str, Any]:
    """Read the contract as sets: event types, fields, rooms, errors, limits and settings."""
    contract: dict[str, Any] = json.loads((VECTORS / "contract.json").read_text())
    return contract


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts servers with given settings, and stop them after the test."""
    servers = []

    def start(**settings: object) -> Server:
        servers.append(Server(tmp_path, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return the Valkey server that all tests share. Each test uses keys of its own."""
    running = Valkey(tmp_path_factory.mktemp("valkey"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that all tests of a module share."""
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    assert running.stop() == 0
    assert [line for line in running.raw if "Traceback" in line or "exception" in line] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run the browser of a module. Its tests run in the module's event loop."""
    async with chromium() as running:
        yield running
