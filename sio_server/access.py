"""Who a client is, and what it may do. No I/O: it decides on what it is shown.

Producer keys are here; tokens will join them in ``Access.identify``.
"""

from __future__ import annotations

import functools
import hmac
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from multidict import MultiMapping

from sio_server.errors import Forbidden, Unauthorized

_FORWARDING = re.compile(r"(?:forwarded|x-real-ip|via)\Z|x-forwarded-", re.IGNORECASE)
LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a connection or a request speaks for.

    Attributes:
        kind: ``key`` or ``anonymous``; what logs and messages may say.
        may_publish: it may append events.
        may_consume: it may be in rooms and read the log.
        why_not: for one that may not publish, which setting would allow it.
    """

    kind: str
    may_publish: bool
    may_consume: bool
    why_not: str = ""

    def check_publish(self) -> None:
        """Let a publish pass.

        Raises:
            Forbidden: it has no right to.
        """
        if not self.may_publish:
            raise Forbidden(f"publishing is not allowed: {self.why_not}")

    def check_consume(self) -> None:
        """Let it consume events.

        Raises:
            Unauthorized: it presented no credential, and one is needed.
        """
        if not self.may_consume:
            raise Unauthorized("a credential is needed")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request came from, as far as it can be trusted.

    Attributes:
        address: the client's, behind trusted proxies.
        base: the scheme and host under which the client reached this server.
        is_local: nothing speaks against the client being on this machine: the peer is loopback,
            nothing was forwarded, ``Host`` and ``Origin`` name loopback.
    """

    address: str
    base: str
    is_local: bool


def locate(
    peer: str, scheme: str, headers: MultiMapping[str], trusted_proxies: Collection[str]
) -> Source:
    """Tell where a request came from.

    Args:
        peer: the address of the TCP peer.
        scheme: how the peer reached this server.
        headers: the request's, looked up without regard to case.
        trusted_proxies: addresses or networks whose forwarding headers count.
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
    """Return the nearest of the comma-separated addresses that no trusted proxy has."""
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
        origin: the ``Origin`` header; None is not a browser's request, and passes.
        base: the scheme and host under which the client reached this server.
        allowed: origins, compared whole; ``:*`` stands for any port, ``*`` for any origin.
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


class Access:
    """Turns credentials into principals.

    Args:
        producer_keys: each may publish and consume everything.
        open_publish: ``off``, ``loopback`` or ``anyone``.
        require_auth: whether consuming needs a credential.
    """

    def __init__(
        self, producer_keys: Collection[str], open_publish: str, require_auth: bool
    ) -> None:
        self._keys = [key.encode() for key in producer_keys]
        self._near, self._far = (
            Principal(
                "anonymous",
                may_publish=open_publish in to_whom,
                may_consume=not require_auth,
                why_not=_why_not(open_publish),
            )
            for to_whom in (("anyone", "loopback"), ("anyone",))
        )

    def identify(self, credential: str | None, source: Source) -> Principal:
        """Return whom a client speaks for.

        Args:
            credential: the key or token that it presented; None: none.
            source: where it comes from.

        Without keys there is nothing to hold a credential to, and it is ignored.

        Raises:
            Unauthorized: the credential is not valid.
        """
        if credential is not None and self._keys:
            if self._is_key(credential):
                return Principal("key", may_publish=True, may_consume=True)
            raise Unauthorized("the credential is not valid")
        return self._near if source.is_local else self._far

    def _is_key(self, credential: str) -> bool:
        presented = credential.encode(errors="surrogatepass")
        found = False
        for key in self._keys:  # all of them, whichever matches: the time tells nothing
            found |= hmac.compare_digest(presented, key)
        return found


def _why_not(open_publish: str) -> str:
    if open_publish == "loopback":
        return (
            "without a key it is open to this machine alone (SIO_OPEN_PUBLISH=loopback); "
            "send a key of SIO_PRODUCER_KEYS"
        )
    return "send a key of SIO_PRODUCER_KEYS, or open it with SIO_OPEN_PUBLISH"


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
        _ = parts.port  # raises where what follows the name is no port
    except ValueError:
        return False
    return parts.hostname in LOOPBACK_NAMES
