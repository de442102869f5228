"""The gate. Every endpoint asks it before the endpoint serves a request.

It knows the client's address, origin and identity, the headers of the response, and the limits.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

from aiohttp import HttpVersion11, web
from multidict import MultiMapping

from sio_server.access.forwarding import is_in
from sio_server.access.limits import Limits
from sio_server.access.origins import Origins
from sio_server.access.principals import Access, Principal
from sio_server.access.rates import RateLimit
from sio_server.access.sources import Source, locate, network_of
from sio_server.contract.errors import (
    ContractError,
    Forbidden,
    InvalidMessage,
    RateLimited,
    TooManyConnections,
)
from sio_server.contract.events import Offset
from sio_server.contract.origins import ANY
from sio_server.contract.rooms import parse_room
from sio_server.logs import get_logger
from sio_server.metrics import Metrics
from sio_server.net.front_context import Entered
from sio_server.net.request import HttpRequest
from sio_server.settings import Settings

COMMON_HEADERS = {
    "Server": "sio_server",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""The headers of every response, but static files may be stored. ``Server`` tells no version and no
library."""

MAX_MISREAD_PEERS = 10
"""How many peers get a log line because their forwarding headers do not count."""

log = get_logger("sio_server")

_SOURCE = web.RequestKey("source", Source)

AnyRequest = web.Request | HttpRequest


class Visitor(NamedTuple):
    """The client behind a request."""

    principal: Principal
    source: Source


class Entry(NamedTuple):
    """A counted consumer.

    Attributes:
        rate: the limit for its commands.
        leave: to be called, once, when its connection ends.
    """

    rate: RateLimit
    leave: Callable[[], None]


