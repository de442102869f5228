"""How many cases run, from which seed: what ``make test`` and ``make fuzz`` set apart.

``FUZZ_CASES`` is the number over both transports, ``FUZZ_SEED`` a number or ``random``. The same
two give the same cases.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.support.seeds import seed_of

CASES = int(os.environ.get("FUZZ_CASES", "10000"))
SEED = seed_of("FUZZ_SEED")

ROUND = 500
"""Examples of one run of Hypothesis, which remembers all of them: more would fill the memory."""

ran: Counter[str] = Counter()
"""The cases that each test has run."""


def fuzz(
    name: str, cases: int, strategy: SearchStrategy[Any], check: Callable[[Any], object]
) -> None:
    """Check examples of a strategy until so many cases have run.

    Args:
        name: under which ``check`` counts the cases of an example, in ``ran``.
        cases: how many.
        strategy: what ``check`` is called with; an example may hold several cases.
        check: raises where a property does not hold.
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
            error.add_note(f"{name}: FUZZ_SEED={SEED}, first seen after {first[:1]} cases")
            raise
        number += 1


def share(parts_of_100: int) -> int:
    """Return how many of the cases a test has."""
    return -(-CASES * parts_of_100 // 100)
