"""Which tokens the known revocations include."""

from __future__ import annotations

import pytest

from sio_server.access.identity import ANONYMOUS, Identity
from sio_server.access.revocations import Revocations
from sio_server.contract.revocations import Revocation

NOW = 1_700_000_000.0
BEFORE = 1_699_999_999_500
"""In milliseconds."""


class Clock:
    """A clock that a test sets."""

    now = NOW

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def token(name: str = "ana", issuer: str | None = None) -> Identity:
    """Return the identity of a token."""
    return Identity("token", name, issuer)


@pytest.mark.parametrize(
    ("issued", "is_revoked"),
    [(None, True), (0.0, True), (BEFORE / 1000, True), (BEFORE / 1000 + 0.001, False)],
)
def test_tokens_that_were_issued_before_are_revoked(issued: float | None, is_revoked: bool) -> None:
    """And those whose time of issue is unknown."""
    revocations = Revocations(100)
    revocations.add([Revocation("ana", None, BEFORE)])
    assert revocations.include(token(), issued) is is_revoked


def test_a_revocation_is_of_one_subject() -> None:
    """Another one, a key of the same name, or nobody is not revoked."""
    revocations = Revocations(100)
    revocations.add([Revocation("ana", None, BEFORE)])
    for identity in (token("eva"), token("ana "), Identity("key", "ana"), ANONYMOUS):
        assert not revocations.include(identity, None)


def test_a_revocation_may_be_of_one_issuer() -> None:
    """Without one it is of all issuers, also of none."""
    revocations = Revocations(100)
    revocations.add([Revocation("ana", "here", BEFORE)])
    issuers = (None, "", "here", "there")
    assert [revocations.include(token(issuer=it), None) for it in issuers] == [
        False,
        False,
        True,
        False,
    ]
    revocations.add([Revocation("ana", None, BEFORE)])
    assert all(revocations.include(token(issuer=it), None) for it in issuers)


def test_the_latest_time_counts() -> None:
    """Revocations may come twice, and in any order."""
    revocations = Revocations(100)
    revocations.add([Revocation("ana", None, BEFORE), Revocation("ana", None, 0)])
    assert revocations.include(token(), BEFORE / 1000)


def test_a_revocation_is_forgotten_after_its_time() -> None:
    """By then the tokens have expired."""
    clock = Clock()
    revocations = Revocations(100, clock)
    revocations.add([Revocation("ana", None, BEFORE)])
    clock.now = NOW + 60
    revocations.add([Revocation("eva", None, BEFORE)])
    clock.now = NOW + 100
    assert revocations.include(token(), None)
    clock.now = NOW + 101
    assert not revocations.include(token(), None)
    assert revocations.include(token("eva"), None)
    revocations.add([])
    assert len(revocations._known) == 1
