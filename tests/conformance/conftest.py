"""The servers under test, with times that are too long to disturb a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance import engineio, socketio
from tests.conformance.clients import TRANSPORTS
from tests.conformance.serve import served

QUIET = {"ping_interval": 25, "ping_timeout": 20, "connect_timeout": 45}


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Return each kind of client."""
    name: str = request.param
    return name


@pytest.fixture
def eio() -> Any:
    """Return an Engine.IO server that echoes messages."""
    return engineio.make_server(**QUIET)


@pytest.fixture
async def eio_url(eio: Any) -> AsyncIterator[str]:
    """Serve it; return its URL."""
    async with served(eio, engineio.PATH) as url:
        yield url


@pytest.fixture
def sio() -> Any:
    """Return a Socket.IO server with the suite's events; a test may add others."""
    return socketio.make_server(auth_pause=0, **QUIET)


@pytest.fixture
async def sio_url(sio: Any) -> AsyncIterator[str]:
    """Serve it; return its URL."""
    async with served(sio, socketio.PATH) as url:
        yield url
