"""A pytest plugin for tests that run in several processes at once.

Each process (a worker of pytest-xdist) runs whole files. Two things concern all of them: the lines
for the end of the output, and the tests that need the machine for themselves.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

LONG_FILES = (
    "siege/test_siege",
    "django/test_demo",
    "integration/test_benchmarks",
    "django/test_tutorial",
    "django/test_furniture_dev",
    "django/test_relay",
    "chaos/test_chaos",
    "integration/test_packages",
    "integration/test_javascript_client",
    "django/test_bulk",
    "docs/test_site",
)
"""The files that take longest. They begin first. If a long file began last, one worker would run it
while the others have nothing to do."""

SECTIONS = pytest.StashKey[list[tuple[str, list[str]]]]()


def add_section(config: pytest.Config, title: str, lines: Iterable[str]) -> None:
    """Print lines under a title at the end of the output. Call this when the session ends."""
    section = (title, list(lines))
    if hasattr(config, "workeroutput"):
        config.workeroutput.setdefault("sections", []).append(section)
    else:
        config.stash.setdefault(SECTIONS, []).append(section)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long files begin first, in the order of their list."""

    def place(item: pytest.Item) -> int:
        name = f"{item.path.parent.name}/{item.path.stem}"
        return LONG_FILES.index(name) if name in LONG_FILES else len(LONG_FILES)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Take over the sections of a worker."""
    for title, lines in getattr(node, "workeroutput", {}).get("sections", []):
        add_section(node.config, title, lines)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the sections."""
    for title, lines in sorted(config.stash.get(SECTIONS, [])):
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Let a test with the mark ``alone`` run while no worker of this checkout runs another one.

    Each test passes the gate and takes the machine. A test that waits for the whole machine keeps
    the gate closed, so that no other test starts before it. Waiting is no part of a test, so
    pytest's timeout for a hanging test does not run yet.
    """
    if not hasattr(item.config, "workerinput"):
        return (yield)
    lock = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with Path(__file__).open() as machine:
        with (Path(__file__).parent / "server.py").open() as gate:
            fcntl.flock(gate, lock)
            fcntl.flock(machine, lock)
        return (yield)
