"""Marks that say on which databases a test runs.

A test without any of them runs on SQLite and on PostgreSQL. The smoke suite also runs on MariaDB,
and a second time with the newest Django (``make next-django``).
"""

from __future__ import annotations

import pytest

smoke = pytest.mark.smoke


def _on(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("database", kinds, indirect=True)


on_sqlite = _on("sqlite")
on_postgres = _on("postgres")
on_mariadb = _on("mariadb")
on_servers = _on("postgres", "mariadb")
"""They lock rows, so that several transactions can write at the same time."""
with_lease = _on("sqlite", "mariadb")
"""They have no advisory lock for the relay."""


def kinds_for(test: pytest.Item) -> list[str]:
    """Return the kinds of databases on which a test runs. Empty if a mark of its own names them."""
    if any(mark.args[0] == "database" for mark in test.iter_markers("parametrize")):
        return []
    return ["sqlite", "postgres", *(["mariadb"] if test.get_closest_marker("smoke") else [])]
