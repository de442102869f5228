"""Fixtures for the tests of python-socketio's API."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["websocket", "polling"])
def transport(request: pytest.FixtureRequest) -> str:
    """Return a transport; the test runs with each."""
    name: str = request.param
    return name
