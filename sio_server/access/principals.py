"""Who a client is, and what it may do. No I/O: it decides on what it is shown.

Producer keys are here; tokens will join them in ``Access.identify``.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass

from sio_server.access.sources import Source
from sio_server.contract.errors import Forbidden, Unauthorized


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a connection or a request speaks for.

    Attributes:
        kind: ``key`` or ``anonymous``; what logs and messages may say.
        may_publish: it may append events.
        may_consume: it may be in rooms and read the log.
        why_not: for one that may not publish, which setting would allow it.
    """

    kind: str
    may_publish: bool
    may_consume: bool
    why_not: str = ""

    def check_publish(self) -> None:
        """Let a publish pass.

        Raises:
            Forbidden: it has no right to.
        """
        if not self.may_publish:
            raise Forbidden(f"publishing is not allowed: {self.why_not}")

    def check_consume(self) -> None:
        """Let it consume events.

        Raises:
            Unauthorized: it presented no credential, and one is needed.
        """
        if not self.may_consume:
            raise Unauthorized("a credential is needed")


class Access:
    """Turns credentials into principals.

    Args:
        producer_keys: each may publish and consume everything.
        open_publish: ``off``, ``loopback`` or ``anyone``.
        require_auth: whether consuming needs a credential.
    """

    def __init__(
        self, producer_keys: Collection[str], open_publish: str, require_auth: bool
    ) -> None:
        self._keys = [key.encode() for key in producer_keys]
        self._near, self._far = (
            Principal(
                "anonymous",
                may_publish=open_publish in to_whom,
                may_consume=not require_auth,
                why_not=_why_not(open_publish),
            )
            for to_whom in (("anyone", "loopback"), ("anyone",))
        )

    def identify(self, credential: str | None, source: Source) -> Principal:
        """Return whom a client speaks for.

        Args:
            credential: the key or token that it presented; None: none.
            source: where it comes from.

        Without keys there is nothing to hold a credential to, and it is ignored.

        Raises:
            Unauthorized: the credential is not valid.
        """
        if credential is not None and self._keys:
            if self._is_key(credential):
                return Principal("key", may_publish=True, may_consume=True)
            raise Unauthorized("the credential is not valid")
        return self._near if source.is_local else self._far

    def _is_key(self, credential: str) -> bool:
        presented = credential.encode(errors="surrogatepass")
        found = False
        for key in self._keys:  # all of them, whichever matches: the time tells nothing
            found |= hmac.compare_digest(presented, key)
        return found


def _why_not(open_publish: str) -> str:
    if open_publish == "loopback":
        return (
            "without a key it is open to this machine alone (SIO_OPEN_PUBLISH=loopback); "
            "send a key of SIO_PRODUCER_KEYS"
        )
    return "send a key of SIO_PRODUCER_KEYS, or open it with SIO_OPEN_PUBLISH"
