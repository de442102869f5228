"""What is wrong with a configuration and its surroundings, and what is open to whom.

Nothing is changed: no file and no folder is created, and no port stays open.
"""

from __future__ import annotations

import asyncio
import errno
import json
import math
import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from cryptography import x509

from sio_server.access import credentials
from sio_server.commands.client import is_loopback
from sio_server.contract.errors import StartError
from sio_server.eventlog.valkey.address import ValkeyAddress
from sio_server.eventlog.valkey.connection import (
    ValkeyConnection,
    ValkeyError,
    check_server,
)
from sio_server.net import openfiles
from sio_server.net.listening import bind
from sio_server.settings import Settings

MIN_FREE_BYTES = 1_073_741_824
MIN_CERTIFICATE_DAYS = 14
MAX_CLOCK_SECONDS = 1.0
PROBE_SECONDS = 5
EARLIEST_YEAR = 2026
"""Of a clock that is set."""

SQLITE_HEADER = b"SQLite format 3\0"


class Finding(NamedTuple):
    """A thing that was checked.

    Attributes:
        level: ``error``: the server does not start, or does not work; ``warning``: it works, and an
            operator should know.
        subject: in a word or two.
        text: what is right, or what is wrong and what to do.
    """

    level: Literal["ok", "warning", "error"]
    subject: str
    text: str


def findings(settings: Settings) -> Iterator[Finding]:
    """Check everything. The order is that of a start."""
    yield from _credentials(settings)
    yield from _certificate(settings)
    yield from _access(settings)
    yield from _ports(settings)
    yield from _event_log(settings)
    yield from _open_files(settings)
    yield from _clock(settings)


def _credentials(settings: Settings) -> Iterator[Finding]:
    parts: dict[str, tuple[bool, Callable[[Settings], Any]]] = {
        "producer keys": (bool(settings.producer_keys), credentials.producer_keys),
        "token keys": (settings.has_tokens, credentials.signing_keys),
    }
    for subject, (is_set, read) in parts.items():
        try:
            found = read(settings)
        except StartError as error:
            yield Finding("error", subject, str(error))
        else:
            if is_set:
                yield Finding("ok", subject, f"{len(found)}, long enough")


def _certificate(settings: Settings) -> Iterator[Finding]:
    if settings.tls_cert is None:
        return
    try:
        credentials.certificate(settings)
    except StartError as error:
        yield Finding("error", "TLS", str(error))
        return
    certificate = x509.load_pem_x509_certificate(settings.tls_cert.read_bytes())
    end = certificate.not_valid_after_utc
    days = (end - datetime.now(UTC)).days
    text = f"the certificate is valid until {end:%Y-%m-%d}"
    if days < 0:
        yield Finding("error", "TLS", f"the certificate has expired on {end:%Y-%m-%d}; renew it")
    elif days < MIN_CERTIFICATE_DAYS:
        yield Finding("warning", "TLS", f"{text}, in {days} days; renew it")
    else:
        yield Finding("ok", "TLS", text)


def _access(settings: Settings) -> Iterator[Finding]:
    has_credentials = bool(settings.producer_keys or settings.has_tokens)
    if settings.open_publish == "anyone":
        yield Finding(
            "warning",
            "publishing",
            "everyone may publish; set SIO_OPEN_PUBLISH=off and SIO_PRODUCER_KEYS",
        )
    elif settings.open_publish == "loopback":
        yield Finding(
            "warning",
            "publishing",
            "this machine may publish without a credential, and so may everyone behind a proxy on "
            "it that adds no header; set SIO_OPEN_PUBLISH=off",
        )
    elif not has_credentials:
        yield Finding(
            "warning", "publishing", "nobody may publish; set SIO_PRODUCER_KEYS or SIO_JWT_…"
        )
    if "*" in settings.cors_origins:
        yield Finding(
            "warning", "origins", "pages of every site may connect; name yours in SIO_CORS_ORIGINS"
        )
    is_plain = settings.tls_cert is None and not settings.trusted_proxies
    if has_credentials and is_plain and not all(map(is_loopback, settings.host)):
        yield Finding(
            "warning",
            "TLS",
            "keys and tokens travel unencrypted; set SIO_TLS_CERT and SIO_TLS_KEY, or put a proxy "
            "with TLS in front and name it in SIO_TRUSTED_PROXIES",
        )


def _ports(settings: Settings) -> Iterator[Finding]:
    if settings.port and settings.port == settings.ops_port:
        yield Finding("error", "port", "SIO_PORT and SIO_OPS_PORT are the same")
        return
    ports = {
        "port": ("SIO_PORT", settings.port),
        "operators' port": ("SIO_OPS_PORT", settings.ops_port),
    }
    for subject, (name, port) in ports.items():
        if port is None:
            continue
        try:
            for it in asyncio.run(bind(settings.host, port)):
                it.close()
        except OSError as error:
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else str(error.strerror)
            where = f"{','.join(settings.host)}, port {port}: {reason}"
            if number != errno.EADDRINUSE:
                yield Finding("error", subject, f"{where}; change {name} or SIO_HOST")
            elif _runs(settings):
                yield Finding("warning", subject, f"{where}; a server of this kind runs here")
            else:
                yield Finding("error", subject, f"{where}; end the other program, or change {name}")
        else:
            yield Finding("ok", subject, f"{','.join(settings.host)}, port {port} is free")


