"""The options of ``make django-kills``, from the environment.

``DJANGO_KILLS``: how many relays are killed. ``DJANGO_KILLS_TRANSACTIONS``: how many transactions
each writer makes. ``DJANGO_KILLS_SEED``: a number, or ``random``. The seed decides the writers'
changes and the point at which each relay is killed, but not the scheduling of the processes.
"""

from __future__ import annotations

import os

from tests.support.seeds import seed_of

LONG = "DJANGO_KILLS" in os.environ
KILLS = int(os.environ.get("DJANGO_KILLS", "5"))
TRANSACTIONS = int(os.environ.get("DJANGO_KILLS_TRANSACTIONS", "40"))
DELAY_SECONDS = 0.2 if LONG else 0.05
SEED = seed_of("DJANGO_KILLS_SEED")

reports: list[str] = []
"""The reports of this session's runs."""
