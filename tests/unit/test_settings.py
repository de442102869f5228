"""Settings: defaults, the precedence of sources, and the message of a start that fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import ValidationError

from sio_server import settings
from sio_server.commands.settings_options import given_settings, settings_options
from sio_server.contract.errors import StartError
from sio_server.settings import GROUPS, SECRET_FIELDS, Settings

BCRYPT_HASH = "$2b$04$" + "a" * 53

DEFAULTS = {
    "host": ("0.0.0.0",),
    "port": 8765,
    "ops_port": None,
    "event_log": "sqlite:///var/events.db",
    "retention_seconds": 86_400,
    "retention_events": 100_000,
    "max_pieces": 1_000_000,
    "producer_keys": (),
    "jwt_secret": (),
    "jwt_public_key": None,
    "producer_keys_file": None,
    "jwt_secret_file": None,
    "jwt_public_key_file": None,
    "event_log_file": None,
    "admin_username": None,
    "admin_password": None,
    "admin_password_file": None,
    "jwt_jwks": None,
    "jwt_audience": None,
    "jwt_issuer": None,
    "max_token_seconds": 86_400,
    "open_publish": "off",
    "require_auth": False,
    "cors_origins": (),
    "trusted_proxies": (),
    "tls_cert": None,
    "tls_key": None,
    "ping_interval": 25,
    "ping_timeout": 20,
    "connect_timeout": 10,
    "keepalive_seconds": 75,
    "slow_seconds": 30,
    "drain_seconds": 10,
    "max_message_bytes": 65_536,
    "max_batch_bytes": 1_048_576,
    "max_json_depth": 64,
    "max_attachments": 10,
    "max_rooms": 100,
    "max_connections": 20_000,
    "max_connections_per_address": 1000,
    "max_sessions": 200_000,
    "max_session_bytes": 268_435_456,
    "max_buffer_bytes": 262_144,
    "connect_rate": 600,
    "max_incoming_bytes": 67_108_864,
    "rate_limit": 100,
    "tracing": False,
    "log_format": "console",
    "log_level": "info",
}


@click.command()
@settings_options
def command(**options: Any) -> Settings:
    """Read the settings as ``run`` does."""
    return settings.load(given_settings(options))


def load(arguments: list[str]) -> Settings:
    """Read the settings, with this command line."""
    try:
        loaded: Settings = command.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    return loaded


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.upper().startswith("SIO_"):
            monkeypatch.delenv(name)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Return the path of the ``.env`` file."""
    return tmp_path / ".env"


def keys(settings: Settings) -> list[str]:
    """Return the producer keys in the clear."""
    return [key.get_secret_value() for key in settings.producer_keys]


def test_the_defaults_are_those_of_the_contract() -> None:
    """Every setting is listed, and no other."""
    assert load([]).model_dump() == DEFAULTS


def test_settings_are_frozen() -> None:
    """A part that holds the settings can't change them for other parts."""
    with pytest.raises(ValidationError):
        load([]).port = 1


