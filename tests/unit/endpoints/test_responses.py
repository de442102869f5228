"""The forms of a response."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from aiohttp.payload import Payload

from sio_server.contract import errors
from sio_server.contract.errors import ContractError, Fault
from sio_server.endpoints.responses import (
    PIECE_BYTES,
    json_response,
    list_response,
    problem,
    problem_response,
)


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
        "title": "Unprocessable Content",
        "status": 422,
        "code": "invalid_furniture",
        "message": "furniture.altura: must be a number ≥ 0",
        "details": [{"field": "furniture.altura", "message": "must be a number ≥ 0"}],
    }


class Writer:
    """A writer that records the pieces between two drains."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.drained = 0

    async def write(self, data: bytes) -> None:
        """Record a piece; each one is drained before the next one."""
        assert self.drained == len(self.pieces)
        self.pieces.append(data)

    async def drain(self) -> None:
        """Count."""
        self.drained += 1


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
@pytest.mark.parametrize("rest", [{}, {"more": False, "gap": None}])
async def test_a_long_list_is_written_in_pieces(count: int, rest: dict[str, Any]) -> None:
    """Together they are one JSON object. A piece is forgotten when it is written."""
    items = [json.dumps({"number": number, "text": "é" * 50}).encode() for number in range(count)]
    response = list_response("events", items, rest)
    assert response.content_type == "application/json"
    assert response.charset == "utf-8"
    body = response.body
    assert isinstance(body, Payload)
    size, whole = body.size, json.loads(body.decode())
    writer = Writer()
    await body.write(cast("Any", writer))
    assert size == sum(map(len, writer.pieces))
    assert json.loads(b"".join(writer.pieces)) == whole
    assert whole == {"events": [json.loads(item) for item in items], **rest}
    assert all(len(piece) < PIECE_BYTES + 1000 for piece in writer.pieces)
    assert len(writer.pieces) == 1 + size // (PIECE_BYTES + 200)
    assert body.decode() == ""
