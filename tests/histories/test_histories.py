"""Any history of producers, consumers, faults and time: each consumer gets what it is owed."""

from __future__ import annotations

import faulthandler
import logging
from collections.abc import Iterator

import pytest
import structlog

from sio_server import hub
from sio_server.delivery import catchup, recent
from tests.histories.budget import run_histories
from tests.histories.world import World


class _Errors(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        World.errors.append(self.format(record))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make pages small, and note what the server logs as its own failures."""
    monkeypatch.setattr(catchup, "PAGE_EVENTS", 3)
    monkeypatch.setattr(catchup, "TURN_EVENTS", 3)
    monkeypatch.setattr(recent, "CHUNK_BYTES", 400)
    handler = _Errors(logging.ERROR)
    logger = logging.getLogger("sio_server")
    logger.addHandler(handler)
    errors = structlog.make_filtering_bound_logger(logging.ERROR)
    monkeypatch.setattr(
        hub,
        "log",
        structlog.wrap_logger(
            logger,
            processors=[structlog.stdlib.render_to_log_kwargs],
            wrapper_class=errors,
        ),
    )
    faulthandler.cancel_dump_traceback_later()  # making a failing history short takes minutes
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("watched")
def test_each_consumer_gets_what_it_is_owed() -> None:
    """In order, once; or it is told a gap, where there may be one."""
    run_histories()
