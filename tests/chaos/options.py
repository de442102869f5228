"""The options of ``make chaos``, read from the environment.

* ``CHAOS_KILLS``: the number of times that a server is killed, among as many other faults.
* ``CHAOS_PUBLISHES``: the least number of published events.
* ``CHAOS_SEED``: a number, or ``random``. It decides the order of the faults, the events and the
  actions of consumers. It cannot decide how the processes are scheduled.
* ``CHAOS_AWAY``: seconds for which a shared log is unreachable, each time.
* ``CHAOS_LOG``: a name in ``BACKINGS``.
* ``CHAOS_MODE``: ``recovery``, ``since`` or ``both``.
"""

from __future__ import annotations

import os

from tests.support.seeds import seed_of

KILLS = int(os.environ.get("CHAOS_KILLS", "0"))
LONG = KILLS > 0
PUBLISHES = int(os.environ.get("CHAOS_PUBLISHES", "0"))
SEED = seed_of("CHAOS_SEED")
AWAY_SECONDS = float(os.environ.get("CHAOS_AWAY", "0"))
LOG = os.environ.get("CHAOS_LOG", "sqlite")
MODE = os.environ.get("CHAOS_MODE", "both")

reports: list[str] = []
"""The results of the runs, for the end of pytest's output."""
