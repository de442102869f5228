"""The administrator: a name, and a bcrypt hash of a password."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import bcrypt

from sio_server.access.limits import Limits
from sio_server.access.sources import Source
from sio_server.contract.errors import RateLimited
from sio_server.logs import get_logger

log = get_logger("sio_server")

MAX_PASSWORD_BYTES = 72
"""bcrypt reads no more bytes of a password."""


class Administrator:
    """Checks the credential of the Admin UI.

    Args:
        username: the name.
        password_hash: the bcrypt hash of the password.
        limits: counts refused credentials by address.
    """

    def __init__(self, username: str, password_hash: str, limits: Limits) -> None:
        self._username = username.encode()
        self._hash = password_hash.encode()
        self._limits = limits

    async def check(self, auth: Any, source: Source) -> bool:
        """Tell whether a handshake has the name and the password.

        Refused ones count for the address. Over its limit, nothing is looked at.
        """
        guesses = self._limits.guesses_of(source.address)
        if guesses.is_over:
            return False
        values = auth if isinstance(auth, Mapping) else {}
        username, password = (
            value.encode(errors="surrogatepass") if isinstance(value, str) else b""
            for value in (values.get("username"), values.get("password"))
        )
        # The password is checked in any case, so that the time does not tell the name.
        is_right = await asyncio.to_thread(self._has_password, password)
        if is_right and hmac.compare_digest(username, self._username):
            return True
        with suppress(RateLimited):
            guesses.count()
        log.warning(
            "credential_refused",
            address=source.address,
            reason="not the administrator's",
            setting="SIO_ADMIN_PASSWORD",
        )
        return False

    def _has_password(self, password: bytes) -> bool:
        is_short = len(password) <= MAX_PASSWORD_BYTES
        return bcrypt.checkpw(password[:MAX_PASSWORD_BYTES], self._hash) and is_short
