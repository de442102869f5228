"""How many histories run, from which seed: what ``make test`` and ``make histories`` set apart.

``HISTORIES`` is their number, ``HISTORIES_SEED`` a number or ``random``. The same two give the same
histories.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.budget import ROUND
from tests.histories.broker import ran
from tests.histories.machine import Histories
from tests.support.seeds import seed_of

HISTORIES = int(os.environ.get("HISTORIES", "200"))
SEED = seed_of("HISTORIES_SEED")
STEPS = 40
"""Rules that a history has at most."""


def run_histories() -> None:
    """Run histories until so many have been."""
    number = 0
    while ran["histories"] < HISTORIES:
        options = settings(
            max_examples=min(ROUND, HISTORIES - ran["histories"]),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        histories = type("Round", (Histories,), {})
        try:
            run_state_machine_as_test(seed(f"{SEED} {number}")(histories), settings=options)
        except BaseException as error:
            error.add_note(f"HISTORIES_SEED={SEED}, in round {number}")
            raise
        number += 1
