"""Adds the tables of the sieges to the end of pytest's output."""

from __future__ import annotations

import pytest

from tests.siege.options import reports
from tests.support.parallel import add_section


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Print the reports."""
    if reports:
        add_section(session.config, "siege", reports)
