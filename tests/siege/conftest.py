"""Adds the tables of the sieges to the end of pytest's output."""

from __future__ import annotations

import pytest

from tests.siege.options import LONG, reports

collect_ignore = [] if LONG else ["test_siege.py"]
"""The siege itself takes minutes on a quiet machine: ``make siege`` runs it."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports."""
    if reports:
        terminalreporter.section("siege")
        for report in reports:
            terminalreporter.write_line(report)
            terminalreporter.write_line("")
