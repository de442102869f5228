"""Marks for tests that run on one kind of database only."""

from __future__ import annotations

import pytest

on_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
