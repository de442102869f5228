"""The error tree, and what each error says about the event that was being published.

::

    FurnitureEventsError             catch this one for everything
    ├── ConfigurationError           a bad argument of the constructor (also a ValueError)
    ├── ProducerClosed               the producer was used after close()
    ├── NotAttempted                 publish_many stopped before it came to this event
    ├── Refused                      the contract says no; `code` says why (an unknown code: this)
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
    │   └── ShuttingDown             shutting_down           503  temporary
    └── TransportError               no answer that the contract knows
        ├── Unreachable              temporary; no connection was made: nothing was sent
        ├── AnswerTimeout            temporary; sent, but no answer in time
        ├── ConnectionLost           temporary; the connection broke before the whole answer came
        └── UnexpectedAnswer         a proxy's page, a redirect, broken JSON

`maybe_appended` is False where the event is certainly not in the log, True where it may be, which
any attempt of the call can bring about: then publish it again with the same `id`; the broker
recognises it. `temporary` says whether the same call may succeed later.

`Refused` also comes from the client itself, before anything is sent (`status` is None then). No
error holds the key or keeps the HTTP library's exceptions, and all of them can be pickled.
"""

from typing import ClassVar

from furniture_events._results import Detail

_TEMPORARY_STATUSES = frozenset({429, 500, 502, 503, 504})


class FurnitureEventsError(Exception):
    """Base of all errors of this package."""

    _temporary: ClassVar[bool] = False

    # Every further attribute is an optional keyword, so that pickle and copy, which call the
    # class with `args` alone and then restore `__dict__`, rebuild any error of the tree.
    def __init__(self, message: str = "", *, maybe_appended: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.maybe_appended = maybe_appended

    @property
    def temporary(self) -> bool:
        """Tell whether the same call may succeed later."""
        return self._temporary

    def __str__(self) -> str:
        doubt = " (it is unknown whether the event was appended)" if self.maybe_appended else ""
        return f"{self.message}{doubt}"


class ConfigurationError(FurnitureEventsError, ValueError):
    """An argument of the constructor cannot be right."""


class ProducerClosed(FurnitureEventsError):
    """The producer was used after `close()` or `aclose()`."""


class NotAttempted(FurnitureEventsError):
    """`publish_many` stopped at an earlier failure, `reason`; this event was never sent."""

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
    """The broker, or the client on the contract's behalf, refuses the request or the event.

    `code` is the contract's; `details` names every field at fault; `status` is the HTTP status,
    None where the error came inside a batch's answer or from the client; `retry_after` is in
    seconds, None where the broker named none.
    """

    code: str = ""

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
    """The body is not JSON, or nested too deeply."""

    code = "invalid_json"


class InvalidMessage(Refused):
    """The message is no event: no object, no `type`, a bad `id`."""

    code = "invalid_message"


class UnknownRoom(Refused):
    """The room's name follows no rule."""

    code = "unknown_room"


class InvalidOffset(Refused):
    """The offset is ill-formed."""

    code = "invalid_offset"


class Unauthorized(Refused):
    """A credential is needed, or the one given is not valid."""

    code = "unauthorized"


class TokenExpired(Refused):
    """The token given as key has expired."""

    code = "token_expired"


class Forbidden(Refused):
    """The credential, or the lack of one, does not allow publishing."""

    code = "forbidden"


class NotFound(Refused):
    """The broker has no such path: mostly a wrong prefix in `url`."""

    code = "not_found"


class MethodNotAllowed(Refused):
    """The path takes another method."""

    code = "method_not_allowed"


class UnsupportedMediaType(Refused):
    """The body's media type is not the one expected."""

    code = "unsupported_media_type"


class IdConflict(Refused):
    """The `id` was used before, for another type or furniture."""

    code = "id_conflict"


class TooLarge(Refused):
    """The event or the body is over the broker's limit in bytes."""

    code = "too_large"


class TooManyEvents(Refused):
    """The batch holds more events than the broker takes."""

    code = "too_many_events"


class UnknownType(Refused):
    """The broker knows no event of this `type`."""

    code = "unknown_type"


class InvalidFurniture(Refused):
    """The furniture breaks the contract; `details` names every field at fault."""

    code = "invalid_furniture"


class RateLimited(Refused):
    """Too many commands from this address."""

    code = "rate_limited"
    _temporary = True


class Internal(Refused):
    """The broker failed."""

    code = "internal"
    _temporary = True


class LogUnavailable(Refused):
    """The broker cannot reach its event log."""

    code = "log_unavailable"
    _temporary = True


class ShuttingDown(Refused):
    """The broker is draining."""

    code = "shutting_down"
    _temporary = True


class TransportError(FurnitureEventsError):
    """No answer that the contract knows came back."""


class Unreachable(TransportError):
    """No connection to the broker could be made; this attempt sent nothing."""

    _temporary = True


class AnswerTimeout(TransportError):
    """The request was sent, wholly or in part, and no whole answer came in time."""

    _temporary = True


class ConnectionLost(TransportError):
    """The connection broke after the request was begun and before the whole answer came."""

    _temporary = True


class UnexpectedAnswer(TransportError):
    """An answer came that is not the contract's: a proxy's page, a redirect, broken JSON.

    `status` is the HTTP status, `content_type` the header's text, `excerpt` the first characters
    of the body, `retry_after` in seconds or None.
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
        """Tell whether the HTTP status is one that may pass: 429, 500, 502, 503 or 504."""
        return self.status in _TEMPORARY_STATUSES
