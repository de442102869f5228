"""Where a request comes from: the client's address, the origin, and the proxies between. No I/O."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from multidict import MultiMapping

_FORWARDING = re.compile(r"(?:forwarded|x-real-ip|via)\Z|x-forwarded-", re.IGNORECASE)
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
    """

    address: str
    base: str
    is_local: bool

    @property
    def network(self) -> str:
        """The client's network; see ``network_of``."""
        return network_of(self.address)


def locate(
    peer: str, scheme: str, headers: MultiMapping[str], trusted_proxies: Collection[str]
) -> Source:
    """Return the origin of a request.

    Args:
        peer: the address of the TCP peer.
        scheme: the scheme with which the peer reached this server.
        headers: the request's headers. Names are compared without regard to case.
        trusted_proxies: the addresses or networks whose forwarding headers count.
    """
    host = headers.get("Host", "")
    forwarded = any(map(_FORWARDING.match, headers))
    is_local = (
        _is_loopback(peer)
        and not forwarded
        and _LOOPBACK_HOST.fullmatch(host) is not None
        and ("Origin" not in headers or _LOOPBACK_ORIGIN.fullmatch(headers["Origin"]) is not None)
    )
    address = peer
    if forwarded and is_in(peer, trusted_proxies):
        hops = ",".join(headers.getall("X-Forwarded-For", ()))
        address = _first_untrusted(hops, peer, trusted_proxies)
        scheme = _first(headers.get("X-Forwarded-Proto")) or scheme
        host = _first(headers.get("X-Forwarded-Host")) or host
    return Source(address, f"{scheme}://{host}", is_local)


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()


def _first_untrusted(hops: str, peer: str, trusted_proxies: Collection[str]) -> str:
    """Return the nearest of the comma-separated addresses that is not a trusted proxy."""
    address = peer
    for hop in reversed([hop.strip() for hop in hops.split(",")]):
        if not _is_address(hop):
            break
        address = hop
        if not is_in(hop, trusted_proxies):
            break
    return address


def origin_allowed(origin: str | None, base: str, allowed: Collection[str]) -> bool:
    """Decide whether a browser's page may use this server.

    Args:
        origin: the ``Origin`` header. None passes: only browsers send the header.
        base: the scheme and the host under which the client reached this server.
        allowed: origins, compared whole. ``:*`` stands for any port, ``*`` for any origin.
    """
    if (
        origin is None
        or origin == _without_default_port(base)
        or "*" in allowed
        or origin in allowed
    ):
        return True
    portless, colon, port = origin.rpartition(":")
    if not (colon and port.isascii() and port.isdigit()):
        portless = origin
    return f"{portless}:*" in allowed


def _without_default_port(base: str) -> str:
    default = {"http": ":80", "https": ":443"}.get(base.partition(":")[0], "")
    return base.removesuffix(default)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_in(address: str, networks: Collection[str]) -> bool:
    """Tell whether an address is in any of the networks."""
    return _is_address(address) and any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
        for network in networks
    )


@functools.lru_cache(maxsize=1024)
def _is_loopback(address: str) -> bool:
    if not _is_address(address):
        return False
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return what limits by address count: the address; of IPv6, its /64 network.

    One client of IPv6 usually has all addresses of such a network.
    """
    if not _is_address(address):
        return address
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return address if ip.version == 4 else str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
