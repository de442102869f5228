"""The constructor's arguments, checked once and frozen.

Pure. No message repeats an argument that may hold a secret: the key, or a URL with a password.
"""

import math
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import urlsplit

from furniture_events.errors import ConfigurationError

__all__ = ["TRACING_PACKAGES", "Settings", "can_trace"]

_URL_HINT = 'url must be the broker\'s base URL, such as "http://127.0.0.1:8765"'
_PRINTABLE = range(0x21, 0x7F)

TRACING_PACKAGES = "pip install 'furniture-events[tracing]'"


def can_trace() -> bool:
    """Tell whether the packages of OpenTelemetry are installed, without importing them."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a package above it
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A producer's settings. Times are in seconds, sizes in bytes."""

    url: str
    key: str | None = field(repr=False)
    timeout: float
    connect_timeout: float
    attempts: int
    deadline: float
    backoff: float
    backoff_max: float
    batch_events: int
    batch_bytes: int
    max_connections: int
    tracing: bool = False

    def __post_init__(self) -> None:
        """Raise ``ConfigurationError`` for the first invalid argument."""
        object.__setattr__(self, "url", _checked_url(self.url))
        _check_key(self.key)
        for name in ("timeout", "connect_timeout", "deadline"):
            _check_number(name, getattr(self, name), "a number of seconds above 0", above=0)
        for name in ("backoff", "backoff_max"):
            _check_number(name, getattr(self, name), "a number of seconds, 0 or more")
        for name in ("attempts", "batch_events", "batch_bytes", "max_connections"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"{name} must be an integer, 1 or more, not {value!r}")
        if self.tracing and not can_trace():
            raise ConfigurationError(f"tracing needs more packages: {TRACING_PACKAGES}")


def _checked_url(url: object) -> str:
    if not isinstance(url, str):
        raise ConfigurationError(f"{_URL_HINT}, not a {type(url).__name__}")
    if any(not character.isprintable() or character.isspace() for character in url):
        raise ConfigurationError(f"{_URL_HINT}: it holds white space or a control character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"{_URL_HINT}: its host or port cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"{_URL_HINT}: it must start with http:// or https://")
    if not parts.hostname:
        raise ConfigurationError(f"{_URL_HINT}: it names no host")
    if port == 0:
        raise ConfigurationError(f"{_URL_HINT}: port 0 cannot be connected to")
    if "@" in parts.netloc:
        raise ConfigurationError(f"{_URL_HINT}: give the credential as key=, not in the URL")
    if "?" in url or "#" in url:
        raise ConfigurationError(f"{_URL_HINT}: it must have no query and no fragment")
    return url.rstrip("/")


def _check_key(key: object) -> None:
    if key is None:
        return
    if not isinstance(key, str):
        raise ConfigurationError(f"key must be a string or None, not a {type(key).__name__}")
    if not key or any(ord(character) not in _PRINTABLE for character in key):
        raise ConfigurationError("key must be printable ASCII without spaces, and not empty")


def _check_number(name: str, value: object, rule: str, *, above: float | None = None) -> None:
    is_valid = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (value >= 0 if above is None else value > above)
    )
    if not is_valid:
        raise ConfigurationError(f"{name} must be {rule}, not {value!r}")
