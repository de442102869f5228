"""The parameters of the HTTP API: the idempotency key and the limit of a page."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import MultiDict

from sio_server.contract.errors import InvalidMessage
from sio_server.endpoints.http import MAX_PAGE_EVENTS, idempotency_key, limit_in


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, None), ("k-1", "k-1"), ('"k-1"', "k-1"), ('"', '"'), ('""', ""), ('"k', '"k')],
)
def test_an_idempotency_key_may_be_quoted(header: str | None, expected: str | None) -> None:
    """The header's draft quotes it (a structured string); many clients do not."""
    headers = {} if header is None else {"Idempotency-Key": header}
    assert idempotency_key(make_mocked_request("POST", "/", headers=headers)) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [(None, 100), ("0", 0), ("7", 7), ("007", 7), ("1000", MAX_PAGE_EVENTS)]
)
def test_a_limit_is_a_number(text: str | None, expected: int) -> None:
    """Both bounds are allowed; without a limit, a page has 100 events."""
    assert limit_in(MultiDict({} if text is None else {"limit": text})) == expected


@pytest.mark.parametrize("text", ["", "1001", "-1", "1.5", "ten", "１", "²", "9" * 5000])
def test_any_other_limit_is_refused(text: str) -> None:
    """The message names the bounds."""
    with pytest.raises(InvalidMessage, match=f"0 to {MAX_PAGE_EVENTS}"):
        limit_in(MultiDict({"limit": text}))
