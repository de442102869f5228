"""The server's settings. This is the only module that reads them from the environment.

Each setting is a field of ``Settings``, a variable ``SIO_*`` in the environment or in ``.env``, and
an option, which ``commands/settings_options.py`` makes. An option wins over the environment, and
the environment over ``.env``.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sio_server.contract.errors import StartError
from sio_server.contract.origins import is_origin

PREFIX = "SIO_"
ENV_FILE = ".env"
LOCAL_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")
"""Origins that are also allowed if ``SIO_OPEN_PUBLISH`` is ``loopback``."""

SERVER_SCHEMES = ("redis", "rediss", "valkey", "valkeys")
SENTINEL_SCHEMES = tuple(f"{scheme}+sentinel" for scheme in SERVER_SCHEMES)
VALKEY_SCHEMES = (*SERVER_SCHEMES, *SENTINEL_SCHEMES, "unix")

SECRET_FIELDS = ("producer_keys", "jwt_secret", "admin_password")
"""Settings that are not options of the command line: every user of a machine sees those."""

FILE_FIELDS = (*SECRET_FIELDS, "jwt_public_key", "event_log")
"""Settings that a file may hold, which a setting with ``_FILE`` names."""

CLIENT_VARIABLES = ("SIO_URL", "SIO_CREDENTIAL", "SIO_CREDENTIAL_FILE")
"""Variables that are no settings of a server. The commands that talk to a server read them."""

GROUPS = {
    "host": "Addresses",
    "event_log": "Event log",
    "producer_keys": "Keys and tokens",
    "open_publish": "Access",
    "tls_cert": "TLS",
    "ping_interval": "Times",
    "max_message_bytes": "Limits",
    "tracing": "Tracing",
    "log_format": "Log lines",
}
"""The groups of settings in ``--help``: the first field of each group, and the group's title."""

BCRYPT_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")

