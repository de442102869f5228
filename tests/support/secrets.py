"""The secrets that the tests of this process have used. No server may show one of them.

Each server of the tests is checked when it stops: its whole log, with tracebacks, and its metrics.
Each text that a raw client receives is checked, too.
"""

from __future__ import annotations

import re

MIN_CHARACTERS = 12
"""Shorter texts may come in a log by chance."""

RECENT = 50
"""How many of the last secrets are looked for in a received text."""

_noted: list[str] = []


def note(secret: str) -> str:
    """Remember a secret, and return it."""
    if len(secret) >= MIN_CHARACTERS:
        _noted.append(secret)
    return secret


def note_settings(settings: dict[str, object]) -> None:
    """Remember the secrets among the settings of a server."""
    for name in ("producer_keys", "jwt_secret", "admin_password"):
        for word in str(settings.get(name, "")).split(","):
            note(word.strip().rpartition(":")[2] if name == "producer_keys" else word.strip())
    if password := re.search(r"://[^/@]*:([^/@]+)@", str(settings.get("event_log", ""))):
        note(password[1])


def count() -> int:
    """Return how many secrets were noted until now."""
    return len(_noted)


def check(text: str, where: str, since: int | None = None) -> None:
    """Fail if a text shows a secret.

    Args:
        text: the text.
        where: says what it is.
        since: look for the secrets that were noted after so many; None: for the last ones.
    """
    secrets = _noted[-RECENT:] if since is None else _noted[since:]
    shown = {secret for secret in secrets if secret in text}
    assert not shown, f"{where} shows {len(shown)} secrets, such as {min(shown)[:4]}…"
