"""The server under test, and a line with the number of cases at the end of pytest's output."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.budget import CASES, SEED, ran
from tests.fuzz.target import Target
from tests.support.parallel import add_section


@pytest.fixture(scope="module")
def running_target() -> Iterator[Target]:
    """Return a server that a module's tests share."""
    target = Target()
    yield target
    target.stop()
    target.watch.remove()


@pytest.fixture
def target(running_target: Target) -> Iterator[Target]:
    """Return the server, and check after the test that no session is left."""
    yield running_target
    running_target.finish()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Print the number of cases of this process."""
    if ran:
        sent = sum(count for name, count in ran.items() if not name.startswith("pure"))
        each = ", ".join(f"{name} {count}" for name, count in ran.items())
        total = (
            f"{sent} cases sent to a running server ({CASES} asked for), "
            f"{ran.total() - sent} to its functions; FUZZ_SEED={SEED}"
        )
        add_section(session.config, "fuzzing", [total, each])
