"""Seeds of random tests, from the environment."""

from __future__ import annotations

import os
import secrets


def seed_of(variable: str) -> int:
    """Return the seed in an environment variable: a number (default 0), or ``random``."""
    given = os.environ.get(variable, "0")
    return secrets.randbits(32) if given == "random" else int(given)
