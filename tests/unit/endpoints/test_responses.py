"""The two forms of a response."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sio_server.contract import errors
from sio_server.contract.errors import ContractError, Fault
from sio_server.endpoints.responses import json_response, problem, problem_response


def test_json_is_compact_and_keeps_its_characters() -> None:
    """The catalogue is Spanish: letters are not escaped."""
    response = json_response({"nombre": "Sillón", "altura": 75}, 201)
    assert (response.status, response.text) == (201, '{"nombre":"Sillón","altura":75}')
    assert response.content_type == "application/json"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (errors.NotFound("no"), {}),
        (errors.Unauthorized("no"), {"WWW-Authenticate": "Bearer"}),
        (errors.RateLimited("no"), {"Retry-After": "60"}),
        (errors.Flooding("no"), {"Retry-After": "60", "Connection": "close"}),
        (errors.LogUnavailable("no"), {"Retry-After": "1"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_problem_has_the_headers_of_its_error(
    error: ContractError, headers: dict[str, str]
) -> None:
    """They tell the client when to try again and how to authenticate."""
    assert problem_response(error).headers == headers


def test_a_problem_has_the_error_beside_the_members_of_the_rfc() -> None:
    """RFC 9457: type, title and status."""
    error = errors.InvalidFurniture.of_faults([Fault("furniture.altura", "must be a number ≥ 0")])
    response = problem(error)
    body: dict[str, Any] = json.loads(response.body or b"")
    assert response.status == 422
    assert response.content_type == "application/problem+json"
    assert body == {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "code": "invalid_furniture",
        "message": "furniture.altura: must be a number ≥ 0",
        "details": [{"field": "furniture.altura", "message": "must be a number ≥ 0"}],
    }
