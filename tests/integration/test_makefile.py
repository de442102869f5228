"""The Makefile: ``make help`` names every target, and ``make`` alone starts the server."""

from __future__ import annotations

import os
import re
import subprocess

from tests.support.server import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def make(*arguments: str) -> str:
    """Run make without the options of the ``make test`` that runs this; return its output."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "ARGS"))
    }
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_make_help_describes_every_target_once() -> None:
    """Every target of the first ``.PHONY`` line, which is for users, has one line of help."""
    targets = MAKEFILE.split("\n.PHONY: ", 1)[1].splitlines()[0].split()
    described = [re.split(r"\s{2,}", line, maxsplit=1) for line in make("help").splitlines()]
    assert sorted(name for name, _ in described) == sorted(targets)
    assert all(purpose for _, purpose in described)


def test_make_without_a_target_starts_the_server() -> None:
    """The default goal is ``run``."""
    assert "-m sio_server" in make("--dry-run")
