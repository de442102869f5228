"""The contract of the revocations beside a log, for every kind of log."""

from __future__ import annotations

import asyncio

import pytest

from sio_server.contract.errors import LogUnavailable
from sio_server.contract.revocations import Revocation
from sio_server.eventlog import revocation_contract
from sio_server.eventlog.contract import EventLog, Retention
from tests.contract.session_kinds import DURABLE, Kind
from tests.support.server import TIMEOUT

ANA = Revocation("ana", None, 1_700_000_000_250)
EVA = Revocation("eva", "https://id.example", 5)
LIFETIME_SECONDS = 1


async def read_all(log: EventLog, after: str = "") -> tuple[list[Revocation], str]:
    """Return all revocations after a position, and the new position."""
    found, at_end = [], False
    while not at_end:
        page = await log.revocations.read(after)
        found += page.revocations
        after, at_end = page.position, page.at_end
    return found, after


async def test_revocations_come_in_their_order(kind: Kind) -> None:
    """Each read starts after the last one."""
    log = await kind.open()
    assert await read_all(log) == ([], "")
    await log.revocations.add(ANA)
    found, position = await read_all(log)
    assert found == [ANA]
    await log.revocations.add(EVA)
    found, last = await read_all(log, position)
    assert found == [EVA]
    assert await read_all(log, last) == ([], last)
    assert (await read_all(log))[0] == [ANA, EVA]


@pytest.mark.parametrize("subject", ["ñ", "a\0b", "\n", '"', "x" * 8_000, "😀"])
async def test_a_subject_is_any_text(kind: Kind, subject: str) -> None:
    """So is an issuer. An empty one is not none."""
    log = await kind.open()
    added = [Revocation(subject, issuer, 5) for issuer in (None, "", subject)]
    for revocation in added:
        await log.revocations.add(revocation)
    assert (await read_all(log))[0] == added


async def test_many_revocations_come_in_pages(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has a bounded number, and says whether there are more."""
    for module in ("memory.revocations", "sqlite.revocation_table", "valkey.revocations"):
        monkeypatch.setattr(f"sio_server.eventlog.{module}.PAGE_REVOCATIONS", 3)
    log = await kind.open()
    added = [Revocation(f"{number}", None, number) for number in range(7)]
    for revocation in added:
        await log.revocations.add(revocation)
    page = await log.revocations.read("")
    assert (page.revocations, page.at_end) == (added[:3], False)
    assert (await read_all(log))[0] == added
    assert revocation_contract.PAGE_REVOCATIONS > 3


async def test_a_repeated_revocation_does_no_harm(kind: Kind) -> None:
    """The latest time is among those that a read returns."""
    log = await kind.open()
    _, position = await read_all(log)
    for before in (5, 9, 5, 9, 7):
        await log.revocations.add(ANA._replace(before=before))
    found, _ = await read_all(log, position)
    assert {revocation.subject for revocation in found} == {"ana"}
    assert max(revocation.before for revocation in found) == 9


async def test_a_durable_log_keeps_its_revocations(kind: Kind) -> None:
    """After its server has ended, and for a position of the time before."""
    log = await kind.open()
    await log.revocations.add(ANA)
    _, position = await read_all(log)
    await log.revocations.add(EVA)
    await log.close()
    again = await kind.open()
    is_durable = kind.name in DURABLE
    assert (await read_all(again))[0] == ([ANA, EVA] if is_durable else [])
    if is_durable:
        assert (await read_all(again, position))[0] == [EVA]


async def test_every_node_reads_the_revocations(kind: Kind) -> None:
    """Of all nodes, in one order."""
    first, second = await kind.open(), await kind.node()
    await first.revocations.add(ANA)
    found, position = await read_all(second)
    assert found == [ANA]
    await second.revocations.add(EVA)
    assert (await read_all(first, position))[0] == [EVA]


async def test_a_revocation_is_forgotten_after_its_lifetime(kind: Kind) -> None:
    """Soon after it, and not before."""
    kind.retention = Retention(revocation_seconds=LIFETIME_SECONDS)
    log = await kind.open()
    await log.revocations.add(ANA)
    assert (await read_all(log))[0] == [ANA]
    await kind.wait(LIFETIME_SECONDS + 0.1)  # Valkey has a clock of its own
    async with asyncio.timeout(TIMEOUT):
        while (await read_all(log))[0]:
            await asyncio.sleep(0.05)
    await log.revocations.add(EVA)
    assert (await read_all(log))[0] == [EVA]


async def test_a_closed_log_takes_no_revocation(kind: Kind) -> None:
    """Nor can its revocations be read."""
    log = await kind.open()
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.revocations.add(ANA)
    with pytest.raises(LogUnavailable):
        await log.revocations.read("")