def test_the_command_line_wins_over_the_environment_over_the_file(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting is decided by itself."""
    env_file.write_text("SIO_PORT=1\nSIO_PING_INTERVAL=1\nSIO_PING_TIMEOUT=1\n")
    monkeypatch.setenv("SIO_PORT", "2")
    monkeypatch.setenv("SIO_PING_INTERVAL", "2")
    settings = load(["--port", "3"])
    assert (settings.port, settings.ping_interval, settings.ping_timeout) == (3, 2, 1)


@pytest.mark.parametrize("field", DEFAULTS)
def test_every_setting_is_an_option_and_a_variable(
    field: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three places use the same words."""
    values = {
        "host": "::1",
        "event_log": "memory://",
        "producer_keys": "a,b",
        "open_publish": "anyone",
        "require_auth": "true",
        "tracing": "true",
        "cors_origins": "https://a.example,http://localhost:*",
        "trusted_proxies": "10.0.0.1,2001:db8::/32",
        "log_format": "json",
        "log_level": "debug",
        "max_json_depth": "65",
        "max_attachments": "11",
        "admin_password": BCRYPT_HASH,
    }
    text = values.get(field, "4711")
    if field == "require_auth":
        monkeypatch.setenv("SIO_PRODUCER_KEYS", "k")
    if field == "admin_username":
        monkeypatch.setenv("SIO_ADMIN_PASSWORD", BCRYPT_HASH)
    if field in ("admin_password", "admin_password_file"):
        monkeypatch.setenv("SIO_ADMIN_USERNAME", "admin")
    if field in ("tls_cert", "tls_key"):
        other = {"tls_cert": "SIO_TLS_KEY", "tls_key": "SIO_TLS_CERT"}[field]
        monkeypatch.setenv(other, "key.pem")
    if field.endswith("_file"):
        contents = {"event_log_file": "memory://", "admin_password_file": BCRYPT_HASH}
        Path(text).write_text(contents.get(field, "4711"))
    option = f"--{field.replace('_', '-')}"
    env_file.write_text(f"SIO_{field.upper()}={text}\n")
    by_file = load([])
    env_file.unlink()
    if field not in SECRET_FIELDS:
        assert load([option] if text == "true" else [option, text]) == by_file
    monkeypatch.setenv(f"SIO_{field.upper()}", text)
    by_variable = load([])
    assert by_file == by_variable
    assert getattr(by_variable, field) != DEFAULTS[field]


@pytest.mark.parametrize(
    "name",
    ["SIO_PING_INTERVALL", "SIO_", "SIO_port", "SIO_Port", "SIO_SETTINGS", "SIO_MODEL_CONFIG"],
)
def test_an_unknown_name_stops_the_start_and_is_named(
    name: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for the environment and for ``.env``. The value is not shown."""
    env_file.write_text(f"{name}=hunter2\n")
    with pytest.raises(StartError) as in_file:
        load([])
    env_file.unlink()
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(StartError) as in_environment:
        load([])
    for caught in (in_file, in_environment):
        assert name in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_names_without_the_prefix_are_ignored(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs have variables too."""
    env_file.write_text("DATABASE_URL=x\nPORT=1\nASIO_PORT=1\n")
    monkeypatch.setenv("PORT", "2")
    monkeypatch.setenv("SIOUX_CITY", "3")
    assert load([]).port == 8765


def test_the_variables_of_clients_do_not_stop_the_start(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person may have them in the same environment, or in the same file. An empty one is none."""
    env_file.write_text("SIO_URL=http://a\nSIO_CREDENTIAL=b\nSIO_CREDENTIAL_FILE=\n")
    monkeypatch.setenv("SIO_URL", "http://c")
    assert load([]).model_dump() == DEFAULTS
    assert settings.client_variables() == {"SIO_URL": "http://c", "SIO_CREDENTIAL": "b"}


@pytest.mark.parametrize("option", ["--ping-intervall", "--ping", "--jwt-secrets", "--prot"])
def test_an_unknown_option_stops_the_start_and_is_named(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Abbreviations are unknown too, because a new setting would change their meaning."""
    with pytest.raises(SystemExit) as caught:
        load([option, "3"])
    assert caught.value.code == 2
    assert option in capsys.readouterr().err


def test_every_setting_is_in_a_group_of_the_help() -> None:
    """The first setting begins the first group, and each group begins with a setting."""
    assert next(iter(GROUPS)) == next(iter(DEFAULTS))
    assert GROUPS.keys() <= DEFAULTS.keys()


BAD_VALUES = [
    ("host", ""),
    *[("port", value) for value in ("", "x", "-1", "65536", "80.5", "0x50")],
    *[
        ("event_log", value)
        for value in (
            "",
            "events.db",
            "sqlite://events.db",
            "sqlite:///",
            "memory",
            "memory:///x",
            "postgres://h/db",
            "redis://",
            "redis:h",
            "redis:///0",
            "redis://:6379",
            "redis://user:hunter2@",
            "redis://h:port",
            "redis://h:65536",
            "redis://h:0",
            "redis://h/name",
            "redis://h/0/1",
            "redis://:hunter#2@h/0",
            "redis://[::1",
            "rediss:///",
            "valkey://:1",
            "redis+sentinel://h",
            "redis+sentinel://h/",
            "redis+sentinel://h/name/x",
            "redis+sentinel://h/name/0/1",
            "redis+sentinel://h,/name",
            "redis+sentinel://h:0,h/name",
            "redis+sentinel://h:x,h/name",
            "redis+sentinel:///name",
            "unix+sentinel://h/name",
            "unix://",
            "unix:///",
            "http://h",
        )
    ],
    *[
        (field, value)
        for field in ("retention_seconds", "ping_interval", "ping_timeout", "connect_timeout")
        for value in ("", "0", "-1", "nan", "inf", "10s")
    ],
    *[("slow_seconds", value) for value in ("0", "-1", "nan", "inf")],
    *[("drain_seconds", value) for value in ("-1", "nan", "inf", "x")],
    *[
        (field, value)
        for field in ("retention_events", "max_pieces")
        for value in ("0", "-1", "1.5", "x")
    ],
    ("open_publish", "on"),
    ("open_publish", "true"),
    ("open_publish", "Loopback"),
    *[("require_auth", value) for value in ("", "maybe", "2")],
    *[
        ("cors_origins", value)
        for value in (
            "example.com",
            "https://example.com/",
            "https://example.com/path",
            "https://*.example.com",
            "https://",
            "nul",
            "https://a.example https://b.example",
            "https://user@example.com",
            "https://example.com:port",
            "http://localhost:*,example.com",
        )
    ],
    *[
        ("trusted_proxies", value)
        for value in (
            "proxy",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.1,proxy",
            "*",
            "10.0.0.1:80",
            "0.0.0.0/0",
            "10.0.0.1,::/0",
        )
    ],
    *[("max_message_bytes", value) for value in ("0", "1023", "64k")],
    ("max_batch_bytes", "1023"),
    *[("max_json_depth", value) for value in ("0", "3", "201")],
    *[("max_attachments", value) for value in ("-1", "101")],
    ("max_rooms", "0"),
    ("max_connections", "0"),
    ("max_connections_per_address", "-1"),
    ("max_sessions", "0"),
    ("max_session_bytes", "1023"),
    ("max_buffer_bytes", "4095"),
    ("connect_rate", "-1"),
    ("max_incoming_bytes", "1023"),
    ("keepalive_seconds", "0"),
    ("rate_limit", "0"),
    ("log_format", "xml"),
    ("log_level", "trace"),
]


@pytest.mark.parametrize(("field", "value"), BAD_VALUES)
def test_a_bad_value_stops_the_start_and_its_setting_is_named(
    field: str, value: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is one line, the same for the environment and for ``.env``."""
    name = f"SIO_{field.upper()}"
    env_file.write_text(f"{name}='{value}'\n")
    with pytest.raises(StartError, match=f"^{name}: ") as in_file:
        load([])
    env_file.unlink()
    monkeypatch.setenv(name, value)
    with pytest.raises(StartError, match=f"^{name}: ") as in_environment:
        load([])
    assert str(in_file.value) == str(in_environment.value)
    assert str(in_file.value).isprintable()


@pytest.mark.parametrize(("field", "value"), BAD_VALUES)
def test_a_bad_value_on_the_command_line_stops_the_start(field: str, value: str) -> None:
    """The error is ours, or the command line parser's."""
    with pytest.raises((StartError, SystemExit)):
        load([f"--{field.replace('_', '-')}={value}"])


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One failed start shows all of them."""
    monkeypatch.setenv("SIO_PORT", "x")
    monkeypatch.setenv("SIO_LOG_LEVEL", "loud")
    with pytest.raises(StartError) as caught:
        load([])
    assert "SIO_PORT" in str(caught.value)
    assert "SIO_LOG_LEVEL" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 0),
        ("port", 65_535),
        ("max_connections_per_address", 0),
        ("max_sessions", 1),
        ("max_session_bytes", 1024),
        ("max_attachments", 0),
        ("drain_seconds", 0),
        ("max_json_depth", 4),
        ("max_json_depth", 200),
        ("ping_interval", 0.3),
        ("rate_limit", 1),
        ("connect_rate", 0),
        ("max_incoming_bytes", 1024),
        ("max_pieces", 1),
    ],
)
def test_the_bounds_themselves_are_valid(
    field: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only values beyond them are refused."""
    monkeypatch.setenv(f"SIO_{field.upper()}", str(value))
    assert getattr(load([]), field) == value


@pytest.mark.parametrize(
    "arguments",
    [
        ["--producer-keys", "hunter2"],
        ["--producer-keys=hunter2"],
        ["--port", "1", "--jwt-secret", "hunter2"],
        ["--event-log", "redis://:hunter2@localhost/0"],
        ["--event-log=redis://user:hunter2@localhost"],
        ["--event-log", "redis+sentinel://localhost/name?sentinel_password=hunter2"],
        ["--event-log", "rediss://localhost/0?ssl_password=hunter2"],
    ],
)
def test_a_secret_on_the_command_line_stops_the_start(arguments: list[str]) -> None:
    """Every user of the machine could read it. The message names two better places."""
    with pytest.raises(StartError, match=r"command line.* SIO_\w+ or SIO_\w+_FILE") as caught:
        load(arguments)
    assert "hunter2" not in str(caught.value)
    load(["--event-log", "redis://user@localhost/0"])


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("producer_keys", "one,\n two \n", ("one", "two")),
        ("jwt_secret", "one\n", ("one",)),
        ("jwt_public_key", "-----BEGIN\nKEY\n", "-----BEGIN\nKEY"),
        ("event_log", "redis://:hunter2@localhost\n", "redis://:hunter2@localhost"),
    ],
)
def test_a_file_may_hold_a_secret(
    field: str, text: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces around it do not count. Both forms at once stop the start, as does a missing file."""
    path, name = tmp_path / "secret", f"SIO_{field.upper()}"
    path.write_text(text)
    found = getattr(load([f"--{field.replace('_', '-')}-file", str(path)]), field)
    shown = tuple(it.get_secret_value() for it in found) if isinstance(found, tuple) else found
    assert shown == value
    monkeypatch.setenv(f"{name}_FILE", str(path))
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(StartError, match=f"{name} and {name}_FILE are both set") as caught:
        load([])
    assert "hunter2" not in str(caught.value)
    monkeypatch.delenv(name)
    path.unlink()
    with pytest.raises(StartError, match=f"{name}_FILE: can't read {path}: No such file"):
        load([])
    path.write_bytes(b"\xff")
    with pytest.raises(StartError, match="it is not text"):
        load([])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://cache.example", "redis://cache.example"),
        ("redis://cache.example:6380/3", "redis://cache.example:6380/3"),
        ("redis://:hunter2@cache.example:6379/0", "redis://cache.example:6379/0"),
        ("redis://user:hunter2%40x@cache.example", "redis://cache.example"),
        ("redis://user:hunter2@[::1]:6379/", "redis://[::1]:6379/"),
        ("rediss://user:hunter2@cache.example/0?ssl_password=hunter3", "rediss://cache.example/0"),
        ("valkey://user:hunter2@cache.example:6379/0", "valkey://cache.example:6379/0"),
        ("valkeys://:hunter2@cache.example", "valkeys://cache.example"),
        ("redis+sentinel://h/name", "redis+sentinel://h/name"),
        ("valkeys+sentinel://u:hunter2@h:1,[::1]/n/0", "valkeys+sentinel://h:1,[::1]/n/0"),
        ("redis+sentinel://h/n?sentinel_password=hunter2", "redis+sentinel://h/n"),
        ("unix:///run/valkey.sock?db=1&password=hunter2", "unix:///run/valkey.sock"),
        ("unix://user:hunter2@/run/valkey.sock", "unix:///run/valkey.sock"),
    ],
)
def test_the_log_may_be_in_valkey(url: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its URL may have a password, which no text of the settings shows."""
    monkeypatch.setenv("SIO_EVENT_LOG", url)
    settings = load([])
    assert settings.valkey_url == url
    assert settings.sqlite_path is None
    assert settings.event_log_shown == shown
    assert "hunter" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("url", ["memory://", "sqlite:///var/events.db", "sqlite:////redis://h"])
def test_other_logs_are_shown_unchanged(url: str) -> None:
    """Their URLs have no password."""
    settings = load(["--event-log", url])
    assert settings.event_log_shown == url
    assert settings.valkey_url is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@",
        "redis://user:hunter2@h:x",
        "redis://:hunter#2@h",
        "redis+sentinel://user:hunter2@h,h",
        "mysql://hunter2",
    ],
)
def test_a_bad_log_is_refused_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential never appears in an error."""
    monkeypatch.setenv("SIO_EVENT_LOG", url)
    with pytest.raises(StartError, match=r"^SIO_EVENT_LOG: ") as caught:
        load([])
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"SIO_PORT": "x"},
        {"SIO_REQUIRE_AUTH": "maybe"},
        {"SIO_PRODUCER_KEYS_FILE": "x"},
        {"SIO_X": ""},
    ],
)
def test_producer_keys_are_never_shown(
    broken: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an error about another setting nor the settings' own text shows them."""
    monkeypatch.setenv("SIO_PRODUCER_KEYS", "hunter2,hunter3")
    settings = load([])
    assert "hunter" not in f"{settings!r} {settings} {settings.model_dump()}"
    for name, value in broken.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StartError) as caught:
        load([])
    assert "hunter" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("field", ["producer_keys", "cors_origins", "trusted_proxies"])
