"""The value types of the contract: which offsets a log can read from."""

from __future__ import annotations

import pytest

from sio_server.contract.events import Offset
from sio_server.eventlog.contract import Bounds

BOUNDS = Bounds(Offset("e", 10), Offset("e", 20))


@pytest.mark.parametrize("offset", [Offset("e", 10), Offset("e", 15), Offset("e", 20)])
def test_a_log_has_all_events_after_an_offset_within_its_bounds(offset: Offset) -> None:
    """Both bounds count as within."""
    assert BOUNDS.has_all_after(offset)


@pytest.mark.parametrize("offset", [Offset("e", 9), Offset("e", 21), Offset("d", 15)])
def test_a_log_may_lack_events_after_any_other_offset(offset: Offset) -> None:
    """This holds for older and future offsets, and for those of another epoch."""
    assert not BOUNDS.has_all_after(offset)
