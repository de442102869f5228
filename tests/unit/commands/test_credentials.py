"""The commands that make and check credentials."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sio_server.access.keys import ProducerKeys
from sio_server.commands.program import program
from sio_server.contract.errors import StartError
from tests.support.server import ROOT
from tests.support.tokens import OLD_SECRET, SECRET, pem, private_key, token

KEY = "the-key-of-the-catalogue"

Run = Any


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command with settings; it returns the status and the output.

    A StartError passes through, because the program's entry point handles it.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "", **settings: str) -> tuple[int, str]:
        environment = {f"SIO_{name.upper()}": value for name, value in settings.items()}
        result = CliRunner().invoke(program, arguments, stdin, environment)
        if isinstance(result.exception, StartError):
            raise result.exception
        return result.exit_code, result.output.strip()

    return run


@pytest.mark.parametrize("name", [(), ("django",)])
def test_a_key_is_new_and_fits_the_setting(run: Run, name: tuple[str, ...]) -> None:
    """It has 256 random bits."""
    made = {run("key", *name)[1] for _ in range(3)}
    assert len(made) == 3
    for entry in made:
        key = entry.removeprefix("django:")
        assert len(key) == 43
        assert ProducerKeys([entry]).name_of(key) == (name[0] if name else "default")


@pytest.mark.parametrize("name", ["", "a:b", "a,b", "a b"])
def test_a_name_of_a_key_fits_the_setting(run: Run, name: str) -> None:
    """A key with another name would be read as another key."""
    assert run("key", name)[0] == 2


def test_a_token_is_one_that_the_server_accepts(run: Run) -> None:
    """It is signed with the first secret, and has the names of the settings."""
    settings = {
        "jwt_secret": f"{SECRET},{OLD_SECRET}",
        "jwt_issuer": "me",
        "jwt_audience": "catalogue",
    }
    rooms = ("--room", "catalog", "--room", "material:*")
    status, made = run("token", "ana", *rooms, "--seconds", "60", **settings)
    assert status == 0
    claims = jwt.decode(made, SECRET, algorithms=["HS256"], audience="catalogue", issuer="me")
    assert claims["rooms"] == ["catalog", "material:*"]
    assert claims["exp"] == pytest.approx(claims["iat"] + 60)
    status, answer = run("check-token", stdin=f"{made}\n", **settings)
    assert status == 0
    lines = answer.splitlines()
    assert lines[0] == "accepted: it is a token, of token:ana@me in the log"
    assert lines[1:3] == ["scope:    subscribe", "rooms:    catalog, material:*"]
    assert lines[4].endswith(" seconds")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_private_key_signs_a_token(run: Run, tmp_path: Path, algorithm: str) -> None:
    """The algorithm follows from the key."""
    key = private_key(algorithm)
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    scopes = ("--scope", "publish", "--scope", "subscribe")
    _, made = run("token", "ana", "--private-key", str(path), "--kid", "first", *scopes)
    assert jwt.get_unverified_header(made)["kid"] == "first"
    status, answer = run("check-token", stdin=made, jwt_public_key=pem(key))
    assert status == 0
    assert "scope:    publish subscribe\nrooms:    every room" in answer


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", ""),
        ("token", "ana", "--seconds", "0"),
        ("token", "ana", "--seconds", "86401"),
        ("token", "ana", "--room", "wood:*"),
        ("token", "ana", "--scope", "read"),
    ],
)
def test_a_token_that_the_server_would_refuse_is_not_issued(
    run: Run, arguments: tuple[str, ...]
) -> None:
    """The message names the argument."""
    status, output = run(*arguments, jwt_secret=SECRET)
    assert status == 2
    assert "Error: " in output
    assert (arguments[2] if len(arguments) > 2 else "SUB") in output


@pytest.mark.parametrize("content", [None, b"", b"nonsense", pem(private_key("RS256")).encode()])
def test_a_token_needs_a_key(run: Run, tmp_path: Path, content: bytes | None) -> None:
    """The message names what is missing, or the file."""
    with pytest.raises(StartError, match="SIO_JWT_SECRET_FILE, or name a --private-key"):
        run("token", "ana")
    with pytest.raises(StartError, match="SIO_JWT_SECRET: each secret has at least 32 bytes"):
        run("token", "ana", jwt_secret="short")
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StartError, match=str(path)):
        run("token", "ana", "--private-key", str(path))


@pytest.mark.parametrize(
    ("credential", "settings", "reason"),
    [
        ("nonsense", {"jwt_secret": SECRET}, "the token is not a JSON Web Token"),
        (token(exp=5), {"jwt_secret": OLD_SECRET}, "no key of the server has signed the token"),
        (token(exp=5), {"jwt_secret": SECRET}, "the token has expired"),
        (token(), {}, "it is no producer key, and no SIO_JWT_* setting has keys for tokens"),
        ("", {"producer_keys": KEY}, "it is no producer key"),
    ],
)
def test_a_refusal_has_the_reason(
    run: Run, credential: str, settings: dict[str, str], reason: str
) -> None:
    """The exit status is 1."""
    status, answer = run("check-token", stdin=credential, **settings)
    assert status == 1
    assert answer.startswith(f"refused: {reason}")


def test_a_key_is_a_credential_too(run: Run) -> None:
    """The answer has its name, and not the key."""
    status, answer = run("check-token", stdin=KEY, producer_keys=f"django:{KEY}")
    assert status == 0
    assert "'django'" in answer
    assert KEY not in answer


def test_the_program_has_the_commands() -> None:
    """Beside the server, which is started without a command."""
    command = [sys.executable, "-m", "sio_server", "key", "django"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout.startswith("django:")
    assert made.stderr == ""


def test_a_key_that_the_server_does_not_take_issues_no_token(run: Run, tmp_path: Path) -> None:
    """For example, of another curve."""
    key = ec.generate_private_key(ec.SECP384R1())
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(StartError, match="RSA, P-256 or Ed25519"):
        run("token", "ana", "--private-key", str(path))
