"""More connections than the server may open files."""

from __future__ import annotations

from tests.siege.attack import FOREVER, Files, Script, Target, attack

CONNECTIONS = 1100
LIMIT = 1024


@attack(CONNECTIONS, files=Files(LIMIT, None))
def silent_under_a_soft_limit(target: Target) -> Script:
    """Silent connections, at a server that may raise its limit of open files."""
    yield FOREVER


@attack(CONNECTIONS, files=Files(LIMIT, LIMIT))
def silent_under_a_hard_limit(target: Target) -> Script:
    """Silent connections, at a server that may not raise its limit of open files."""
    yield FOREVER
