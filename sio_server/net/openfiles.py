"""The operating system's limit of open files. Each TCP connection is one."""

from __future__ import annotations

import math

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

RESERVED_FILES = 64
"""Files that are kept free for the event log, and for what the libraries open."""


def raise_limit() -> None:
    """Raise this process's limit as far as it may."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit() -> float:
    """Return the limit; infinite if there is none."""
    if resource is None:
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def max_connections() -> float:
    """Return how many TCP connections the limit allows."""
    return max(1, limit() - RESERVED_FILES)
