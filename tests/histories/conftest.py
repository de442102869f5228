"""The lines at the end that say how many histories ran, and what happened in them."""

from __future__ import annotations

import pytest

from tests.histories.broker import ran
from tests.histories.budget import HISTORIES, SEED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many."""
    if ran:
        terminalreporter.section("histories")
        terminalreporter.line(
            f"{ran['histories']} histories ({HISTORIES} asked for), {ran['steps']} steps; "
            f"HISTORIES_SEED={SEED}"
        )
        terminalreporter.line(
            f"connections: {ran['fresh']} fresh, {ran['recovered']} recovered, {ran['lost']} whose "
            f"session was lost; closed: {ran['too slow']} too slow, {ran['overtaken']} overtaken"
        )
