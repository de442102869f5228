"""The setting ``FURNITURE_EVENTS``: its keys, their defaults, and its problems.

Only this module reads the setting. It opens nothing. ``problems`` is for the system checks, and
``config`` raises the first problem.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from ssl import SSLContext, create_default_context
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from furniture_events import ConfigurationError, Producer
from furniture_events._contract import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MIN_SECRET_BYTES
from furniture_events._settings import TRACING_PACKAGES, can_trace

__all__ = [
    "REVOKE_ON",
    "Config",
    "Problem",
    "config",
    "models",
    "per_setting",
    "problems",
    "related",
]

Made = TypeVar("Made")

_NAME = "FURNITURE_EVENTS"

REVOKE_ON = ("logout", "password", "deactivation", "deletion")

_MAX_SECONDS = 1_209_600
"""Two weeks, as long as Django's sessions. Much longer times overflow in the operating system."""

_MAX_SOCKET_PATH_BYTES = 103
"""The bound of macOS. Linux allows 107."""


class Problem(NamedTuple):
    """A problem of the setting: the number of its check, a message, and a hint."""

    number: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The setting's keys, in lower case. Times are in seconds, sizes in bytes."""

    url: str
    """The broker's base URL for the site and the relay."""
    key: str | None = field(repr=False)
    """A producer key. None if the broker lets this machine publish without one."""
    models: Mapping[str, object] = field(default_factory=dict)
    """``"app.Model"`` to its mapping: a dict of lookups, or a function's dotted name."""
    related: Mapping[str, str | Collection[str]] = field(default_factory=dict)
    """``"app.Model"`` of rows that are not pieces to the lookup, or lookups, of their pieces."""
    mode: Literal["outbox", "direct"] = "outbox"
    ca: str | Callable[[], SSLContext] | None = None
    """The file of the certificates that sign the broker's, in PEM; or a function that makes the
    context of TLS. None: the system's certificates.
    """
    timeout: float = 10.0
    """How long the relay waits for the next byte of the broker's answer."""
    direct_timeout: float = 1.0
    """How long a commit may wait in direct mode, for each batch that it publishes."""
    batch_events: int = MAX_BATCH_EVENTS
    batch_bytes: int = MAX_BATCH_BYTES
    poll_seconds: float = 0.25
    """How often the relay, or its standby, looks without a wake-up."""
    backoff_seconds: float = 0.25
    backoff_max_seconds: float = 5.0
    retry_after_max_seconds: float = 60.0
    """The longest Retry-After that the relay waits for, from the broker or from a proxy."""
    lease_seconds: float = 10.0
    """How long a silent relay stays active (not on PostgreSQL)."""
    tracing: bool = False
    """Make spans of the saves and of the relay's requests, with OpenTelemetry."""
    wake: Literal["socket", "listen", "poll"] = "socket"
    wake_socket: str | None = None
    """The absolute path of the Unix socket that wakes the relay, at most 103 bytes.

    None: a path in the temporary directory.
    """
    public_url: str | None = None
    """The broker's base URL for browsers. None: ``url``."""
    position_seconds: float = 1.0
    """How long the site uses a position before it asks the broker again."""
    position_timeout: float = 0.5
    token_secret: str | None = field(default=None, repr=False)
    """The broker's ``SIO_JWT_SECRET``. None: pages get no token."""
    token_seconds: float = 300.0
    token_rooms: str | None = None
    """The dotted name of a function. It gets a user, and returns the rooms that they may see.

    None: all rooms.
    """
    token_issuer: str | None = None
    """The broker's ``SIO_JWT_ISSUER``."""
    token_audience: str | None = None
    """The broker's ``SIO_JWT_AUDIENCE``."""
    revoke_on: Collection[str] = REVOKE_ON
    """What ends a user's tokens, if ``token_secret`` is set."""

    def producer(self, **options: Any) -> Producer:
        """Make a producer for this broker, with options of ``Producer``."""
        ca = self.ca
        context = create_default_context(cafile=ca) if isinstance(ca, str) else ca and ca()
        return Producer(
            self.url, key=self.key, ssl_context=context, tracing=self.tracing, **options
        )


