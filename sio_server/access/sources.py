"""Where a request comes from: the client's address, and whether it is on this machine. No I/O."""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass

from multidict import MultiMapping

from sio_server.access import forwarding

_LOOPBACK_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_LOOPBACK_ORIGIN = re.compile(rf"[a-z]+://{_LOOPBACK_HOST.pattern}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a request, as far as it can be trusted.

    Attributes:
        address: the client's address, behind trusted proxies.
        base: the scheme and the host under which the client reached this server.
        is_local: the client seems to be on this machine: the peer's address is loopback, no proxy
            has forwarded the request, and ``Host`` and ``Origin`` name loopback.
        is_misread: a peer that is no trusted proxy named another client. That does not count.
    """

    address: str
    base: str
    is_local: bool
    is_misread: bool = False

    @property
    def network(self) -> str:
        """The client's network; see ``network_of``."""
        return network_of(self.address)


def locate(
    peer: str,
    scheme: str,
    headers: MultiMapping[str],
    trusted_proxies: tuple[str, ...],
    *,
    is_http_1_1: bool = True,
) -> Source:
    """Return the origin of a request.

    Args:
        peer: the address of the TCP peer.
        scheme: the scheme with which the peer reached this server.
        headers: the request's headers. Names are compared without regard to case.
        trusted_proxies: the addresses or networks whose forwarding headers count.
        is_http_1_1: whether this is the version of the request. Some proxies speak HTTP/1.0.
    """
    host = headers.get("Host", "")
    is_forwarded = forwarding.is_forwarded(headers)
    if is_forwarded and forwarding.is_in(peer, trusted_proxies):
        found = forwarding.read(peer, headers, trusted_proxies)
        base = f"{found.scheme or scheme}://{found.host or host}"
        return Source(found.address, base, is_local=False)
    is_local = (
        is_http_1_1
        and _is_loopback(peer)
        and not is_forwarded
        and _LOOPBACK_HOST.fullmatch(host) is not None
        and ("Origin" not in headers or _LOOPBACK_ORIGIN.fullmatch(headers["Origin"]) is not None)
    )
    return Source(peer, f"{scheme}://{host}", is_local, is_misread=_names_a_client(headers))


def _names_a_client(headers: MultiMapping[str]) -> bool:
    return "X-Forwarded-For" in headers or "Forwarded" in headers


def _is_loopback(address: str) -> bool:
    return forwarding.is_in(address, ("127.0.0.0/8", "::1"))


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return what limits by address count: the address; of IPv6, its /64 network.

    One client of IPv6 usually has all addresses of such a network.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return address if ip.version == 4 else str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
