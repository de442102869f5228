"""The number of histories and their seed, in which ``make test`` and ``make histories`` differ.

``HISTORIES`` is the number, ``HISTORIES_SEED`` a number or ``random``. Both together determine the
histories.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.budget import ROUND
from tests.histories.rules import Histories
from tests.histories.server_machine import counts
from tests.support.seeds import seed_of

HISTORIES = int(os.environ.get("HISTORIES", "50"))
SEED = seed_of("HISTORIES_SEED")
MAX_STEPS = 40
"""The most rules of one history."""


def run_histories() -> None:
    """Run ``HISTORIES`` histories, in rounds: Hypothesis remembers every history of a run."""
    number = 0
    while counts["histories"] < HISTORIES:
        options = settings(
            max_examples=min(ROUND, HISTORIES - counts["histories"]),
            stateful_step_count=MAX_STEPS,
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
