"""The grammar of origins (RFC 6454), and the form in which they are compared. Pure."""

from __future__ import annotations

import re

ANY = "*"
"""Stands for any origin in the setting."""

OPAQUE = ("null", "file://")
"""Origins of pages without a site: sandboxed frames, and files of a device."""

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/:*?#@\[\]\"\\]+)(?::(\d{1,5}|\*))?", re.ASCII
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_SCHEMES = {"ws": "http", "wss": "https"}
"""Native clients of WebSocket name these schemes."""


def is_origin(word: str) -> bool:
    """Tell whether a word of the setting is an origin, one with any port (``:*``), or ``*``."""
    return word in (ANY, *OPAQUE) or _ORIGIN.fullmatch(word.lower()) is not None


def normalise(origin: str) -> str:
    """Return the form in which origins are compared: in lower case, without the default port."""
    lower = origin.lower()
    match = _ORIGIN.fullmatch(lower)
    if match is None:
        return lower
    scheme, host, port = match.groups()
    scheme = _SCHEMES.get(scheme, scheme)
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def without_port(origin: str) -> str:
    """Return an origin of the compared form without its port."""
    match = _ORIGIN.fullmatch(origin)
    return origin if match is None else f"{match[1]}://{match[2]}"
