"""What every endpoint asks of an HTTP request: where it comes from, who it is, what it wants."""

from __future__ import annotations

from aiohttp import web
from multidict import MultiMapping

from sio_server.access import Principal, Source, locate
from sio_server.events import Offset
from sio_server.hub import Hub
from sio_server.rooms import CATALOG, parse_room

_SOURCE = web.RequestKey("source", Source)


def source_of(request: web.Request, hub: Hub) -> Source:
    """Tell where a request comes from; the first call must come while its peer is still there."""
    source: Source | None = request.get(_SOURCE)
    if source is None:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        source = request[_SOURCE] = locate(
            peer[0] if isinstance(peer, tuple) else "",
            request.scheme,
            request.headers,
            hub.settings.trusted_proxies,
        )
    return source


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
