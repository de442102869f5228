"""The error tree, and whether an event may be in the log after an error.

::

    FurnitureEventsError             catch this one for everything
    ├── ConfigurationError           a bad argument of the constructor (also a ValueError)
    ├── ProducerClosed               the producer was used after close()
    ├── NotAttempted                 publish_many stopped before it sent this event
    ├── Refused                      the broker refuses; `code` says why (an unknown code: this)
    │   ├── InvalidJson              invalid_json            400
    │   ├── InvalidMessage           invalid_message         400
    │   ├── UnknownRoom              unknown_room            400
    │   ├── InvalidOffset            invalid_offset          400
    │   ├── Unauthorized             unauthorized            401
    │   ├── TokenExpired             token_expired           401
    │   ├── Forbidden                forbidden               403
    │   ├── NotFound                 not_found               404
    │   ├── MethodNotAllowed         method_not_allowed      405
    │   ├── IdConflict               id_conflict             409
    │   ├── TooLarge                 too_large               413
    │   ├── TooManyEvents            too_many_events         413
    │   ├── UnsupportedMediaType     unsupported_media_type  415
    │   ├── UnknownType              unknown_type            422
    │   ├── InvalidFurniture         invalid_furniture       422
    │   ├── RateLimited              rate_limited            429  temporary
    │   ├── Internal                 internal                500  temporary
    │   ├── LogUnavailable           log_unavailable         503  temporary
    │   ├── ShuttingDown             shutting_down           503  temporary
    │   └── TooManyConnections       too_many_connections    503  temporary
    └── TransportError               no answer that the contract knows
        ├── Unreachable              temporary; no connection was made, so nothing was sent
        ├── AnswerTimeout            temporary; sent, but no answer in time
        ├── ConnectionLost           temporary; the connection broke before the whole answer came
        └── UnexpectedAnswer         a proxy's page, a redirect, broken JSON

``maybe_appended`` is False if the event is certainly not in the log. It is True if any attempt of
the call may have appended it: then publish the event again with the same ``id``, and the broker
recognises it. ``temporary`` says whether the same call may succeed later.

The client itself also raises ``Refused``, before it sends anything; ``status`` is None then. No
error holds the key or the HTTP library's exceptions. Every error can be pickled.
"""

from typing import ClassVar

from furniture_events._results import Detail

_TEMPORARY_STATUSES = frozenset({429, 500, 502, 503, 504})


