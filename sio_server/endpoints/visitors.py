"""What a visitor may do, for pages: ``GET /api/me``."""

from __future__ import annotations

from aiohttp import web

from sio_server.contract.events import now_timestamp
from sio_server.endpoints.gate import Gate, Visitor, check_query
from sio_server.endpoints.responses import json_response


def may_see_stats(visitor: Visitor) -> bool:
    """Tell whether a visitor may see the figures of ``/api/stats``; rooms name authors.

    Args:
        visitor: has a producer key, or is on this machine.
    """
    return visitor.principal.identity.kind == "key" or visitor.source.is_local


class VisitorApi:
    """The endpoint ``/api/me``. It lets a page show only what its visitor may do.

    Args:
        gate: identifies the visitor.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def add_routes(self, app: web.Application) -> None:
        """Serve the endpoint."""
        app.router.add_get("/api/me", self.me, allow_head=False)

    async def me(self, request: web.Request) -> web.Response:
        """Answer with the visitor's rights, and with the server's time."""
        visitor = self._gate.visitor(request)
        check_query(request.query)
        self._gate.count(visitor.source)
        principal = visitor.principal
        identity = principal.identity
        return json_response(
            {
                "identity": None if identity.kind == "anonymous" else identity.name,
                "publish": principal.may_publish,
                "subscribe": principal.may_consume,
                "rooms": sorted(principal.choose_rooms(None)),
                "stats": may_see_stats(visitor),
                "timestamp": now_timestamp(),
            }
        )
