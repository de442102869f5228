"""Where a request comes from: the client's address, the origin, and the proxies between. No I/O."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from multidict import MultiMapping

_FORWARDING = re.compile(r"(?:forwarded|x-real-ip|via)\Z|x-forwarded-", re.IGNORECASE)
LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))


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
        and _names_loopback(f"//{host}")
        and ("Origin" not in headers or _names_loopback(headers["Origin"]))
    )
    address = peer
    if forwarded and _is_in(peer, trusted_proxies):
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
        if not _is_in(hop, trusted_proxies):
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


def _is_in(address: str, networks: Collection[str]) -> bool:
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


@functools.lru_cache(maxsize=64)
def _names_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if the text after the name is not a port
    except ValueError:
        return False
    return parts.hostname in LOOPBACK_NAMES
