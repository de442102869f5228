"""The revocations of the SQLite log: a table beside the events, changed by the same thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from typing_extensions import override

from sio_server.contract.revocations import Revocation
from sio_server.eventlog.revocation_contract import RevocationPage, RevocationStore
from sio_server.eventlog.sqlite.tables import TableChange


class SqliteRevocations(RevocationStore):
    """Revocations in an SQLite file.

    Args:
        submit: makes a change in the thread; the flag says whether the disk must be synced.
    """

    def __init__(self, submit: Callable[[TableChange, bool], Awaitable[Any]]) -> None:
        self._submit = submit

    @override
    async def add(self, revocation: Revocation) -> None:
        await self._submit(lambda tables, now: tables.revocations.add(now, revocation), True)

    @override
    async def read(self, after: str) -> RevocationPage:
        page: RevocationPage = await self._submit(
            lambda tables, now: tables.revocations.read(now, after), False
        )
        return page
