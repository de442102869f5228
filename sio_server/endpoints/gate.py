"""What every endpoint asks of an HTTP request: where it comes from, who it is, what it wants."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from aiohttp import web
from multidict import MultiMapping

from sio_server.access.principals import Principal
from sio_server.access.sources import Source, locate, origin_allowed
from sio_server.contract.errors import Forbidden
from sio_server.contract.events import Offset
from sio_server.contract.rooms import CATALOG, parse_room
from sio_server.engine import EngineSession
from sio_server.hub import Hub
from sio_server.net.request import HttpRequest

SERVER = "sio_server"
"""All that a stranger learns of what runs here."""

_SOURCE = web.RequestKey("source", Source)


def source_of(request: web.Request | HttpRequest, hub: Hub) -> Source:
    """Tell where a request comes from; the first call must come while its peer is still there."""
    state: MutableMapping[Any, Any] = request.state if isinstance(request, HttpRequest) else request
    source: Source | None = state.get(_SOURCE)
    if source is None:
        if isinstance(request, HttpRequest):
            address = request.peer
        else:
            peer = request.transport.get_extra_info("peername") if request.transport else None
            address = peer[0] if isinstance(peer, tuple) else ""
        source = state[_SOURCE] = locate(
            address, request.scheme, request.headers, hub.settings.trusted_proxies
        )
    return source


def source_of_session(session: EngineSession) -> Source:
    """Tell where the handshake of a session came from."""
    source: Source = session.session[_SOURCE]
    return source


def check_request(request: web.Request | HttpRequest, hub: Hub) -> None:
    """Let a request pass that a page of another site did not send, unless the server drains.

    Raises:
        ShuttingDown, Forbidden: it does not.
    """
    hub.check_open()
    if not _has_good_origin(request, hub):
        raise Forbidden("this origin may not connect; SIO_CORS_ORIGINS would allow it")


def _has_good_origin(request: web.Request | HttpRequest, hub: Hub) -> bool:
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    return origin_allowed(origin, source_of(request, hub).base, hub.settings.allowed_origins)


def response_headers(request: web.Request | HttpRequest, hub: Hub) -> dict[str, str]:
    """Return what every answer carries: who may read it."""
    headers = {"Server": SERVER, "Vary": "Origin"}
    origin = request.headers.get("Origin")
    if origin is not None and _has_good_origin(request, hub):
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Allow-Credentials"] = "true"
    return headers


def bearer(request: web.Request) -> str | None:
    """Return the credential of the ``Authorization`` header, or None."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


def identify(request: web.Request, hub: Hub, *, token: str | None = None) -> Principal:
    """Return whom a request speaks for.

    Args:
        token: a credential that came another way than by the ``Authorization`` header.

    Raises:
        Unauthorized: the credential is not valid.
    """
    credential = bearer(request)
    return hub.access.identify(token if credential is None else credential, source_of(request, hub))


def rooms_in(query: MultiMapping[str], hub: Hub) -> frozenset[str]:
    """Return the rooms that a query names with ``room``; without any: everything.

    Raises:
        UnknownRoom, RateLimited: one of them is no room, or there are too many.
    """
    rooms = frozenset(map(parse_room, query.getall("room", [CATALOG])))
    hub.check_rooms(rooms)
    return rooms


def since_in(query: MultiMapping[str]) -> Offset | None:
    """Return the offset that a query names with ``since``.

    Raises:
        InvalidOffset: it is none.
    """
    return Offset.parse(query["since"]) if "since" in query else None
