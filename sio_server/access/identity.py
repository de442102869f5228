"""Who a client is, as the server knows it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

MAX_SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity behind a connection or a request.

    Attributes:
        kind: ``anonymous``, ``key`` or ``token``.
        name: of a key, its name; of a token, its subject.
        issuer: of a token that names one, its issuer. Issuer and subject are compared as a pair.
    """

    kind: str
    name: str = ""
    issuer: str | None = None

    @property
    def text(self) -> str:
        """The identity as text, for the session store. Different identities have other texts."""
        if self.kind == "anonymous":
            return self.kind
        return json.dumps([self.kind, self.name, self.issuer], ensure_ascii=True)

    def __str__(self) -> str:
        """Return the identity for a log line: ``anonymous``, ``key:django``, ``token:42``."""
        if self.kind == "anonymous":
            return self.kind
        shown = f"{self.kind}:{self.name}"
        if self.issuer is not None:
            shown += f"@{self.issuer}"
        return json.dumps(shown[:MAX_SHOWN_CHARACTERS], ensure_ascii=True)[1:-1]


ANONYMOUS = Identity("anonymous")
