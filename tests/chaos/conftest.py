"""The lines at the end that say what the runs under faults came to."""

from __future__ import annotations

import pytest

from tests.chaos.options import LONG, reports


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Leave the long run out unless it is asked for."""
    if not LONG:
        items[:] = [item for item in items if item.originalname != "test_a_long_run"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what happened."""
    if reports:
        terminalreporter.section("chaos")
        for report in reports:
            terminalreporter.line(report)
