"""The commands beside the server: ``key``, ``token`` and ``check-token``, and the version."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sio_server import __version__, settings
from sio_server.access import credentials
from sio_server.access.signing_keys import BadKey, algorithm_of
from sio_server.access.tokens import Token
from sio_server.contract.errors import StartError, Unauthorized, UnknownRoom
from sio_server.contract.events import format_timestamp
from sio_server.contract.rooms import RoomFilter
from sio_server.settings import Settings

KEY_BYTES = 32
SCOPES = ("publish", "subscribe")
DEFAULT_SECONDS = 3_600.0


def is_command(arguments: Sequence[str]) -> bool:
    """Tell whether a command line, without the program's name, is one of these commands."""
    return bool(arguments) and arguments[0] in _COMMANDS


def run(arguments: Sequence[str]) -> int:
    """Run a command. Return the exit status.

    Raises:
        StartError: a setting is bad. The message names it.
        SystemExit: for ``--help``, or a bad argument.
    """
    name, *rest = arguments
    return _COMMANDS[name](rest)


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"{settings.PROGRAM} {name}", description=description)


def _key(arguments: Sequence[str]) -> int:
    parser = _parser("key", "Make a producer key for SIO_PRODUCER_KEYS.")
    parser.add_argument("name", nargs="?", help="a name for it, such as django")
    name = parser.parse_args(arguments).name
    if name is not None and (not name or set(name) & set(":, \n")):
        parser.error("a name has no colon, no comma and no space")
    key = secrets.token_urlsafe(KEY_BYTES)
    print(key if name is None else f"{name}:{key}")
    return 0


def _token(arguments: Sequence[str]) -> int:
    parser = _parser(
        "token",
        "Issue a token for a consumer. It is signed with the first SIO_JWT_SECRET, or with a "
        "private key. SIO_JWT_ISSUER and SIO_JWT_AUDIENCE become its iss and aud.",
    )
    parser.add_argument("sub", help="who the consumer is, such as the id of a user")
    parser.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        help="how long it is valid (default: %(default)g; at most SIO_MAX_TOKEN_SECONDS)",
    )
    parser.add_argument(
        "--room",
        action="append",
        metavar="ROOM",
        help="a room that it may see, such as material:roble, or material:* for all materials; "
        "may be repeated (default: every room)",
    )
    parser.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="what it may do; may be repeated (default: subscribe)",
    )
    parser.add_argument(
        "--private-key", type=Path, metavar="FILE", help="a private key in PEM that signs it"
    )
    parser.add_argument("--kid", help="the key's name in SIO_JWT_JWKS")
    given = parser.parse_args(arguments)
    loaded = settings.load([])
    if not 0 < given.seconds <= loaded.max_token_seconds:
        parser.error(f"--seconds is at most {loaded.max_token_seconds:g} (SIO_MAX_TOKEN_SECONDS)")
    if not given.sub:
        parser.error("sub has at least one character")
    try:
        RoomFilter.parse(given.room or ())
    except UnknownRoom as error:
        parser.error(f"--room: {error.message}, with * for every room of a kind")
    key, algorithm = _signing_key(loaded, given.private_key)
    now = time.time_ns() // 1_000_000 / 1000
    claims = {
        "sub": given.sub,
        "iss": loaded.jwt_issuer,
        "aud": loaded.jwt_audience,
        "iat": now,
        "exp": now + given.seconds,
        "scope": " ".join(given.scope or ["subscribe"]),
        "rooms": given.room,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    headers = None if given.kid is None else {"kid": given.kid}
    print(jwt.encode(present, key, algorithm, headers))
    return 0


def _signing_key(loaded: Settings, path: Path | None) -> tuple[Any, str]:
    """Return the key that signs a token, and its algorithm."""
    if path is None:
        if not loaded.jwt_secret:
            raise StartError("set SIO_JWT_SECRET or SIO_JWT_SECRET_FILE, or name a --private-key")
        credentials.signing_keys(loaded)  # it refuses the secrets that the server would refuse
        return loaded.jwt_secret[0].get_secret_value(), "HS256"
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise StartError(f"--private-key: can't read {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise StartError(
            f"--private-key: {path} is not a private key in PEM without a password"
        ) from None
    try:
        return key, algorithm_of(key.public_key())
    except BadKey as error:
        raise StartError(f"--private-key: {path}: {error}") from None


def _check_token(arguments: Sequence[str]) -> int:
    parser = _parser(
        "check-token",
        "Read a credential from the standard input, and say what the server would do with it. The "
        "exit status is 1 if the server would refuse it.",
    )
    parser.parse_args(arguments)
    loaded = settings.load([])
    is_terminal = sys.stdin.isatty()
    credential = (getpass.getpass("token: ") if is_terminal else sys.stdin.read()).strip()
    name = credentials.producer_keys(loaded).name_of(credential)
    if name is not None:
        print(f"accepted: it is the producer key {name!r}. It may publish, and consume everything.")
        return 0
    verifier = credentials.tokens(loaded)
    if verifier is None:
        print("refused: it is no producer key, and no SIO_JWT_* setting has keys for tokens")
        return 1
    try:
        token = verifier.verify(credential)
    except Unauthorized as error:
        print(f"refused: {error.message}")
        return 1
    print(_describe(token))
    return 0


def _describe(token: Token) -> str:
    allowed = [word for word in SCOPES if getattr(token, _RIGHTS[word])]
    named = sorted((*token.rooms.rooms, *token.rooms.patterns))
    rooms = "every room" if token.rooms.everything else ", ".join(named) or "none"
    left = token.expires - time.time()
    issued = "unknown" if token.issued is None else format_timestamp(int(token.issued * 1000))
    return "\n".join(
        (
            f"accepted: it is a token, of {token.identity} in the log",
            f"scope:    {' '.join(allowed) or 'none'}",
            f"rooms:    {rooms}",
            f"issued:   {issued}",
            f"expires:  {format_timestamp(int(token.expires * 1000))}, in {left:.0f} seconds",
            "Whether it was revoked, only the running server knows.",
        )
    )


def _version(arguments: Sequence[str]) -> int:
    print(f"{settings.COMMAND} {__version__}")
    return 0


_RIGHTS = {"publish": "may_publish", "subscribe": "may_consume"}

_COMMANDS = {
    "key": _key,
    "token": _token,
    "check-token": _check_token,
    "--version": _version,
}