def _runs(settings: Settings) -> bool:
    """Tell whether a server runs on the settings' port. Nothing secret is sent to it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    try:
        me = f"{settings.own_url(settings.port)}/api/me"
        with opener.open(me, timeout=PROBE_SECONDS) as answer:
            return "timestamp" in json.load(answer)
    except (OSError, HTTPException, ValueError, TypeError):
        return False


def _event_log(settings: Settings) -> Iterator[Finding]:
    if settings.valkey_url is not None:
        yield asyncio.run(_valkey(settings))
    elif settings.sqlite_path is None:
        yield Finding("warning", "event log", "in memory: a restart loses all events")
    else:
        yield _sqlite(settings.sqlite_path)


def _sqlite(path: Path) -> Finding:
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return Finding("error", "event log", f"{folder} is not a folder that this user may write")
    if path.exists():
        if not os.access(path, os.R_OK | os.W_OK):
            return Finding("error", "event log", f"{path}: this user may not read and write it")
        if not path.is_file() or _header(path) not in (b"", SQLITE_HEADER):
            return Finding("error", "event log", f"{path} is not an SQLite database")
    free = shutil.disk_usage(folder).free
    text = f"{path}, {free / 2**30:.1f} GiB free on its disk"
    return Finding("warning" if free < MIN_FREE_BYTES else "ok", "event log", text)


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(SQLITE_HEADER))


async def _valkey(settings: Settings) -> Finding:
    shown = settings.event_log_shown
    connection = None
    try:
        connection = ValkeyConnection(ValkeyAddress(str(settings.valkey_url)))
        await check_server(connection)
        (seconds, micros), persistence = await connection.request(
            ("TIME",), ("INFO", "persistence")
        )
    except (StartError, ValkeyError) as error:
        return Finding("error", "event log", f"{shown}: {error}")
    finally:
        if connection is not None:
            await connection.close()
    away = abs(time.time() - int(seconds) - int(micros) / 1e6)
    if away > MAX_CLOCK_SECONDS:
        text = f"its clock and the clock of this machine differ by {away:.1f} s; set both by NTP"
        return Finding("warning", "event log", f"{shown}: {text}")
    if "aof_enabled:1" not in persistence:
        text = "a crash of Valkey loses events; set appendonly yes and appendfsync always"
        return Finding("warning", "event log", f"{shown}: {text}")
    return Finding("ok", "event log", f"{shown} answers, and writes a file")


def _open_files(settings: Settings) -> Iterator[Finding]:
    openfiles.raise_limit()
    limit, wanted = openfiles.limit(), settings.max_connections
    shown = "no limit" if math.isinf(limit) else f"{limit:,.0f} at most"
    if limit < wanted:
        yield Finding(
            "warning",
            "open files",
            f"{shown}, but SIO_MAX_CONNECTIONS is {wanted:,}; raise the hard limit "
            "(ulimit -Hn, LimitNOFILE), or lower SIO_MAX_CONNECTIONS",
        )
    else:
        yield Finding("ok", "open files", shown)


def _clock(settings: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    path = settings.sqlite_path
    ahead = path.stat().st_mtime - time.time() if path is not None and path.exists() else 0
    if now.year < EARLIEST_YEAR or ahead > MAX_CLOCK_SECONDS:
        text = "the clock is wrong, or it was set back; set it by NTP. Tokens depend on it"
        yield Finding("error" if now.year < EARLIEST_YEAR else "warning", "clock", text)
    else:
        yield Finding("ok", "clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def doors(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what the server offers, and who may use it."""
    keys = credentials.producer_keys(settings).names
    key_holders = [f"producer keys ({', '.join(keys)})"] if keys else []
    tokens = ["tokens"] if settings.has_tokens else []
    publishers = ["tokens with the scope publish"] if settings.has_tokens else []
    nobody, here = "nobody", "programs on this machine"
    if settings.open_publish == "anyone":
        yield "publish", "everyone"
    else:
        open_to = [here] if settings.open_publish == "loopback" else []
        yield "publish", ", ".join((*open_to, *key_holders, *publishers)) or nobody
    consumers = ", ".join((*key_holders, *tokens)) or nobody
    yield "consume, read the log", consumers if settings.require_auth else "everyone"
    origins = ", ".join(("pages of the server itself", *settings.allowed_origins))
    yield "connect from a browser", "pages of every site" if "*" in origins.split(", ") else origins
    yield "read /api/stats", ", ".join((here, *key_holders))
    yield "revoke tokens", ", ".join(key_holders) or nobody
    port = settings.port if settings.ops_port is None else settings.ops_port
    reach = f"{here}" if all(map(is_loopback, settings.host)) else "everyone who reaches it"
    yield f"/metrics, /healthz, /readyz on port {port}", reach
    admin = settings.admin_username
    yield "Admin UI", nobody if admin is None else f"the administrator {admin}, with a password"
    proxies = ", ".join(settings.trusted_proxies)
    yield "send X-Forwarded-… headers", proxies or "nobody: they are ignored"
