"""The close codes of the plain WebSocket."""

from __future__ import annotations

import pytest

from sio_server.contract import errors
from sio_server.contract.errors import ContractError
from sio_server.endpoints.close_codes import (
    BAD_QUERY,
    FORBIDDEN,
    GOING_AWAY,
    TRY_AGAIN_LATER,
    UNAUTHORIZED,
    CloseCode,
    close_code,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.UnknownRoom("x"), BAD_QUERY),
        (errors.InvalidOffset("x"), BAD_QUERY),
        (errors.Unauthorized("x"), UNAUTHORIZED),
        (errors.TokenExpired("x"), UNAUTHORIZED),
        (errors.Forbidden("x"), FORBIDDEN),
        (errors.LogUnavailable("x"), TRY_AGAIN_LATER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failed_handshake_closes_with_the_code_of_its_error(
    error: ContractError, expected: CloseCode
) -> None:
    """The client learns from the code whether the same request may succeed later."""
    assert close_code(error) is expected


def test_only_temporary_reasons_let_the_client_reconnect() -> None:
    """4000 and above are the client's own faults (RFC 6455, 7.4.2: private use)."""
    codes = [GOING_AWAY, TRY_AGAIN_LATER, BAD_QUERY, UNAUTHORIZED, FORBIDDEN]
    assert {each.code: each.may_reconnect for each in codes} == {
        1001: True,
        1013: True,
        4400: False,
        4401: False,
        4403: False,
    }
