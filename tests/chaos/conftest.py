"""Adds the results of the chaos runs to the end of pytest's output."""

from __future__ import annotations

import pytest

from tests.chaos.options import LONG, reports


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Deselect the long run, unless ``CHAOS_KILLS`` asks for it."""
    if not LONG:
        items[:] = [item for item in items if item.originalname != "test_a_long_run"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per run."""
    if reports:
        terminalreporter.section("chaos")
        for report in reports:
            terminalreporter.line(report)
