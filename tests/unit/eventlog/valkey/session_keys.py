"""The session store's keys in Valkey, seen and changed from outside."""

from __future__ import annotations

from sio_server.eventlog.valkey.log import PREFIX
from tests.support.valkey import Valkey

SESSION = f"{PREFIX}:session:"
TOTALS = f"{PREFIX}:sessions"
LEASES = f"{PREFIX}:sessions:leases"
INDEXES = {group: f"{PREFIX}:sessions:{group}" for group in ("connected", "brief", "long")}


def groups(server: Valkey) -> dict[str, str]:
    """Return the group of each session."""
    with server.client as client:
        return {
            key: group for group, index in INDEXES.items() for key in client.zrange(index, 0, -1)
        }


def leases(server: Valkey) -> dict[int, float]:
    """Return the leases, each with its end."""
    with server.client as client:
        return {int(lease): end for lease, end in client.zrange(LEASES, 0, -1, withscores=True)}


def end_leases(server: Valkey, *ended: int) -> None:
    """End some leases, or all of them, long ago."""
    with server.client as client:
        for lease in ended or leases(server):
            client.zincrby(LEASES, -20_000e6, str(lease))
