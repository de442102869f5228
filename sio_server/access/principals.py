"""The rights of a client, and the one decision about its credential."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from sio_server.access.identity import ANONYMOUS, Identity
from sio_server.access.keys import ProducerKeys
from sio_server.access.limits import Limits
from sio_server.access.revocations import Revocations
from sio_server.access.sources import Source
from sio_server.access.tokens import Tokens
from sio_server.contract.errors import Forbidden, LogUnavailable, RateLimited, Unauthorized
from sio_server.contract.rooms import ALL_ROOMS, NO_ROOMS, RoomFilter
from sio_server.logs import get_logger

log = get_logger("sio_server")


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity and the rights behind a connection or a request.

    Attributes:
        identity: who it is.
        may_publish: whether it may append events.
        may_consume: whether it may be in rooms and read the log.
        rooms: the rooms that it may be in, and whose events it may see.
        expires: when its rights end, in seconds since 1970; None: never.
        issued: when its token was issued, likewise; None: that is unknown, or it has no token.
        why_not: if it may not publish, what would allow it.
        lacks_credential: it presented no credential, and one might give it the missing rights.
    """

    identity: Identity
    may_publish: bool
    may_consume: bool
    rooms: RoomFilter = ALL_ROOMS
    expires: float | None = None
    issued: float | None = None
    why_not: str = ""
    lacks_credential: bool = False

    @property
    def is_producer(self) -> bool:
        """Whether it presented a credential that may publish. Publishing has no rate limit."""
        return self.may_publish and self.identity.kind != "anonymous"

    def check_publish(self) -> None:
        """Check the right to publish.

        Raises:
            Unauthorized: a credential is needed, and the client presented none.
            Forbidden: it may not publish.
        """
        if not self.may_publish:
            error = Unauthorized if self.lacks_credential else Forbidden
            raise error(f"publishing is not allowed: {self.why_not}")

    def check_revoke(self) -> None:
        """Check the right to revoke tokens: producer keys have it.

        Raises:
            Unauthorized: the client presented no credential.
            Forbidden: its credential is not a producer key.
        """
        if self.identity.kind == "anonymous":
            raise Unauthorized("revoking tokens needs a key of SIO_PRODUCER_KEYS")
        if self.identity.kind != "key":
            raise Forbidden("revoking tokens needs a key of SIO_PRODUCER_KEYS")

    def check_connect(self) -> None:
        """Check the right to connect. Who may only publish may connect, too.

        Raises:
            Unauthorized: a credential is needed, and the client presented none.
        """
        if not self.may_consume and self.identity.kind == "anonymous":
            raise Unauthorized("a credential is needed")

    def check_consume(self) -> None:
        """Check the right to consume.

        Raises:
            Unauthorized: a credential is needed, and the client presented none.
            Forbidden: the token does not allow it.
        """
        self.check_connect()
        if not self.may_consume:
            raise Forbidden("the token's scope does not allow to subscribe")

    @property
    def allowed_rooms(self) -> RoomFilter:
        """The rooms that it may be in: none, if it may not consume."""
        return self.rooms if self.may_consume else NO_ROOMS

    def check_rooms(self, rooms: Iterable[str]) -> None:
        """Check the right to be in rooms.

        Raises:
            Unauthorized, Forbidden: it may not consume, or not be in one of the rooms.
        """
        for room in rooms:
            self.check_consume()
            if not self.rooms.allows(room):
                raise Forbidden(f"the token does not allow the room {room[:80]!r}")

    def choose_rooms(self, named: frozenset[str] | None) -> frozenset[str]:
        """Return the rooms of a new connection.

        Args:
            named: the rooms that its client names; None: it names none.

        Raises:
            Unauthorized, Forbidden: see ``check_rooms``.
        """
        if named is None:
            return self.rooms.default_rooms if self.may_consume else frozenset()
        self.check_rooms(named)
        return named


class Access:
    """Turns credentials into principals.

    Args:
        keys: the producer keys.
        tokens: verifies tokens; None: the server accepts none.
        open_publish: who may publish without a credential: ``off``, ``loopback`` or ``anyone``.
        require_auth: whether consuming needs a credential.
        limits: counts refused credentials by address.
        revocations: the revoked tokens.
    """

    def __init__(
        self,
        keys: ProducerKeys,
        tokens: Tokens | None,
        open_publish: str,
        require_auth: bool,
        limits: Limits,
        revocations: Revocations,
    ) -> None:
        self._limits = limits
        self._revocations = revocations
        self._keys = keys
        self._tokens = tokens
        self._local, self._remote = (
            Principal(
                ANONYMOUS,
                may_publish=open_publish in allowing,
                may_consume=not require_auth,
                why_not=_why_not(open_publish),
                lacks_credential=self._knows_credentials,
            )
            for allowing in (("anyone", "loopback"), ("anyone",))
        )

    @property
    def _knows_credentials(self) -> bool:
        return bool(self._keys) or self._tokens is not None

    def identify(
        self, credential: str | None, source: Source, *, from_url: bool = False
    ) -> Principal:
        """Return the principal of a client.

        If the server has neither keys nor tokens, credentials are ignored.

        Args:
            credential: the key or token that the client presented, or None.
            source: the origin of the request.
            from_url: the credential was in a URL. Keys are not accepted there: URLs are logged.

        Raises:
            Unauthorized: the credential is not valid.
            RateLimited: too many credentials of the address were refused. This one was not looked
                at, so that guessing is slow.
            LogUnavailable: the server does not know yet which tokens are revoked.
        """
        if credential is None or not self._knows_credentials:
            return self._local if source.is_local else self._remote
        guesses = self._limits.guesses_of(source.address)
        if guesses.is_over:
            raise RateLimited("too many refused credentials from this address")
        try:
            return self._verify(credential, from_url=from_url)
        except Unauthorized as error:
            with suppress(RateLimited):
                guesses.count()
            log.warning(
                "credential_refused",
                address=source.address,
                reason=error.message,
                setting="SIO_PRODUCER_KEYS"
                if self._tokens is None
                else "SIO_PRODUCER_KEYS, SIO_JWT_*",
            )
            raise

    def _verify(self, credential: str, *, from_url: bool) -> Principal:
        name = self._keys.name_of(credential)
        if name is not None and not from_url:
            return Principal(Identity("key", name), may_publish=True, may_consume=True)
        if self._tokens is None:
            raise Unauthorized("the credential is not valid")
        token = self._tokens.verify(credential)
        if not self._revocations.are_known:
            raise LogUnavailable("the revoked tokens are not known yet; try again")
        if self._revocations.include(token.identity, token.issued):
            raise revoked()
        return Principal(
            token.identity,
            token.may_publish,
            token.may_consume,
            token.rooms,
            token.expires,
            token.issued,
            why_not="the token's scope has no word publish",
        )


def revoked() -> Unauthorized:
    """Make the error of a revoked token."""
    return Unauthorized("the token is revoked")


def _why_not(open_publish: str) -> str:
    if open_publish == "loopback":
        return (
            "without a key only this machine may publish (SIO_OPEN_PUBLISH=loopback); "
            "send a key of SIO_PRODUCER_KEYS"
        )
    return "send a key of SIO_PRODUCER_KEYS, or allow it with SIO_OPEN_PUBLISH"
