"""Histories: a server in process, driven by random steps, gives each consumer its events.

``rules.py`` has the steps, and ``model.py`` says what a consumer is owed.
"""

from __future__ import annotations

import faulthandler
import logging
from collections.abc import Iterator

import pytest
import structlog

from sio_server import hub
from sio_server.delivery import catchup, recent
from tests.histories.run import run_histories
from tests.histories.server_machine import ServerMachine


class _ErrorHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        ServerMachine.errors.append(self.format(record))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages and chunks so small that a few events need several of them."""
    monkeypatch.setattr(catchup, "PAGE_EVENTS", 3)
    monkeypatch.setattr(catchup, "TURN_EVENTS", 3)
    monkeypatch.setattr(recent, "CHUNK_BYTES", 400)


@pytest.fixture
def noted_errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Note every error that the server logs."""
    handler = _ErrorHandler(logging.ERROR)
    logger = logging.getLogger("sio_server")
    logger.addHandler(handler)
    monkeypatch.setattr(
        hub,
        "log",
        structlog.wrap_logger(
            logger,
            processors=[structlog.stdlib.render_to_log_kwargs],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        ),
    )
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("small_pages", "noted_errors")
def test_each_consumer_gets_the_events_that_it_is_owed() -> None:
    """It gets them in order and once, or a gap is announced that the model allows."""
    faulthandler.cancel_dump_traceback_later()  # to shrink a failing history takes minutes
    run_histories()
