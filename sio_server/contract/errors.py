"""Every error that a client can see: one tree, one code for each kind of error.

    ContractError
    ├── InvalidJson            invalid_json            400
    ├── InvalidMessage         invalid_message         400
    │   └── UnknownWebSocketVersion  invalid_message    426
    ├── UnknownRoom            unknown_room            400
    ├── InvalidOffset          invalid_offset          400
    ├── Unauthorized           unauthorized            401
    │   └── TokenExpired       token_expired           401
    ├── Forbidden              forbidden               403
    ├── NotFound               not_found               404
    ├── MethodNotAllowed       method_not_allowed      405
    ├── IdConflict             id_conflict             409
    ├── TooLarge               too_large               413
    │   └── HeadTooLarge       too_large               431
    ├── TooManyEvents          too_many_events         413
    ├── UnsupportedMediaType   unsupported_media_type  415
    ├── UnknownType            unknown_type            422
    ├── InvalidFurniture       invalid_furniture       422
    ├── RateLimited            rate_limited            429
    │   ├── Flooding           rate_limited            429   the connection is closed
    │   └── SessionsFull       rate_limited            429
    ├── Internal               internal                500
    ├── LogUnavailable         log_unavailable         503
    ├── ShuttingDown           shutting_down           503
    └── TooManyConnections     too_many_connections    503

``StartError`` is not part of the tree. No client sees it: it stops the server's start. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, ClassVar, NamedTuple


class Fault(NamedTuple):
    """One bad field: its dotted path, and what it must be."""

    field: str
    message: str


class ContractError(Exception):
    """An error with a code of the wire contract.

    Args:
        message: one sentence for the person who reads the error. It never holds a credential.
        details: the bad fields, if the error is about fields.
        limit: the setting whose limit was reached, if one was, such as ``connect_rate``. Only the
            metrics show it.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retry_after: int | None = None
    """Seconds after which a client may try again, for the ``Retry-After`` header."""

    def __init__(self, message: str, details: Sequence[Fault] = (), *, limit: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.limit = limit

    def as_dict(self) -> dict[str, Any]:
        """Return the error's wire shape: ``{code, message, details?}``."""
        shape: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            shape["details"] = [fault._asdict() for fault in self.details]
        return shape

    @classmethod
    def of_faults(cls, faults: Sequence[Fault]) -> ContractError:
        """Build the error that names every bad field at once."""
        return cls("; ".join(f"{fault.field}: {fault.message}" for fault in faults), faults)


class InvalidJson(ContractError):
    code, status = "invalid_json", 400


class InvalidMessage(ContractError):
    code, status = "invalid_message", 400


class UnknownWebSocketVersion(InvalidMessage):
    status = 426


class UnknownRoom(ContractError):
    code, status = "unknown_room", 400


class InvalidOffset(ContractError):
    code, status = "invalid_offset", 400


class Unauthorized(ContractError):
    code, status = "unauthorized", 401


class TokenExpired(Unauthorized):
    code = "token_expired"


class Forbidden(ContractError):
    code, status = "forbidden", 403


class NotFound(ContractError):
    code, status = "not_found", 404


class MethodNotAllowed(ContractError):
    code, status = "method_not_allowed", 405


class IdConflict(ContractError):
    code, status = "id_conflict", 409


class TooLarge(ContractError):
    code, status = "too_large", 413


class HeadTooLarge(TooLarge):
    status = 431


class TooManyEvents(ContractError):
    code, status = "too_many_events", 413


class UnsupportedMediaType(ContractError):
    code, status = "unsupported_media_type", 415


class UnknownType(ContractError):
    code, status = "unknown_type", 422


class InvalidFurniture(ContractError):
    code, status = "invalid_furniture", 422


class RateLimited(ContractError):
    code, status, retry_after = "rate_limited", 429, 60


class Flooding(RateLimited):
    """So far over the limit that the connection is closed."""


class SessionsFull(RateLimited):
    """There is no space to store more rooms with the sessions of connected consumers."""

    def __init__(self) -> None:
        super().__init__("the server has no space for more rooms; try again later")


class Internal(ContractError):
    code, status = "internal", 500


class LogUnavailable(ContractError):
    code, status, retry_after = "log_unavailable", 503, 1


class ShuttingDown(ContractError):
    code, status, retry_after = "shutting_down", 503, 1

    def __init__(self, seconds: float) -> None:
        """Tell the client to try again after ``seconds``, when another server may have started."""
        super().__init__("the server is stopping")
        self.retry_after = max(1, ceil(seconds))


class TooManyConnections(ContractError):
    """The server has as many connections as it may have."""

    code, status, retry_after = "too_many_connections", 503, 5


class StartError(Exception):
    """The server cannot start. The message says what to change."""
