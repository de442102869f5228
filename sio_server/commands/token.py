"""``token``: a token for a consumer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from sio_server import settings
from sio_server.contract.errors import StartError
from sio_server.settings import Settings

SCOPES = ("publish", "subscribe")
DEFAULT_SECONDS = 3_600.0


@click.command()
@click.argument("sub")
@click.option(
    "--seconds",
    metavar="SECONDS",
    type=float,
    default=DEFAULT_SECONDS,
    help="How long it is valid; at most SIO_MAX_TOKEN_SECONDS. [default: 3600, which is 1 hour]",
)
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="ROOM",
    help="A room that it may see, such as material:roble, or material:* for all materials; may be "
    "repeated. [default: every room]",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=("subscribe",),
    help="A right that it has; may be repeated. [default: subscribe]",
)
@click.option(
    "--private-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A private key in PEM that signs it. [default: the first SIO_JWT_SECRET signs it]",
)
@click.option("--kid", metavar="TEXT", help="The key's name in SIO_JWT_JWKS.")
@click.pass_obj
def token(
    given: dict[str, Any],
    /,
    sub: str,
    seconds: float,
    rooms: tuple[str, ...],
    scopes: tuple[str, ...],
    private_key: Path | None,
    kid: str | None,
) -> None:
    """Issue a token for the consumer SUB, such as the id of a user.

    SIO_JWT_ISSUER and SIO_JWT_AUDIENCE become its iss and aud.
    """
    import jwt

    from sio_server.contract.errors import UnknownRoom
    from sio_server.contract.rooms import RoomFilter

    loaded = settings.load(given)
    if not 0 < seconds <= loaded.max_token_seconds:
        most = f"{loaded.max_token_seconds:g} (SIO_MAX_TOKEN_SECONDS)"
        raise click.UsageError(f"--seconds is more than 0, and at most {most}")
    if not sub:
        raise click.UsageError("SUB has at least one character")
    try:
        RoomFilter.parse(rooms)
    except UnknownRoom as error:
        raise click.UsageError(
            f"--room: {error.message}, with * for every room of a kind"
        ) from None
    key, algorithm = _signing_key(loaded, private_key)
    now = time.time_ns() // 1_000_000 / 1000
    claims = {
        "sub": sub,
        "iss": loaded.jwt_issuer,
        "aud": loaded.jwt_audience,
        "iat": now,
        "exp": now + seconds,
        "scope": " ".join(scopes),
        "rooms": list(rooms) or None,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    click.echo(jwt.encode(present, key, algorithm, None if kid is None else {"kid": kid}))


def _signing_key(loaded: Settings, path: Path | None) -> tuple[Any, str]:
    """Return the key that signs a token, and its algorithm."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from sio_server.access import credentials
    from sio_server.access.signing_keys import BadKey, algorithm_of

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
