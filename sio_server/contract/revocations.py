"""Revocations: what a producer sends to end the tokens of a user. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sio_server.contract.errors import Fault, InvalidMessage
from sio_server.contract.events import format_timestamp

FIELDS = ("sub", "iss", "before")

LEEWAY_MILLISECONDS = 10_000
"""How far the clock of a producer may be ahead."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Revocation(NamedTuple):
    """The end of the tokens of a subject that were issued until a time, or at an unknown time.

    Attributes:
        subject: the ``sub`` of the tokens.
        issuer: their ``iss``; None: the tokens of every issuer.
        before: the last time of issue, in milliseconds since 1970.
    """

    subject: str
    issuer: str | None
    before: int

    def as_dict(self) -> dict[str, Any]:
        """Return the wire shape of the answer."""
        return {"sub": self.subject, "before": format_timestamp(self.before)}


def parse_revocation(message: Any, now: int) -> Revocation:
    """Return the revocation that a decoded message describes.

    Args:
        message: the decoded JSON.
        now: the time, in milliseconds since 1970. It stands for a ``before`` that is missing.

    Raises:
        InvalidMessage: it has another form; the error names all fields at fault.
    """
    if not isinstance(message, dict):
        raise InvalidMessage("must be a JSON object")
    subject, issuer, before = map(message.get, FIELDS)
    faults = [
        Fault(name[:80], f"is not known; the fields are {', '.join(FIELDS)}")
        for name in message
        if name not in FIELDS
    ]
    if not isinstance(subject, str) or not subject:
        faults.append(Fault("sub", "must be a string with at least one character"))
    if issuer is not None and not isinstance(issuer, str):
        faults.append(Fault("iss", "must be a string"))
    milliseconds = now if before is None else _milliseconds(before)
    if milliseconds is None:
        faults.append(Fault("before", "must be a time such as 2024-01-15T14:30:00.000Z"))
    elif milliseconds > now + LEEWAY_MILLISECONDS:
        faults.append(Fault("before", "must not be in the future"))
    if faults:
        raise InvalidMessage.of_faults(faults)
    assert isinstance(subject, str)
    assert milliseconds is not None
    return Revocation(subject, issuer, milliseconds)


def _milliseconds(text: Any) -> int | None:
    """Return the milliseconds since 1970 of a timestamp (RFC 3339), or None if it is none."""
    if not isinstance(text, str) or not _TIMESTAMP.fullmatch(text):
        return None
    try:
        milliseconds = (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
    return milliseconds if milliseconds >= 0 else None
