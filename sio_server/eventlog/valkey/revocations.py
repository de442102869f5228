"""The revocations of the Valkey log: one stream for all nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from typing_extensions import override

from sio_server.contract.revocations import Revocation
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.revocation_contract import (
    PAGE_REVOCATIONS,
    RevocationPage,
    RevocationStore,
)
from sio_server.eventlog.valkey.connection import LuaScript

REVOCATION_SCRIPT = LuaScript("revocations.lua")


class ValkeyRevocations(RevocationStore):
    """Revocations in Valkey.

    Args:
        prefix: of every key, one hash tag.
        retention: how long a revocation is kept.
        run_script: runs a script with keys and arguments; raises ``LogUnavailable``.
    """

    def __init__(
        self, prefix: str, retention: Retention, run_script: Callable[..., Awaitable[Any]]
    ) -> None:
        self._keys = (f"{prefix}:revocations",)
        self._lifetime = int(retention.revocation_seconds * 1000)
        self._run_script = run_script

    @override
    async def add(self, revocation: Revocation) -> None:
        subject, issuer, before = revocation
        await self._run("add", subject, before, *(() if issuer is None else (issuer,)))

    @override
    async def read(self, after: str) -> RevocationPage:
        entries = await self._run("read", after, PAGE_REVOCATIONS)
        found = []
        for _, words in entries:
            fields = dict(zip(words[::2], words[1::2], strict=True))
            found.append(Revocation(fields["sub"], fields.get("iss"), int(fields["before"])))
        position = entries[-1][0] if entries else after
        return RevocationPage(found, position, len(entries) < PAGE_REVOCATIONS)

    async def _run(self, step: str, *arguments: str | int) -> Any:
        return await self._run_script(
            REVOCATION_SCRIPT, self._keys, step, self._lifetime, *arguments
        )
