"""Revoking tokens over HTTP."""

from __future__ import annotations

import time

from aiohttp import web

from sio_server.contract.revocations import parse_revocation
from sio_server.endpoints.bodies import read_message
from sio_server.endpoints.gate import Gate, check_query
from sio_server.endpoints.responses import json_response
from sio_server.hub import Hub
from sio_server.net.request import HttpRequest
from sio_server.settings import Settings


class RevocationApi:
    """The endpoint ``/api/revocations``.

    Args:
        hub: revokes.
        gate: identifies the client.
        settings: the limits of a request's body.
    """

    def __init__(self, hub: Hub, gate: Gate, settings: Settings) -> None:
        self._hub = hub
        self._gate = gate
        self._settings = settings

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        app.router.add_post("/api/revocations", self.revoke)

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke the tokens of a user."""
        principal, source = self._gate.visitor(request)
        principal.check_revoke()
        check_query(request.query)
        message = await read_message(HttpRequest.of(request), self._settings, source.network)
        revocation = parse_revocation(message, time.time_ns() // 1_000_000)
        await self._hub.revoke(principal, revocation)
        return json_response(revocation.as_dict(), 201)