@pytest.mark.parametrize(("text", "count"), [("", 0), (",", 0), ("{0}", 1), (" {0} , {0},", 2)])
def test_lists_are_separated_by_commas(
    field: str, text: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces around a word and empty words are ignored."""
    word = {"trusted_proxies": "10.0.0.1", "cors_origins": "https://a.example"}.get(field, "key")
    monkeypatch.setenv(f"SIO_{field.upper()}", text.format(word))
    settings = load([])
    found: Any = keys(settings) if field == "producer_keys" else list(getattr(settings, field))
    assert found == [word] * count


def test_a_key_is_not_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydantic-settings reads lists as JSON by default."""
    monkeypatch.setenv("SIO_PRODUCER_KEYS", '["a,{b}')
    assert keys(load([])) == ['["a', "{b}"]


@pytest.mark.parametrize("producer_keys", [None, "", " , "])
def test_requiring_a_credential_without_keys_stops_the_start(
    producer_keys: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the setting, whether an option or a variable set it."""
    if producer_keys is not None:
        monkeypatch.setenv("SIO_PRODUCER_KEYS", producer_keys)
    with pytest.raises(StartError, match="SIO_REQUIRE_AUTH"):
        load(["--require-auth"])
    monkeypatch.setenv("SIO_REQUIRE_AUTH", "true")
    with pytest.raises(StartError, match="SIO_REQUIRE_AUTH"):
        load([])
    monkeypatch.setenv("SIO_PRODUCER_KEYS", "key")
    assert load([]).require_auth


@pytest.mark.parametrize("open_publish", ["off", "loopback", "anyone"])
def test_local_pages_may_connect_while_publishing_is_open_to_loopback(open_publish: str) -> None:
    """They are added to the configured origins."""
    settings = load(["--open-publish", open_publish, "--cors-origins", "https://a.example"])
    local = {"http://localhost:*", "http://127.0.0.1:*"} if open_publish == "loopback" else set()
    assert set(settings.allowed_origins) == {"https://a.example"} | local


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://example.com",
        "https://example.com:8443",
        "http://localhost:*",
        "http://127.0.0.1:3000",
        "http://[::1]:*",
        "capacitor://localhost",
    ],
)
def test_an_origin_is_written_as_a_browser_sends_it(origin: str) -> None:
    """It has a port, any port, or no port."""
    assert load(["--cors-origins", origin]).cors_origins == (origin,)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("memory://", None),
        ("sqlite:///var/events.db", Path("var/events.db")),
        ("sqlite:////var/lib/events.db", Path("/var/lib/events.db")),
        ("sqlite:///a:///b", Path("a:///b")),
    ],
)
def test_the_log_is_in_memory_or_in_a_file(url: str, path: Path | None) -> None:
    """Three slashes start a relative path, and four an absolute one."""
    assert load(["--event-log", url]).sqlite_path == path
