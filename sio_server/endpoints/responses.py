"""The two forms of an HTTP answer: JSON, and a problem (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from sio_server import strictjson
from sio_server.errors import ContractError, Unauthorized


def json_response(value: Any, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        text=strictjson.dumps(value), status=status, content_type="application/json"
    )


def problem(error: ContractError) -> web.Response:
    """Answer with an error of the contract."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    shape = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        **error.as_dict(),
    }
    return web.Response(
        text=strictjson.dumps(shape),
        status=error.status,
        headers=headers,
        content_type="application/problem+json",
    )