Words = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class Settings(BaseSettings):
    """All settings, checked."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
    )

    host: Words = Field(
        "0.0.0.0",  # noqa: S104
        validate_default=True,
        min_length=1,
        description="comma-separated addresses to listen on, such as 0.0.0.0,:: for IPv4 and IPv6",
    )
    port: int = Field(8765, ge=0, le=65535, description="port to listen on; 0: any free port")
    ops_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of /metrics, /healthz, /readyz and the Admin UI alone; without it, they "
        "are on the server's port",
    )
    event_log: str = Field(
        "sqlite:///var/events.db",
        repr=False,  # it may hold a password
        description="URL of the event log: memory://, sqlite:///relative/path, "
        "sqlite:////absolute/path, or Valkey or Redis: redis://, rediss:// (TLS), valkey:// with "
        "user:password@host:port/database, redis+sentinel:// with "
        "user:password@sentinel:port,sentinel:port/service/database, or unix:///path",
    )
    event_log_file: Path | None = Field(None, description="file with SIO_EVENT_LOG")
    retention_seconds: float = Field(
        86_400, gt=0, allow_inf_nan=False, description="seconds that an event is kept"
    )
    retention_events: int = Field(100_000, ge=1, description="number of events that are kept")
    max_pieces: int = Field(
        1_000_000,
        ge=1,
        description="pieces whose last state is known, so that a move is told to the former rooms; "
        "beyond it the longest unchanged are forgotten",
    )
    producer_keys: Secrets = Field(
        (),
        description="comma-separated keys that may publish, and consume everything, each with at "
        "least 16 characters, and with a name before it: django:KEY",
    )
    producer_keys_file: Path | None = Field(
        None, description="file with SIO_PRODUCER_KEYS, separated by commas or lines"
    )
    jwt_secret: Secrets = Field(
        (), description="comma-separated secrets of tokens (HS256), each with at least 32 bytes"
    )
    jwt_secret_file: Path | None = Field(
        None, description="file with SIO_JWT_SECRET, separated by commas or lines"
    )
    jwt_public_key: str | None = Field(
        None, description="public key of tokens, in PEM: RS256, ES256 or EdDSA"
    )
    jwt_public_key_file: Path | None = Field(None, description="file with SIO_JWT_PUBLIC_KEY")
    jwt_jwks: Path | None = Field(
        None, description="file of public keys of tokens (JSON Web Key Set); read again on SIGHUP"
    )
    jwt_audience: str | None = Field(None, description="audience (aud) that a token must name")
    jwt_issuer: str | None = Field(None, description="issuer (iss) that a token must have")
    max_token_seconds: float = Field(
        86_400,
        gt=0,
        allow_inf_nan=False,
        description="how far away the end of a token (exp) may be, in seconds",
    )
    admin_username: str | None = Field(
        None, min_length=1, description="name of the administrator, for the Socket.IO Admin UI"
    )
    admin_password: SecretStr | None = Field(
        None, description="bcrypt hash of the administrator's password"
    )
    admin_password_file: Path | None = Field(None, description="file with SIO_ADMIN_PASSWORD")
    open_publish: Literal["off", "loopback", "anyone"] = Field(
        "off", description="who may publish without a credential: off, loopback or anyone"
    )
    require_auth: bool = Field(False, description="consuming needs a credential")
    cors_origins: Words = Field(
        (),
        description="comma-separated origins of pages that may connect, besides the same origin, "
        "such as https://example.com or http://localhost:*; * allows every origin, without its "
        "user's credentials",
    )
    trusted_proxies: Words = Field(
        (),
        description="comma-separated addresses or networks of proxies whose X-Forwarded-* and "
        "Forwarded headers count",
    )
    tls_cert: Path | None = Field(
        None, description="file of a certificate and its chain, in PEM; read again on SIGHUP"
    )
    tls_key: Path | None = Field(
        None, description="file of the certificate's private key, in PEM; read again on SIGHUP"
    )
    ping_interval: float = Field(
        25, gt=0, allow_inf_nan=False, description="seconds between heartbeats"
    )
    ping_timeout: float = Field(
        20,
        gt=0,
        allow_inf_nan=False,
        description="seconds within which a client answers a heartbeat",
    )
    connect_timeout: float = Field(
        10,
        gt=0,
        allow_inf_nan=False,
        description="seconds to complete HTTP headers, a body, a Socket.IO CONNECT or an upgrade",
    )
    keepalive_seconds: float = Field(
        75,
        gt=0,
        allow_inf_nan=False,
        description="seconds that an idle HTTP connection is kept; longer than a load balancer's",
    )
    slow_seconds: float = Field(
        30,
        gt=0,
        allow_inf_nan=False,
        description="seconds without progress after which a slow consumer is closed, or an HTTP "
        "response aborted",
    )
    drain_seconds: float = Field(
        10,
        ge=0,
        allow_inf_nan=False,
        description="seconds over which a stopping server closes its consumers",
    )
    max_message_bytes: int = Field(65_536, ge=1024, description="bytes of one message")
    max_batch_bytes: int = Field(
        1_048_576, ge=1024, description="bytes of a batch or of a polling body"
    )
    max_json_depth: int = Field(64, ge=4, le=200, description="levels of nesting in JSON")
    max_attachments: int = Field(10, ge=0, le=100, description="binary attachments of one packet")
    max_rooms: int = Field(100, ge=1, description="rooms of one connection")
    max_connections: int = Field(20_000, ge=1, description="connections at once")
    max_connections_per_address: int = Field(
        1000, ge=0, description="connections at once from one address; 0: no bound"
    )
    max_sessions: int = Field(
        200_000, ge=1, description="sessions that are kept for consumers that have left"
    )
    max_session_bytes: int = Field(
        268_435_456,
        ge=1024,
        description="bytes of these sessions; the sessions of connected consumers may have as many "
        "again",
    )
    max_buffer_bytes: int = Field(
        262_144, ge=4096, description="bytes of unsent data in memory for one consumer"
    )
    connect_rate: int = Field(
        600,
        ge=0,
        description="new consumers a minute from one address, after a first burst of "
        "SIO_MAX_CONNECTIONS_PER_ADDRESS (1000 where that is 0); 0: no bound",
    )
    max_incoming_bytes: int = Field(
        67_108_864,
        ge=1024,
        description="bytes of unfinished requests and messages of all connections together",
    )
    rate_limit: int = Field(
        100,
        ge=1,
        description="commands a minute of one connection, or of one address over HTTP; successful "
        "publishes are not counted",
    )
    tracing: bool = Field(
        False,
        description="send traces of publishes and deliveries with OpenTelemetry, as the standard "
        "variables OTEL_* say; needs the extra tracing",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="format of the log lines: console or json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level that is logged: debug, info, warning or error"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for field in FILE_FIELDS:
            path, name = values.get(f"{field}_file"), PREFIX + field.upper()
            if not path:
                continue
            if field in values:
                raise ValueError(f"{name} and {name}_FILE are both set")
            try:
                values[field] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise ValueError(f"{name}_FILE: can't read {path}: {reason}") from None
        return values

    @field_validator(
        "host", "producer_keys", "jwt_secret", "cors_origins", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            words = re.split("[,\n]", value)
            return tuple(word.strip() for word in words if word.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not is_origin(origin):
                raise ValueError(f"{origin!r} is not an origin such as https://example.com")
        return origins

    @field_validator("tracing")
    @classmethod
    def _check_tracing(cls, tracing: bool) -> bool:
        try:
            found = not tracing or find_spec("opentelemetry.exporter.otlp.proto.http") is not None
        except ModuleNotFoundError:  # of a package above it
            found = False
        if not found:
            raise ValueError("needs more packages: pip install 'furniture-events-server[tracing]'")
        return tracing

    @field_validator("admin_password")
    @classmethod
    def _check_hash(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and not BCRYPT_HASH.fullmatch(password.get_secret_value()):
            raise ValueError("must be a bcrypt hash, such as htpasswd -nB writes after the colon")
        return password

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            if ipaddress.ip_network(network, strict=False).prefixlen == 0:
                raise ValueError(f"{network} would let every client choose its own address")
        return networks

    @field_validator("event_log")
    @classmethod
    def _check_event_log(cls, url: str) -> str:
        if url == "memory://" or (url.startswith("sqlite:///") and url != "sqlite:///"):
            return url
        scheme, separator, _ = url.partition("://")
        if separator and scheme in VALKEY_SCHEMES:
            _check_valkey(url)
            return url
        raise ValueError("must be memory://, sqlite:///path or redis://host")

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        if self.require_auth and not (self.producer_keys or self.has_tokens):
            raise ValueError(
                "SIO_REQUIRE_AUTH without SIO_PRODUCER_KEYS or SIO_JWT_* would let nobody in"
            )
        if (self.admin_username is None) is not (self.admin_password is None):
            raise ValueError("SIO_ADMIN_USERNAME and SIO_ADMIN_PASSWORD go together")
        if (self.tls_cert is None) is not (self.tls_key is None):
            raise ValueError("SIO_TLS_CERT and SIO_TLS_KEY go together")
        return self

    @property
    def has_tokens(self) -> bool:
        """Whether the server accepts tokens."""
        return bool(self.jwt_secret or self.jwt_public_key or self.jwt_jwks)

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins of pages that may connect, besides the same origin."""
        local = LOCAL_ORIGINS if self.open_publish == "loopback" else ()
        return (*self.cors_origins, *local)

    @property
    def sqlite_path(self) -> Path | None:
        """The path of the SQLite log; None for other logs."""
        scheme, _, path = self.event_log.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    @property
    def valkey_url(self) -> str | None:
        """The URL of the Valkey log, with its password; None for other logs."""
        return self.event_log if self.event_log.partition(":")[0] in VALKEY_SCHEMES else None

    def own_url(self, port: int) -> str:
        """Return the URL of the server for programs on this machine.

        Args:
            port: the port that the server has; the setting may be 0.
        """
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host[0], self.host[0])  # noqa: S104
        scheme = "http" if self.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def event_log_shown(self) -> str:
        """The URL of the log, without its password."""
        if self.valkey_url is None:
            return self.event_log
        parts = split_places(self.event_log)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def split_places(url: str) -> SplitResult:
    """Split the URL of a Valkey log, whose network location may be a list of hosts.

    ``urlsplit`` of Python 3.14, and of older ones with its security fixes, refuses such a list if
    one of the hosts is an IPv6 address.

    Raises:
        ValueError: it is not an URL.
    """
    scheme, _, rest = url.partition("://")
    places = re.split("[/?#]", rest, maxsplit=1)[0]
    return urlsplit(f"{scheme}://{rest.removeprefix(places)}")._replace(netloc=places)


