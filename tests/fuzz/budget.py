"""The number of cases and their seed, which differ between ``make test`` and ``make fuzz``.

``FUZZ_CASES`` is the number of cases over all transports. ``FUZZ_SEED`` is a number or ``random``.
The same number and seed give the same cases.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.support.seeds import seed_of

CASES = int(os.environ.get("FUZZ_CASES", "2500"))
SEED = seed_of("FUZZ_SEED")

ROUND = 500
"""Examples of one run of Hypothesis. It remembers all of them, so more would fill the memory."""

ran: Counter[str] = Counter()
"""The number of cases by test."""


def fuzz(
    name: str, cases: int, strategy: SearchStrategy[Any], check: Callable[[Any], object]
) -> None:
    """Check examples of a strategy until ``cases`` cases have run.

    Args:
        name: the key in ``ran`` under which ``check`` counts its cases.
        cases: the number of cases.
        strategy: makes the argument of ``check``. One example may hold several cases.
        check: raises if a property does not hold.
    """
    number = 0
    first: list[int] = []

    def attempt(example: Any) -> None:
        try:
            check(example)
        except Exception:
            first.append(ran[name])
            raise

    while ran[name] < cases:
        left = cases - ran[name]
        options = settings(
            max_examples=min(ROUND, left // 4 + 10),
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        examples = options(given(strategy)(attempt))
        try:
            seed(f"{SEED} {name} {number}")(examples)()
        except BaseException as error:
            error.add_note(f"{name}: FUZZ_SEED={SEED}, first failure after {first[:1]} cases")
            raise
        number += 1


def share(percent: int) -> int:
    """Return a test's number of cases, for its percentage of all cases."""
    return -(-CASES * percent // 100)
