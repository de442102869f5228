"""What results and errors are made of, as frozen values. This module never reads an answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

__all__ = ["Detail", "Published"]


@dataclass(frozen=True, slots=True)
class Published:
    """An event that is in the log for good.

    `offset` is the log's opaque position of it, `timestamp` (UTC) when it was appended;
    `duplicate` says that this `id` was there before: offset and timestamp are the first append's.
    """

    id: str
    offset: str
    timestamp: datetime
    duplicate: bool


class Detail(NamedTuple):
    """One field at fault, such as `Detail("furniture.altura", "must be a number ≥ 0")`."""

    field: str
    message: str