def _check_valkey(url: str) -> None:
    """Check the form of a Valkey URL. The error must not show the URL: it may hold a password.

    Raises:
        ValueError: the form is wrong.
    """
    try:
        parts = split_places(url)
        places = parts.netloc.rpartition("@")[2]
        sentinels = parts.scheme in SENTINEL_SCHEMES
        servers = [urlsplit(f"//{it}") for it in (places.split(",") if sentinels else [places])]
        complete = all(it.hostname and it.port != 0 for it in servers)
    except ValueError:
        raise ValueError("the URL's host or port is not valid") from None
    if "#" in url:  # the rest of a password would be lost
        raise ValueError("write a # in the URL as %23")
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError("must be unix:///path with the path of a socket")
    elif sentinels:
        if not (complete and re.fullmatch(r"/[^/]+(/\d+)?", parts.path)):
            raise ValueError(
                "must name the sentinels and the service that they watch, as "
                "redis+sentinel://host:26379,host:26379/mymaster/0 does"
            )
    elif not complete:
        raise ValueError("must name a host, as redis://host:6379/0 does")
    elif not re.fullmatch(r"/?|/\d+", parts.path):
        raise ValueError("the URL's path must be the number of a database, or nothing")


def load(given: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings.

    Args:
        given: settings by their field's name, such as ``ping_interval``, which win over all others.

    Raises:
        StartError: a value is bad, or a name ``SIO_*`` is not a setting. The message names it.
    """
    for name in _environment():
        is_setting = name.isupper() and name.removeprefix(PREFIX).lower() in Settings.model_fields
        if name.startswith(PREFIX) and not is_setting and name not in CLIENT_VARIABLES:
            raise StartError(f"{name} is not a setting; --help lists them all")
    try:
        return Settings(**(given or {}))
    except ValidationError as error:
        raise StartError("; ".join(map(_describe, error.errors()))) from None


def shows_a_secret(field: str, value: str) -> bool:
    """Tell whether a command line with this value shows a secret to every user of the machine."""
    if field == "event_log":
        return bool(re.search("://[^/?#]*:[^/?#]*@|password=", value))
    return field in SECRET_FIELDS


def client_variables() -> dict[str, str]:
    """Return the variables of ``CLIENT_VARIABLES`` that are set."""
    found = _environment()
    return {name: found[name] for name in CLIENT_VARIABLES if found.get(name)}


def _environment() -> dict[str, str]:
    in_file = {name: value or "" for name, value in dotenv_values(ENV_FILE).items()}
    return {**in_file, **os.environ}


def _describe(fault: Any) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return str(message)
    field = str(fault["loc"][0])
    secret = field in SECRET_FIELDS or field == "event_log"  # its URL may hold a password
    shown = "" if secret else f" (it is {str(fault['input'])[:80]!r})"
    return f"{PREFIX}{field.upper()}: {message}{shown}"
