"""Fixtures for the tests of delivery."""

from __future__ import annotations

import pytest

from tests.unit.delivery.node import Node


@pytest.fixture
async def node() -> Node:
    """Return a node with an empty log, to which no consumer is connected."""
    return Node()
