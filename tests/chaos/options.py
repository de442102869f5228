"""What ``make chaos`` may be told through the environment.

``CHAOS_KILLS``: how often a server is killed, among as many other faults. ``CHAOS_PUBLISHES``: how
many events are published at least. ``CHAOS_SEED``: a number, or ``random``; it decides the order of
the faults, what is published and who does what, though no seed decides how processes are scheduled.
``CHAOS_AWAY``: for how many seconds a shared log is out of reach, each time.
``CHAOS_LOG``: a name in ``BACKINGS``. ``CHAOS_MODE``: ``recovery``, ``since`` or ``both``.
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
"""What the runs of this session came to."""
