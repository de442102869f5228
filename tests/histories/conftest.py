"""The summary of the histories at the end of a test run."""

from __future__ import annotations

import pytest

from tests.histories.run import HISTORIES, SEED
from tests.histories.server_machine import counts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of histories and connections, so that a run that proves little shows."""
    if counts:
        terminalreporter.section("histories")
        terminalreporter.line(
            f"{counts['histories']} histories ({HISTORIES} asked for), {counts['steps']} steps; "
            f"HISTORIES_SEED={SEED}"
        )
        terminalreporter.line(
            f"connections: {counts['fresh']} fresh, {counts['recovered']} recovered, "
            f"{counts['lost']} whose session was lost; "
            f"closed: {counts['too slow']} too slow, {counts['overtaken']} overtaken"
        )