class FurnitureEventsError(Exception):
    """The base of all errors of this package.

    Attributes:
        message: the error in words.
        maybe_appended: whether the event may be in the log.
    """

    _temporary: ClassVar[bool] = False

    # Every other attribute is an optional keyword. Pickle and copy call the class with only
    # ``args`` and then restore ``__dict__``, so they can rebuild any error of the tree.
    def __init__(self, message: str = "", *, maybe_appended: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.maybe_appended = maybe_appended

    @property
    def temporary(self) -> bool:
        """Tell whether the same call may succeed later."""
        return self._temporary

    def __str__(self) -> str:
        suffix = " (it is unknown whether the event was appended)" if self.maybe_appended else ""
        return f"{self.message}{suffix}"


class ConfigurationError(FurnitureEventsError, ValueError):
    """An argument of the constructor is invalid."""


class ProducerClosed(FurnitureEventsError):
    """The producer was used after ``close()`` or ``aclose()``."""


class NotAttempted(FurnitureEventsError):
    """``publish_many`` stopped at an earlier failure, ``reason``, and never sent this event."""

    def __init__(
        self,
        message: str = "",
        *,
        maybe_appended: bool = False,
        reason: FurnitureEventsError | None = None,
    ) -> None:
        super().__init__(message, maybe_appended=maybe_appended)
        self.reason = reason

    @property
    def temporary(self) -> bool:
        """Tell whether the failure that stopped the batch was temporary."""
        return self.reason is not None and self.reason.temporary


class Refused(FurnitureEventsError):
    """The broker refuses the request or the event. The client also raises this, before it sends.

    Attributes:
        code: the contract's code.
        details: every field at fault.
        status: the HTTP status of the answer. None if the error came inside the answer to a batch,
            or from the client.
        retry_after: seconds after which to try again. None if the broker named no time.
        http_status: the HTTP status that the contract gives to the code. 0 for an unknown code.
    """

    code: str = ""
    http_status: ClassVar[int] = 0

    def __init__(
        self,
        message: str = "",
        *,
        maybe_appended: bool = False,
        code: str | None = None,
        details: tuple[Detail, ...] = (),
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, maybe_appended=maybe_appended)
        self.code = type(self).code if code is None else code
        self.details = details
        self.status = status
        self.retry_after = retry_after

    @property
    def temporary(self) -> bool:
        """Tell whether the same call may succeed later, by the code or by the HTTP status."""
        return self._temporary or self.status in _TEMPORARY_STATUSES

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"


class InvalidJson(Refused):
    """The body is not JSON, or is nested too deeply."""

    code = "invalid_json"
    http_status = 400


class InvalidMessage(Refused):
    """The message is not an event: it is not an object, has no ``type``, or has a bad ``id``."""

    code = "invalid_message"
    http_status = 400


class UnknownRoom(Refused):
    """No room has such a name."""

    code = "unknown_room"
    http_status = 400


class InvalidOffset(Refused):
    """The offset is ill-formed."""

    code = "invalid_offset"
    http_status = 400


class Unauthorized(Refused):
    """A credential is needed, or the given credential is not valid."""

    code = "unauthorized"
    http_status = 401


class TokenExpired(Refused):
    """The token that was given as ``key`` has expired."""

    code = "token_expired"
    http_status = 401


class Forbidden(Refused):
    """The credential, or the lack of one, does not allow publishing."""

    code = "forbidden"
    http_status = 403


class NotFound(Refused):
    """The broker has no such path. Usually ``url`` has a wrong prefix."""

    code = "not_found"
    http_status = 404


class MethodNotAllowed(Refused):
    """The path takes another method."""

    code = "method_not_allowed"
    http_status = 405


class UnsupportedMediaType(Refused):
    """The broker expects another media type."""

    code = "unsupported_media_type"
    http_status = 415


class IdConflict(Refused):
    """The ``id`` was used before, for another type or other furniture."""

    code = "id_conflict"
    http_status = 409


class TooLarge(Refused):
    """The event or the body has more bytes than the broker accepts."""

    code = "too_large"
    http_status = 413


class TooManyEvents(Refused):
    """The batch has more events than the broker accepts."""

    code = "too_many_events"
    http_status = 413


class UnknownType(Refused):
    """The broker knows no event of this ``type``."""

    code = "unknown_type"
    http_status = 422


class InvalidFurniture(Refused):
    """The furniture breaks the contract; ``details`` names every field at fault."""

    code = "invalid_furniture"
    http_status = 422


class RateLimited(Refused):
    """This address sent too many commands."""

    code = "rate_limited"
    http_status = 429
    _temporary = True


class Internal(Refused):
    """The broker failed."""

    code = "internal"
    http_status = 500
    _temporary = True


class LogUnavailable(Refused):
    """The broker cannot reach its event log."""

    code = "log_unavailable"
    http_status = 503
    _temporary = True


class ShuttingDown(Refused):
    """The broker is shutting down."""

    code = "shutting_down"
    http_status = 503
    _temporary = True


class TooManyConnections(Refused):
    """The broker has as many connections as it may have."""

    code = "too_many_connections"
    http_status = 503
    _temporary = True


class TransportError(FurnitureEventsError):
    """The producer got no answer that the contract knows."""


class Unreachable(TransportError):
    """No connection to the broker could be made, so this attempt sent nothing."""

    _temporary = True


class AnswerTimeout(TransportError):
    """The request was sent, at least in part, and no whole answer came in time."""

    _temporary = True


class ConnectionLost(TransportError):
    """The connection broke after the request began and before the whole answer came."""

    _temporary = True


class UnexpectedAnswer(TransportError):
    """The answer is not the contract's: a proxy's page, a redirect, broken JSON.

    Attributes:
        status: the HTTP status.
        content_type: the header's text.
        excerpt: the first characters of the body.
        retry_after: seconds, or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        maybe_appended: bool = False,
        status: int = 0,
        content_type: str = "",
        excerpt: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, maybe_appended=maybe_appended)
        self.status = status
        self.content_type = content_type
        self.excerpt = excerpt
        self.retry_after = retry_after

    @property
    def temporary(self) -> bool:
        """Tell whether the HTTP status is a temporary one: 429, 500, 502, 503 or 504."""
        return self.status in _TEMPORARY_STATUSES
