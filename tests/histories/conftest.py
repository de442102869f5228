"""The summary of the histories at the end of a test run."""

from __future__ import annotations

import pytest

from tests.histories.run import HISTORIES, SEED
from tests.histories.server_machine import counts
from tests.support.parallel import add_section


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Print the number of histories and connections, so that a run that proves little shows."""
    if counts:
        histories = f"{counts['histories']} histories ({HISTORIES} asked for)"
        connections = (
            f"connections: {counts['fresh']} fresh, {counts['recovered']} recovered, "
            f"{counts['lost']} whose session was lost; "
            f"closed: {counts['too slow']} too slow, {counts['overtaken']} overtaken"
        )
        lines = (f"{histories}, {counts['steps']} steps; HISTORIES_SEED={SEED}", connections)
        add_section(session.config, "histories", lines)
