"""What ``make django-kills`` may be told through the environment.

``DJANGO_KILLS``: how many relays are killed. ``DJANGO_KILLS_TRANSACTIONS``: how many transactions
each writer makes. ``DJANGO_KILLS_SEED``: a number, or ``random``; it decides who writes what and
where each relay dies, though no seed decides how processes are scheduled.
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
"""What the runs of this session came to."""