class Gate:
    """Decides who may come in.

    Args:
        access: identifies clients by their credentials.
        settings: the trusted proxies and the allowed origins.
        limits: the connections and the rates of addresses, and the rooms of a connection.
        metrics: the counters.
    """

    def __init__(
        self, access: Access, settings: Settings, limits: Limits, metrics: Metrics
    ) -> None:
        self._access = access
        self._trusted_proxies = settings.trusted_proxies
        self._origins = Origins(settings.allowed_origins)
        self._misread_peers: set[str] = set()
        self._limits = limits
        self._metrics = metrics

    def source(self, request: AnyRequest) -> Source:
        """Return where a request comes from.

        The first call must come while the connection is open. The request keeps the result.
        """
        state = state_of(request)
        source: Source | None = state.get(_SOURCE)
        if source is None:
            if isinstance(request, HttpRequest):
                address, is_http_1_1 = request.peer, request.is_http_1_1
            else:
                peer = request.transport.get_extra_info("peername") if request.transport else None
                address = peer[0] if isinstance(peer, tuple) else ""
                is_http_1_1 = request.version == HttpVersion11
            source = state[_SOURCE] = locate(
                address,
                request.scheme,
                request.headers,
                self._trusted_proxies,
                is_http_1_1=is_http_1_1,
            )
            if source.is_misread:
                self._note_misread(address)
        return source

    def _note_misread(self, peer: str) -> None:
        """Log once that a peer's forwarding headers do not count; an operator may have missed it.

        With a proxy that is not trusted, all its clients share the limits of one address.
        """
        if len(self._misread_peers) < MAX_MISREAD_PEERS and peer not in self._misread_peers:
            self._misread_peers.add(peer)
            log.warning("forwarding_ignored", peer=peer, setting="SIO_TRUSTED_PROXIES")

    def check_origin(self, request: AnyRequest) -> None:
        """Refuse the request of a page whose origin is not allowed.

        Raises:
            Forbidden: the origin is not allowed.
        """
        origin = request.headers.get("Origin")
        if origin is not None and not self._origins.allow(origin, self.source(request).base):
            self._origins.note_refusal(origin)
            raise Forbidden("this origin may not connect; add it to SIO_CORS_ORIGINS to allow it")

    def response_headers(self, request: AnyRequest) -> dict[str, str]:
        """Return the headers of every response: the server's name, and which origin may read."""
        headers = {**COMMON_HEADERS, "Vary": "Origin"}
        origin = request.headers.get("Origin")
        if origin is None:
            return headers
        base = self.source(request).base
        if self._origins.trust(origin, base):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
        elif self._origins.allow(origin, base):
            headers["Access-Control-Allow-Origin"] = ANY
        return headers

    def identify(self, credential: str | None, source: Source) -> Principal:
        """Return the identity and the rights of a client.

        Raises:
            Unauthorized: the credential is not valid.
            RateLimited: too many credentials of its address were refused.
        """
        return self._access.identify(credential, source)

    def visitor(self, request: AnyRequest, *, token: str | None = None) -> Visitor:
        """Return the client behind a request.

        Args:
            request: its ``Authorization`` header is used before ``token``.
            token: a token in its URL.

        Raises:
            Unauthorized: the credential is not valid.
            RateLimited: too many credentials of its address were refused.
        """
        source = self.source(request)
        credential = bearer(request)
        if credential is not None:
            return Visitor(self.identify(credential, source), source)
        return Visitor(self._access.identify(token, source, from_url=True), source)

    def enter(self, source: Source) -> Entry:
        """Count a new consumer.

        Raises:
            TooManyConnections, RateLimited: the server, or the address, has as many consumers, or
                new ones, as it may have.
        """
        limits, address = self._limits, source.address
        end_count = limits.enter(address)
        rate = limits.new_rate(address)

        def leave() -> None:
            end_count()
            limits.leave_rate(address, rate)

        return Entry(rate, leave)

    def enter_tcp(self, address: str) -> Entered | None:
        """Count a TCP connection of a peer; return None if there are too many."""
        is_proxy = is_in(address, self._trusted_proxies)
        try:
            leave = self._limits.enter_tcp(address, is_proxy=is_proxy)
        except (TooManyConnections, RateLimited) as full:
            self.count_refused_connection(full)
            return None
        is_shared = is_proxy or not address  # by clients of different networks
        return Entered(None if is_shared else network_of(address), leave)

    def count_connect(self, source: Source) -> None:
        """Count a new consumer on a connection that was counted before.

        Raises:
            RateLimited: the address has connected too many consumers lately.
        """
        self._limits.count_connect(source.address)

    def count(self, source: Source) -> None:
        """Count a command of an address.

        Raises:
            RateLimited: the address is over its limit.
        """
        self._limits.commands_of(source.address).count()

    def refuse(self, error: ContractError, source: Source) -> ContractError:
        """Count a refusal, against the address if the client is at fault.

        Returns:
            The error to answer with: the same one, or ``RateLimited`` if the address is over its
            limit.
        """
        answer = self._limits.commands_of(source.address).count_failure(error)
        if isinstance(answer, RateLimited):
            self._limits.note_refusal(source.address)
        self._metrics.refused.labels(answer.code).inc()
        return answer

    def refuse_connection(self, error: ContractError, source: Source) -> ContractError:
        """Count a refusal of a client that wants to connect; see ``refuse``."""
        answer = self.refuse(error, source)
        self.count_refused_connection(answer)
        return answer

    def count_refused_connection(self, error: ContractError) -> None:
        """Count a refused connection, but not against its address."""
        self._metrics.connections_refused.labels(error.limit or error.code).inc()

    def rooms(self, query: MultiMapping[str], principal: Principal) -> frozenset[str]:
        """Return the rooms that a query names with ``room``; without any, the client's default.

        Raises:
            UnknownRoom: a name is not the name of a room.
            Unauthorized, Forbidden: the client may not be in one of them.
            RateLimited: there are too many rooms.
        """
        named = frozenset(map(parse_room, query.getall("room"))) if "room" in query else None
        rooms = principal.choose_rooms(named)
        self._limits.check_rooms(rooms)
        return rooms


def state_of(request: AnyRequest) -> MutableMapping[Any, Any]:
    """Return what the endpoints keep for a request."""
    return request.state if isinstance(request, HttpRequest) else request


IGNORED_PARAMETERS = frozenset(("_", "t"))
"""Clients add these to a query so that no cache answers."""


def check_query(query: MultiMapping[str], *known: str) -> None:
    """Check that a path knows all parameters of a query. A wrong name must not mean "everything".

    Args:
        query: the query.
        known: the path's parameters. Only ``room`` may come several times.

    Raises:
        InvalidMessage: it does not know one, or one comes twice.
    """
    for name in query:
        if name in IGNORED_PARAMETERS:
            continue
        if name not in known:
            shown = f"the query has the unknown parameter {name[:80]!r}"
            raise InvalidMessage(f"{shown}; there are {', '.join(known)}" if known else shown)
        if name != "room" and len(query.getall(name)) > 1:
            raise InvalidMessage(f"the query has the parameter {name!r} twice")


def offset_in(query: MultiMapping[str], name: str) -> Offset | None:
    """Return the offset that a query has under a name, such as ``since``.

    Raises:
        InvalidOffset: the text is not an offset.
    """
    return Offset.parse(query[name]) if name in query else None


def bearer(request: AnyRequest) -> str | None:
    """Return the credential of the ``Authorization`` header, or None."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None
