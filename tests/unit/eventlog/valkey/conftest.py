"""Fixtures for the tests of the Valkey event log."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.lossy import LossyProxy
from tests.support.valkey import Valkey


@pytest.fixture
async def proxy(own_valkey: Valkey) -> AsyncIterator[LossyProxy]:
    """Run a proxy before the test's Valkey server."""
    running = LossyProxy(own_valkey.port)
    await running.start()
    yield running
    await running.stop()
