"""Adds the tables of the sieges to the end of pytest's output."""

from __future__ import annotations

import pytest

from tests.siege.options import LONG, reports
from tests.support.parallel import add_section

collect_ignore = [] if LONG else ["test_siege.py"]
"""``make siege`` runs the siege itself: a quiet machine is needed for its targets."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Print the reports."""
    if reports:
        add_section(session.config, "siege", reports)
