"""``check``: each thing that is wrong is named, and each door says to whom it is open."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sio_server.commands.program import program
from tests.support.certificates import write_certificate
from tests.support.server import Server
from tests.support.valkey import Valkey

KEY = "the-key-of-the-catalogue"

Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return a function that checks settings, given in lower case without their prefix."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("SIO_"):
            monkeypatch.delenv(name)

    def check(*arguments: str, **settings: object) -> Result:
        good = {"host": "127.0.0.1", "port": 0, "producer_keys": f"django:{KEY}"}
        chosen = {**good, "max_connections": 10, **settings}
        environment = {f"SIO_{name.upper()}": str(value) for name, value in chosen.items()}
        return CliRunner().invoke(program, ["check", *arguments], env=environment)

    return check


def said(result: Result) -> str:
    """Return the output with each finding on one line."""
    return re.sub(r"\n {3,}", " ", result.stdout)


def test_a_good_configuration_passes_and_nothing_is_changed(check: Check, tmp_path: Path) -> None:
    """The log's folder is not created."""
    result = check("--strict")
    assert result.exit_code == 0, result.output
    assert "no errors, no warnings" in result.stdout
    assert "✗" not in result.stdout
    assert list(tmp_path.iterdir()) == []
    assert KEY not in result.output


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"port": "x"}, "✗ settings SIO_PORT: "),
        ({"prot": "1"}, "✗ settings SIO_PROT is not a setting"),
        ({"producer_keys": "short"}, "✗ producer keys SIO_PRODUCER_KEYS: each key has at least 16"),
        ({"jwt_secret": "short"}, "✗ token keys SIO_JWT_SECRET: each secret has at least 32"),
        ({"jwt_jwks": "no.json"}, "✗ token keys SIO_JWT_JWKS: "),
        ({"tls_cert": "no.pem", "tls_key": "no.pem"}, "✗ TLS SIO_TLS_CERT: can't read no.pem"),
        ({"event_log": "sqlite:///file/events.db"}, "✗ event log "),
        ({"event_log": "sqlite:///file"}, "file is not an SQLite database"),
        ({"event_log": "redis://127.0.0.1:1"}, "✗ event log redis://127.0.0.1:1: "),
        ({"port": 1, "ops_port": 1}, "✗ port SIO_PORT and SIO_OPS_PORT are the same"),
        ({"host": "192.0.2.1"}, "✗ port 192.0.2.1, port 0: Cannot assign requested address"),
    ],
)
def test_an_error_is_named_and_the_status_is_one(
    check: Check, tmp_path: Path, settings: dict[str, str], text: str
) -> None:
    """With such settings the server does not start, or does not work."""
    (tmp_path / "file").write_text("a shopping list")
    result = check(**settings)
    assert result.exit_code == 1
    assert text in re.sub(" +", " ", said(result))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"producer_keys": ""}, "nobody may publish"),
        ({"open_publish": "anyone"}, "everyone may publish"),
        ({"open_publish": "loopback"}, "this machine may publish"),
        ({"cors_origins": "*"}, "pages of every site may connect"),
        ({"host": "0.0.0.0"}, "keys and tokens travel unencrypted"),
        ({"event_log": "memory://"}, "a restart loses all events"),
        ({"max_connections": 10**9}, "SIO_MAX_CONNECTIONS is 1,000,000,000"),
    ],
)
def test_a_warning_counts_only_if_the_check_is_strict(
    check: Check, settings: dict[str, object], text: str
) -> None:
    """The server works, and its operator should know."""
    result = check(**settings)
    assert result.exit_code == 0
    assert text in said(result)
    assert "no errors, 1 warning\n" in result.stdout
    assert check("--strict", **settings).exit_code == 1


def test_a_port_in_use_is_an_error_unless_a_server_of_this_kind_has_it(
    check: Check, tmp_path: Path
) -> None:
    """A running server must not fail its own check."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.listen()
        result = check(ops_port=other.getsockname()[1])
    assert result.exit_code == 1
    expected = "Address already in use; end the other program, or change SIO_OPS_PORT"
    assert expected in said(result)
    server = Server(tmp_path)
    result = check(port=server.port)
    assert result.exit_code == 0
    assert "a server of this kind runs here" in said(result)
    assert server.stop() == 0


def test_the_clock_of_the_log_is_compared_with_the_clock(check: Check, tmp_path: Path) -> None:
    """A file from the future shows that the clock was set back."""
    file = tmp_path / "events.db"
    file.touch()
    os.utime(file, (time.time() + 60,) * 2)
    assert "it was set back" in said(check(event_log="sqlite:///events.db"))


def test_valkey_must_keep_its_events(check: Check, valkey: Valkey) -> None:
    """The Valkey of the tests writes no file."""
    result = check(event_log=valkey.url)
    assert result.exit_code == 0
    assert "a crash of Valkey loses events" in said(result)


@pytest.mark.parametrize(
    ("days", "status", "text"),
    [(-2, 1, "has expired"), (3.5, 0, "in 3 days; renew it"), (90, 0, "is valid until")],
)
def test_the_end_of_the_certificate_is_shown(
    check: Check, tmp_path: Path, days: float, status: int, text: str
) -> None:
    """A warning comes two weeks before."""
    files = write_certificate(tmp_path, "localhost", days=days)
    result = check(tls_cert=files.certificate, tls_key=files.key)
    assert result.exit_code == status, result.output
    assert text in said(result)


@pytest.mark.parametrize(
    ("settings", "doors"),
    [
        (
            {},
            {
                "publish": "producer keys (django)",
                "consume, read the log": "everyone",
                "connect from a browser": "pages of the server itself",
                "/metrics, /healthz, /readyz on port 0": "programs on this machine",
                "Admin UI": "nobody",
            },
        ),
        (
            {"require_auth": "true", "jwt_secret": "s" * 32, "open_publish": "loopback"},
            {
                "publish": "programs on this machine, producer keys (django), "
                "tokens with the scope publish",
                "consume, read the log": "producer keys (django), tokens",
                "connect from a browser": "pages of the server itself, http://localhost:*, "
                "http://127.0.0.1:*",
            },
        ),
        (
            {"producer_keys": "", "host": "0.0.0.0", "ops_port": 0, "cors_origins": "*"},
            {
                "publish": "nobody",
                "revoke tokens": "nobody",
                "connect from a browser": "pages of every site",
                "/metrics, /healthz, /readyz on port 0": "everyone who reaches it",
            },
        ),
    ],
)
def test_the_doors_say_to_whom_they_are_open(
    check: Check, settings: dict[str, object], doors: dict[str, str]
) -> None:
    """The table is the last part."""
    table = said(check(**settings)).split("Who may do what\n")[1]
    found = dict(re.split("  +", line.strip(), maxsplit=1) for line in table.splitlines()[:8])
    assert doors.items() <= found.items()
