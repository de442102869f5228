"""The identity of a client, and its rights."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from sio_server.access.limits import Limits
from sio_server.access.sources import Source
from sio_server.contract.errors import Forbidden, RateLimited, Unauthorized
from sio_server.logs import get_logger

log = get_logger("sio_server")


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity and the rights behind a connection or a request.

    Attributes:
        kind: ``key`` or ``anonymous``. Logs and messages may show it.
        may_publish: whether it may append events.
        may_consume: whether it may be in rooms and read the log.
        why_not: if it may not publish, the setting that would allow it.
    """

    kind: str
    may_publish: bool
    may_consume: bool
    why_not: str = ""

    @property
    def is_producer(self) -> bool:
        """Whether it presented a credential that may publish. Publishing has no rate limit."""
        return self.may_publish and self.kind != "anonymous"

    def check_publish(self) -> None:
        """Check the right to publish.

        Raises:
            Forbidden: it may not publish.
        """
        if not self.may_publish:
            raise Forbidden(f"publishing is not allowed: {self.why_not}")

    def check_consume(self) -> None:
        """Check the right to consume.

        Raises:
            Unauthorized: a credential is needed, and the client presented none.
        """
        if not self.may_consume:
            raise Unauthorized("a credential is needed")


class Access:
    """Turns credentials into principals.

    Args:
        producer_keys: the keys that may publish, and consume everything.
        open_publish: who may publish without a credential: ``off``, ``loopback`` or ``anyone``.
        require_auth: whether consuming needs a credential.
        limits: counts refused credentials by address.
    """

    def __init__(
        self, producer_keys: Collection[str], open_publish: str, require_auth: bool, limits: Limits
    ) -> None:
        self._limits = limits
        self._keys = [key.encode() for key in producer_keys]
        self._local, self._remote = (
            Principal(
                "anonymous",
                may_publish=open_publish in allowing,
                may_consume=not require_auth,
                why_not=_why_not(open_publish),
            )
            for allowing in (("anyone", "loopback"), ("anyone",))
        )

    def identify(self, credential: str | None, source: Source) -> Principal:
        """Return the principal of a client.

        If the server has no keys, credentials are ignored.

        Args:
            credential: the key or token that the client presented, or None.
            source: the origin of the request.

        Raises:
            Unauthorized: the credential is not valid.
            RateLimited: too many credentials of the address were refused. This one was not looked
                at, so that guessing is slow.
        """
        if credential is not None and self._keys:
            guesses = self._limits.guesses_of(source.address)
            if guesses.is_over:
                raise RateLimited("too many refused credentials from this address")
            if self._is_key(credential):
                return Principal("key", may_publish=True, may_consume=True)
            with suppress(RateLimited):
                guesses.count()
            log.warning("credential_refused", address=source.address)
            raise Unauthorized("the credential is not valid")
        return self._local if source.is_local else self._remote

    def _is_key(self, credential: str) -> bool:
        presented = credential.encode(errors="surrogatepass")
        found = False
        for key in self._keys:  # compare all keys, so that the time does not tell which one matches
            found |= hmac.compare_digest(presented, key)
        return found


def _why_not(open_publish: str) -> str:
    if open_publish == "loopback":
        return (
            "without a key only this machine may publish (SIO_OPEN_PUBLISH=loopback); "
            "send a key of SIO_PRODUCER_KEYS"
        )
    return "send a key of SIO_PRODUCER_KEYS, or allow it with SIO_OPEN_PUBLISH"
