"""The one setting, `FURNITURE_EVENTS`: its keys, their defaults, and what is wrong with them.

The only reader of Django's settings but for those that checks hold it against. Nothing is opened
here; `problems` feeds the system checks, `config` raises the first of them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from furniture_events import ConfigurationError, Producer

__all__ = ["Config", "Problem", "config", "models", "per_setting", "problems"]

Made = TypeVar("Made")

_NAME = "FURNITURE_EVENTS"

_SECRET_BYTES = 32
"""RFC 7518 asks for a key as long as the hash's output: HS256."""

_MOST_SECONDS = 1_209_600
"""Two weeks, as Django's sessions; what waits for much longer overflows somewhere below."""

_MOST_EVENTS = 1000
"""The broker's own bound of a batch."""

_SOCKET_PATH_BYTES = 103
"""macOS's bound; Linux takes 107."""


class Problem(NamedTuple):
    """Something wrong with the setting: the number of its check, what, and what to do."""

    number: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The setting's keys in lower case. Times are in seconds, at most two weeks; sizes in bytes."""

    url: str
    """The broker's base URL, as the site and the relay reach it."""
    key: str | None = field(repr=False)
    """A producer key; None where the broker lets this machine publish without one."""
    models: Mapping[str, object] = field(default_factory=dict)
    """`"app.Model"` to what maps it: a dict of lookups, or a function's dotted name."""
    mode: Literal["outbox", "direct"] = "outbox"
    timeout: float = 10.0
    """The relay's patience for a byte of the broker's answer."""
    direct_timeout: float = 1.0
    """What a commit may add to a request in direct mode, for each batch that it publishes."""
    batch_events: int = 1000
    batch_bytes: int = 1_048_576
    poll_seconds: float = 0.25
    """How often the relay, or its standby, looks when nothing wakes it."""
    backoff_seconds: float = 0.25
    backoff_max_seconds: float = 5.0
    retry_after_max_seconds: float = 60.0
    """How much of an answer's Retry-After is waited for, be it the broker's or a proxy's."""
    lease_seconds: float = 10.0
    """How long a relay that is silent stays the active one (not on PostgreSQL)."""
    wake: Literal["socket", "listen", "poll"] = "socket"
    wake_socket: str | None = None
    """The absolute path of the Unix socket that wakes the relay, 103 bytes at most.

    None: one in the temporary directory.
    """
    public_url: str | None = None
    """The broker's base URL as browsers reach it; None: `url`."""
    position_seconds: float = 1.0
    """How long the log's position may be handed out again before it is asked for anew."""
    position_timeout: float = 0.5
    token_secret: str | None = field(default=None, repr=False)
    """The broker's `SIO_JWT_SECRET`; None: pages get no token."""
    token_seconds: float = 300.0

    def producer(self, **options: Any) -> Producer:
        """Make a producer for this broker; `options` are the producer's own."""
        return Producer(self.url, key=self.key, **options)


def per_setting(make: Callable[[], Made]) -> Callable[[], Made]:
    """Let what `make` returns be made once, whichever thread is first, until the setting changes.

    What has a `close` is closed then.
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
    """Return the setting. Raises `ImproperlyConfigured` with the first of its problems."""
    for problem in problems():
        raise ImproperlyConfigured(f"{problem.message} {problem.hint}")
    return Config(**_given())


def models() -> Mapping[object, object]:
    """Return `MODELS` as it is given, right or wrong; empty where there is no such dict."""
    setting = getattr(settings, _NAME, None)
    given = setting.get("MODELS") if isinstance(setting, Mapping) else None
    return given if isinstance(given, Mapping) else {}


def _given() -> dict[str, Any]:
    return {name.lower(): value for name, value in getattr(settings, _NAME).items()}


def problems() -> Iterator[Problem]:
    """Yield what is wrong with the setting, but for what its models say."""
    setting = getattr(settings, _NAME, None)
    if not isinstance(setting, Mapping):
        yield Problem(1, f"{_NAME} is missing.", "Set it to a dict with URL, KEY and MODELS.")
        return
    known = {each.name.upper(): each for each in fields(Config)}
    for name in setting.keys() - known.keys():
        yield Problem(3, f"{_NAME} has no key {name!r}.", f"Known are {', '.join(known)}.")
    if "URL" not in setting:
        yield Problem(1, f"{_NAME} has no URL.", 'Such as "http://127.0.0.1:8765".')
    if "KEY" not in setting:
        yield Problem(
            2,
            f"{_NAME} has no KEY.",
            "One of the broker's SIO_PRODUCER_KEYS; None where it lets this machine publish.",
        )
    if "URL" in setting and "KEY" in setting:
        yield from _refused_by_the_producer(setting)
    for name, check in _CHECKS.items():
        if name in setting and (wanted := check(setting[name])):
            yield Problem(3, f"{_NAME}[{name!r}] must be {wanted}.", "See docs/django.md.")


def _refused_by_the_producer(setting: Mapping[str, Any]) -> Iterator[Problem]:
    public_url = setting.get("PUBLIC_URL")
    for number, name, url, key in (
        (1, "URL", setting["URL"], None),
        (2, "KEY", "http://localhost", setting["KEY"]),
        (1, "PUBLIC_URL", "http://localhost" if public_url is None else public_url, None),
    ):
        try:
            Producer(url, key=key).close()
        except ConfigurationError as error:
            yield Problem(number, f"{_NAME}[{name!r}] cannot be right.", f"{error}.")


def _one_of(*words: str) -> Callable[[object], str]:
    return lambda value: "" if value in words else f"one of {', '.join(map(repr, words))}"


def _seconds(value: object) -> str:
    sound = isinstance(value, int | float) and not isinstance(value, bool)
    return (
        ""
        if sound and 0 < value <= _MOST_SECONDS  # type: ignore[operator]
        else f"a number of seconds above 0, and {_MOST_SECONDS} (two weeks) at most"
    )


def _events(value: object) -> str:
    sound = not _count(value) and value <= _MOST_EVENTS  # type: ignore[operator]
    return "" if sound else f"an integer from 1 to {_MOST_EVENTS}, the broker's own limit"


def _count(value: object) -> str:
    sound = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return "" if sound else "an integer, 1 or more"


def _socket_path_or_none(value: object) -> str:
    sound = value is None or (
        0 < len(_encoded(value)) <= _SOCKET_PATH_BYTES
        and "\0" not in str(value)
        and Path(str(value)).is_absolute()
    )
    wanted = f"a string with an absolute path of at most {_SOCKET_PATH_BYTES} bytes, or None"
    return "" if sound else wanted


def _secret_or_none(value: object) -> str:
    sound = value is None or len(_encoded(value)) >= _SECRET_BYTES
    return "" if sound else f"a string of at least {_SECRET_BYTES} bytes, or None"


def _encoded(value: object) -> bytes:
    """Return a string's UTF-8; nothing of what is no string, or holds half a character."""
    try:
        return value.encode() if isinstance(value, str) else b""
    except UnicodeEncodeError:
        return b""


def _models(value: object) -> str:
    sound = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    return "" if sound else 'a dict from "app.Model" to what maps it'


_CHECKS: dict[str, Callable[[object], str]] = {
    "MODELS": _models,
    "MODE": _one_of("outbox", "direct"),
    "WAKE": _one_of("socket", "listen", "poll"),
    "WAKE_SOCKET": _socket_path_or_none,
    "TOKEN_SECRET": _secret_or_none,
    "BATCH_EVENTS": _events,
    "BATCH_BYTES": _count,
} | {
    each.name.upper(): _seconds
    for each in fields(Config)
    if each.type is float and each.default is not MISSING
}
