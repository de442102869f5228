"""Adds the results of the chaos runs to the end of pytest's output."""

from __future__ import annotations

import pytest

from tests.chaos.options import LONG, reports
from tests.support.parallel import add_section


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Deselect the long run, unless ``CHAOS_KILLS`` asks for it."""
    if not LONG:
        items[:] = [item for item in items if item.originalname != "test_a_long_run"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Print one line per run."""
    if reports:
        add_section(session.config, "chaos", reports)
