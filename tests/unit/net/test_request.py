"""What a request's head says."""

from __future__ import annotations

import pytest

from sio_server.net.request import parse_query


@pytest.mark.parametrize("query", ["a=1&b=2&a=3", "a=%31&b=2&a=%33"])
def test_the_first_of_two_parameters_counts(query: str) -> None:
    """As in a browser's ``URLSearchParams``, also where something is escaped."""
    assert parse_query(query) == {"a": "1", "b": "2"}
