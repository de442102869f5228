"""The options of ``make siege``, read from the environment.

* ``SIEGE_SECONDS``: the length of all runs together. It is a goal: the start, the rests and the
  repetitions of a server that fails take longer.
* ``SIEGE_SEED``: a number, or ``random``. It decides the order of the attacks, their addresses and
  their random bytes. It cannot decide how the processes are scheduled.
* ``SIEGE_LOG``: ``sqlite``, ``valkey`` or ``both``.
* ``SIEGE_ATTACKS``: names of attacks or of families, separated by commas, for a part of the siege.
* ``SIEGE_CONSUMERS``: the number of healthy consumers.
* ``SIEGE_ROOT``: the checkout whose server is run.
* ``SIEGE_TABLE``: a file to which the tables are appended, as Markdown.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.seeds import seed_of
from tests.support.server import ROOT as THIS_CHECKOUT

SHORT_SECONDS = 60
"""The length of the runs in ``make test``."""

LONG = "SIEGE_SECONDS" in os.environ
SECONDS = float(os.environ.get("SIEGE_SECONDS", SHORT_SECONDS))
SEED = seed_of("SIEGE_SEED")
LOG = os.environ.get("SIEGE_LOG", "both")
ATTACKS = tuple(filter(None, os.environ.get("SIEGE_ATTACKS", "").split(",")))
CONSUMERS = int(os.environ.get("SIEGE_CONSUMERS", "500"))
ROOT = Path(os.environ.get("SIEGE_ROOT") or THIS_CHECKOUT).resolve()
TABLE = os.environ.get("SIEGE_TABLE")

reports: list[str] = []
"""The reports of the runs, for the end of pytest's output."""
