"""The two forms of an HTTP response: JSON, and a problem (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from sio_server.contract import strictjson
from sio_server.contract.errors import ContractError, Flooding, Unauthorized
from sio_server.net.request import HttpResponse


def json_response(value: Any, status: int = 200) -> web.Response:
    """Return a response with JSON."""
    return web.Response(
        text=strictjson.dumps(value), status=status, content_type="application/json"
    )


def problem_response(error: ContractError) -> HttpResponse:
    """Return the response for an error of the contract."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Flooding):
        headers["Connection"] = "close"
    shape = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        **error.as_dict(),
    }
    body = strictjson.dumps(shape).encode()
    return HttpResponse(error.status, body, "application/problem+json; charset=utf-8", headers)


def problem(error: ContractError) -> web.Response:
    """Return the response for an error of the contract, for aiohttp."""
    return problem_response(error).to_aiohttp()
