"""What proxies say about a request that they forward: ``X-Forwarded-*`` and RFC 7239. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from multidict import MultiMapping

_ADDED_BY_PROXIES = re.compile(
    r"(?:forwarded|x-forwarded|x-real-ip|x-client-ip|true-client-ip|cf-connecting-ip|cdn-loop|via)\Z"
    r"|x-forwarded-",
    re.IGNORECASE,
)
_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[^;,"\s]*)\s*', re.ASCII)
_PORT = r":(?:\d{1,5}|_[\w.-]+)"
_NODE = re.compile(rf"\[([^\]]+)\](?:{_PORT})?|([^:]+){_PORT}|(.+)", re.ASCII)
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Forwarded(NamedTuple):
    """A request as its client sent it, as far as trusted proxies say.

    Attributes:
        address: the client's address.
        scheme: ``http`` or ``https``; None: they do not say.
        host: the host that the client named; None: they do not say.
    """

    address: str
    scheme: str | None = None
    host: str | None = None


class _Hop(NamedTuple):
    """What one proxy says about the peer that it has got a request from."""

    address: str | None
    scheme: str | None = None
    host: str | None = None


def is_forwarded(headers: Iterable[str]) -> bool:
    """Tell whether proxies add one of these headers."""
    return any(map(_ADDED_BY_PROXIES.match, headers))


def read(peer: str, headers: MultiMapping[str], trusted: tuple[str, ...]) -> Forwarded:
    """Return what trusted proxies say about a request.

    ``Forwarded`` counts only without ``X-Forwarded-For``. Most proxies write ``X-Forwarded-For``,
    and pass on a ``Forwarded`` that the client has sent.

    Args:
        peer: the address of the nearest proxy, which is trusted.
        headers: the request's headers.
        trusted: the addresses and networks of the trusted proxies.
    """
    if "Forwarded" in headers and "X-Forwarded-For" not in headers:
        return _nearest(peer, _hops(",".join(headers.getall("Forwarded"))), trusted)
    listed = ",".join(headers.getall("X-Forwarded-For", ()))
    found = _nearest(peer, [_Hop(address_of(hop)) for hop in listed.split(",")], trusted)
    return found._replace(
        scheme=_scheme(_first(headers.get("X-Forwarded-Proto"))),
        host=_first(headers.get("X-Forwarded-Host")) or None,
    )


def _nearest(peer: str, hops: list[_Hop], trusted: tuple[str, ...]) -> Forwarded:
    """Return the nearest client that is no trusted proxy, or the farthest known one."""
    found = Forwarded(peer)
    for hop in reversed(hops):
        if hop.address is None:
            break
        found = Forwarded(hop.address, hop.scheme or found.scheme, hop.host or found.host)
        if not is_in(hop.address, trusted):
            break
    return found


def _hops(text: str) -> list[_Hop]:
    """Return the elements of a ``Forwarded`` header; those that cannot be read have no address."""
    return [_hop(element) for element in _split(text, ",")]


def _hop(element: str) -> _Hop:
    pairs: dict[str, str] = {}
    for part in _split(element, ";"):
        match = _PAIR.fullmatch(part)
        if match is None:
            return _Hop(None)
        pairs.setdefault(match[1].lower(), _unquoted(match[2]))
    return _Hop(address_of(pairs.get("for", "")), _scheme(pairs.get("proto")), pairs.get("host"))


def _split(text: str, separator: str) -> Iterator[str]:
    """Yield the parts between separators that are not in quotes. An open quote has the rest."""
    for match in re.finditer(rf'(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|[^"{separator}])+', text):
        yield match[0]


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()


def _scheme(word: str | None) -> str | None:
    return _SCHEMES.get((word or "").lower())


def address_of(hop: str) -> str | None:
    """Return the address that a proxy names, in its usual form; None if it names none.

    Proxies also write ports, brackets, quotes and IPv4 addresses that are mapped to IPv6.
    """
    match = _NODE.fullmatch(hop.strip().strip('"'))
    parsed = None if match is None else _parse(match[1] or match[2] or match[3])
    return None if parsed is None else str(parsed)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return mapped or parsed


@lru_cache(maxsize=4096)  # parsing the networks takes 20 µs
def is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Tell whether an address is in any of the networks."""
    parsed = _parse(address) if networks else None
    return parsed is not None and any(
        parsed in ip_network(network, strict=False) for network in networks
    )
