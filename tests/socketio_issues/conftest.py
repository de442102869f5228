"""Fixtures of the comparison."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.socketio_issues.servers import Servers
from tests.support.valkey import Valkey


@pytest.fixture
async def servers(kind: str, tmp_path: Path) -> AsyncIterator[Servers]:
    """Return the means to start servers of the test's kind."""
    async with AsyncExitStack() as stack:
        yield Servers(kind, tmp_path, stack)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a Valkey that only this test uses."""
    server = Valkey(tmp_path / "valkey", appendonly="yes")
    server.start()
    yield server.url
    server.stop()
