"""A complete HTTP response."""

from __future__ import annotations

import json

from sio_server.net.response import HttpResponse, bad_request


async def test_a_response_has_bytes_or_json() -> None:
    """Aiohttp gets the same status, body and headers, and closes the connection if told so."""
    response = HttpResponse(201, {"a": 1}, headers={"Connection": "close"})
    converted = response.to_aiohttp()
    assert response.closes
    assert converted.status == 201
    assert converted.body == b'{"a": 1}'
    assert converted.content_type == "application/json"
    assert converted.keep_alive is False
    assert HttpResponse(200, b"{").body == b"{"
    assert not HttpResponse(200, b"").closes


def test_a_bad_request_has_engine_ios_form() -> None:
    """The default code is 3, BAD_REQUEST."""
    response = bad_request("no")
    assert (response.status, json.loads(response.body)) == (400, {"code": 3, "message": "no"})
