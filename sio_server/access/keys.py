"""Producer keys: secrets that may publish, and consume everything. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

MIN_KEY_CHARACTERS = 16
DEFAULT_NAME = "default"


class ProducerKeys:
    """The configured keys.

    Args:
        entries: each ``name:key`` or a key alone, which is named ``default``. Several keys may have
            the same name, so that one can replace another without a pause.

    Raises:
        ValueError: a key is too short, or a name is empty. The message shows neither.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._names: list[tuple[bytes, str]] = []
        for entry in entries:
            name, separator, key = entry.partition(":")
            if not separator:
                name, key = DEFAULT_NAME, entry
            if not name or len(key) < MIN_KEY_CHARACTERS:
                raise ValueError(
                    f"each key has at least {MIN_KEY_CHARACTERS} characters, and may have a name "
                    "before it: name:key"
                )
            self._names.append((_digest(key), name))

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._names)

    @property
    def names(self) -> list[str]:
        """The names of the keys, each once."""
        return sorted({name for _, name in self._names})

    def name_of(self, presented: str) -> str | None:
        """Return the name of a key that a client presents; None if it is no key.

        All keys are compared, and digests of equal length, so that the time tells nothing.
        """
        digest = _digest(presented)
        found = None
        for known, name in self._names:
            if hmac.compare_digest(digest, known):
                found = name
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
