"""Seeds that a run may be given."""

from __future__ import annotations

import os
import secrets


def seed_of(variable: str) -> int:
    """Return the seed that an environment variable names: a number, 0 by default, or ``random``."""
    given = os.environ.get(variable, "0")
    return secrets.randbits(32) if given == "random" else int(given)