def per_setting(make: Callable[[], Made]) -> Callable[[], Made]:
    """Call ``make`` once, in the first thread that needs its result, until the setting changes.

    If the setting changes, the result is closed, if it has a ``close``.
    """
    made: list[Made] = []
    making = Lock()

    def get() -> Made:
        with making:
            if not made:
                made.append(make())
            return made[0]

    def forget(*, setting: str, **_: object) -> None:
        if setting == _NAME and made:
            getattr(made.pop(), "close", lambda: None)()

    setting_changed.connect(forget, weak=False)
    return get


@per_setting
def config() -> Config:
    """Return the setting.

    Raises:
        ImproperlyConfigured: the setting has a problem. This is the first one.
    """
    for problem in problems():
        raise ImproperlyConfigured(f"{problem.message} {problem.hint}")
    return Config(**_given())


def models() -> Mapping[object, object]:
    """Return ``MODELS`` as it is given, valid or not. Empty if there is no such dict."""
    setting = getattr(settings, _NAME, None)
    given = setting.get("MODELS") if isinstance(setting, Mapping) else None
    return given if isinstance(given, Mapping) else {}


def related() -> list[tuple[str, str]]:
    """Return the models and lookups of ``RELATED``. Empty if its type is wrong."""
    setting = getattr(settings, _NAME, None)
    given: Any = setting.get("RELATED", {}) if isinstance(setting, Mapping) else {}
    return (
        [] if _related(given) else [(name, each) for name in given for each in _list(given[name])]
    )


def _given() -> dict[str, Any]:
    return {name.lower(): value for name, value in getattr(settings, _NAME).items()}


def problems() -> Iterator[Problem]:
    """Yield the problems of the setting, except for those of its mappings."""
    setting = getattr(settings, _NAME, None)
    if not isinstance(setting, Mapping):
        yield Problem(1, f"{_NAME} is missing.", "Set it to a dict with URL, KEY and MODELS.")
        return
    known = {each.name.upper(): each for each in fields(Config)}
    for name in setting.keys() - known.keys():
        yield Problem(3, f"{_NAME} has no key {name!r}.", f"Known are {', '.join(known)}.")
    if "URL" not in setting:
        yield Problem(1, f"{_NAME} has no URL.", 'Set it, such as "http://127.0.0.1:8765".')
    if "KEY" not in setting:
        yield Problem(
            2,
            f"{_NAME} has no KEY.",
            "Set a key of the broker's SIO_PRODUCER_KEYS, or None if this machine needs no key.",
        )
    if "URL" in setting and "KEY" in setting:
        yield from _producer_problems(setting)
    for name, check in _CHECKS.items():
        if name in setting and (rule := check(setting[name])):
            yield Problem(3, f"{_NAME}[{name!r}] must be {rule}.", "See docs/django.md.")


def _producer_problems(setting: Mapping[str, Any]) -> Iterator[Problem]:
    public_url = setting.get("PUBLIC_URL")
    for number, name, url, key in (
        (1, "URL", setting["URL"], None),
        (2, "KEY", "http://localhost", setting["KEY"]),
        (1, "PUBLIC_URL", "http://localhost" if public_url is None else public_url, None),
    ):
        try:
            Producer(url, key=key).close()
        except ConfigurationError as error:
            yield Problem(number, f"{_NAME}[{name!r}] is not valid.", f"{error}.")


def _one_of(*words: str) -> Callable[[object], str]:
    return lambda value: "" if value in words else f"one of {', '.join(map(repr, words))}"


