"""The credentials that the settings name: producer keys, keys of tokens, and the certificate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sio_server.access.administrators import Administrator
from sio_server.access.keys import ProducerKeys
from sio_server.access.limits import Limits
from sio_server.access.signing_keys import BadKey, SigningKey, from_jwks, from_pem, from_secrets
from sio_server.access.tokens import Tokens
from sio_server.contract.errors import StartError
from sio_server.logs import get_logger
from sio_server.net.tls import BadCertificate, Certificate
from sio_server.settings import Settings

log = get_logger("sio_server")


def producer_keys(settings: Settings) -> ProducerKeys:
    """Return the producer keys.

    Raises:
        StartError: one of them is bad.
    """
    try:
        return ProducerKeys(key.get_secret_value() for key in settings.producer_keys)
    except ValueError as error:
        raise StartError(f"SIO_PRODUCER_KEYS: {error}") from None


def signing_keys(settings: Settings) -> list[SigningKey]:
    """Return the keys that sign tokens.

    Raises:
        StartError: one of them is bad.
    """
    sources: list[tuple[str, Callable[[], list[SigningKey]]]] = [
        (
            "JWT_SECRET",
            lambda: from_secrets([secret.get_secret_value() for secret in settings.jwt_secret]),
        )
    ]
    pem, path = settings.jwt_public_key, settings.jwt_jwks
    if pem:
        sources.append(("JWT_PUBLIC_KEY", lambda: [from_pem(pem)]))
    if path:
        sources.append(("JWT_JWKS", lambda: from_jwks(path)))
    found: list[SigningKey] = []
    for name, read in sources:
        try:
            found += read()
        except BadKey as error:
            raise StartError(f"SIO_{name}: {error}") from None
    return found


def tokens(settings: Settings) -> Tokens | None:
    """Return the verifier of tokens, if the server accepts any.

    Raises:
        StartError: a key is bad.
    """
    if not settings.has_tokens:
        return None
    return Tokens(
        partial(signing_keys, settings),
        settings.jwt_audience,
        settings.jwt_issuer,
        settings.max_token_seconds,
    )


def administrator(settings: Settings, limits: Limits) -> Administrator | None:
    """Return the administrator, if the settings name one."""
    if settings.admin_username is None or settings.admin_password is None:
        return None
    return Administrator(
        settings.admin_username, settings.admin_password.get_secret_value(), limits
    )


def certificate(settings: Settings) -> Certificate | None:
    """Return the certificate of TLS, if the settings name one.

    Raises:
        StartError: it cannot be used.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        return Certificate(settings.tls_cert, settings.tls_key)
    except BadCertificate as error:
        raise StartError(f"SIO_TLS_CERT: {error}") from None


def reload_certificate(certificate: Certificate) -> None:
    """Read the certificate again. If it is bad, log it; the old one stays."""
    try:
        certificate.reload()
    except BadCertificate as error:
        log.error("certificate_not_reloaded", reason=str(error))  # noqa: TRY400 - enough
    else:
        log.info("certificate_reloaded")


def reload_keys(tokens: Tokens) -> None:
    """Read the keys of tokens again. If one is bad, log it; the old keys stay."""
    try:
        tokens.reload()
    except StartError as error:
        log.error("keys_not_reloaded", reason=str(error))  # noqa: TRY400 - the reason is enough
    else:
        log.info("keys_reloaded")


def log_who_may_publish(settings: Settings) -> None:
    """Say in the log who may publish, and warn if everyone or nobody may."""
    who = [f"key:{name}" for name in producer_keys(settings).names]
    if settings.has_tokens:
        who.append("tokens with the scope publish")
    setting = f"SIO_OPEN_PUBLISH={settings.open_publish}"
    if settings.open_publish == "loopback":
        log.warning(
            "publishing_is_open",
            to="this machine",
            because=setting,
            beware="a proxy on this machine that adds no header opens it to everyone",
        )
    elif settings.open_publish == "anyone":
        log.warning("publishing_is_open", to="anyone", because=setting)
    elif not who:
        log.warning(
            "nobody_may_publish", remedy="set SIO_PRODUCER_KEYS, SIO_JWT_* or SIO_OPEN_PUBLISH"
        )
    if who:
        log.info("publishing_needs_a_credential", of=", ".join(who))
