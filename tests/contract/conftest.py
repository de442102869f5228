"""The kinds of session stores, for the suites that check all of them against one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.session_kinds import Kind
from tests.support.eventlogs import KINDS, new_place
from tests.support.valkey import Valkey


@pytest.fixture(params=KINDS)
async def kind(
    request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey
) -> AsyncIterator[Kind]:
    """Return each kind of session store in turn."""
    made = Kind(request.param, new_place(tmp_path, valkey))
    yield made
    for log in made.logs:
        await log.close()