def _seconds(value: object) -> str:
    is_valid = isinstance(value, int | float) and not isinstance(value, bool)
    return (
        ""
        if is_valid and 0 < value <= _MAX_SECONDS  # type: ignore[operator]
        else f"a number of seconds above 0, and {_MAX_SECONDS} (two weeks) at most"
    )


def _events(value: object) -> str:
    is_valid = not _count(value) and value <= MAX_BATCH_EVENTS  # type: ignore[operator]
    return "" if is_valid else f"an integer from 1 to {MAX_BATCH_EVENTS}, the broker's own limit"


def _count(value: object) -> str:
    is_valid = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return "" if is_valid else "an integer, 1 or more"


def _socket_path_or_none(value: object) -> str:
    is_valid = value is None or (
        0 < len(_encoded(value)) <= _MAX_SOCKET_PATH_BYTES
        and "\0" not in str(value)
        and Path(str(value)).is_absolute()
    )
    rule = f"a string with an absolute path of at most {_MAX_SOCKET_PATH_BYTES} bytes, or None"
    return "" if is_valid else rule


def _secret_or_none(value: object) -> str:
    is_valid = value is None or len(_encoded(value)) >= MIN_SECRET_BYTES
    return "" if is_valid else f"a string of at least {MIN_SECRET_BYTES} bytes, or None"


def _encoded(value: object) -> bytes:
    """Return a string's UTF-8. Empty if it is not a string, or holds a lone surrogate."""
    try:
        return value.encode() if isinstance(value, str) else b""
    except UnicodeEncodeError:
        return b""


def _text_or_none(value: object) -> str:
    return "" if value is None or _encoded(value) else "a string that is not empty, or None"


def _dotted_name_or_none(value: object) -> str:
    is_valid = value is None or (isinstance(value, str) and value.count(".") > 0)
    return "" if is_valid else "the dotted name of a function, or None"


def _words(value: object) -> str:
    is_valid = isinstance(value, list | tuple | set | frozenset) and set(value) <= set(REVOKE_ON)
    return "" if is_valid else f"a list of words from {', '.join(map(repr, REVOKE_ON))}"


def _certificates_or_none(value: object) -> str:
    if isinstance(value, str) and value:
        try:
            create_default_context(cafile=value)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            return f"a readable file with certificates in PEM ({error})"
    is_valid = value is None or (isinstance(value, str) and value) or callable(value)
    return "" if is_valid else "a file's path, a function that returns an SSLContext, or None"


def _tracing(value: object) -> str:
    if value is True and not can_trace():
        return f"False, or more packages are needed: {TRACING_PACKAGES}"
    return "" if isinstance(value, bool) else "True or False"


def _models(value: object) -> str:
    is_valid = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    return "" if is_valid else 'a dict from "app.Model" to a mapping'


def _related(value: object) -> str:
    is_valid = isinstance(value, Mapping) and all(
        isinstance(each, str) for name in value for each in (name, *_list(value[name]))
    )
    return "" if is_valid else 'a dict from "app.Model" to a lookup or a list of lookups'


def _list(value: object) -> Collection[Any]:
    return value if isinstance(value, list | tuple) else [value]


_CHECKS: dict[str, Callable[[object], str]] = {
    "MODELS": _models,
    "RELATED": _related,
    "CA": _certificates_or_none,
    "TRACING": _tracing,
    "MODE": _one_of("outbox", "direct"),
    "WAKE": _one_of("socket", "listen", "poll"),
    "WAKE_SOCKET": _socket_path_or_none,
    "TOKEN_SECRET": _secret_or_none,
    "TOKEN_ROOMS": _dotted_name_or_none,
    "TOKEN_ISSUER": _text_or_none,
    "TOKEN_AUDIENCE": _text_or_none,
    "REVOKE_ON": _words,
    "BATCH_EVENTS": _events,
    "BATCH_BYTES": _count,
} | {
    each.name.upper(): _seconds
    for each in fields(Config)
    if each.type is float and each.default is not MISSING
}
