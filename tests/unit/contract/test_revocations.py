"""What a producer sends to revoke tokens."""

from __future__ import annotations

from typing import Any

import pytest

from sio_server.contract.errors import InvalidMessage
from sio_server.contract.revocations import Revocation, parse_revocation

NOW = 1_700_000_000_250


@pytest.mark.parametrize(
    ("message", "revocation"),
    [
        ({"sub": "ana"}, Revocation("ana", None, NOW)),
        ({"sub": "ana", "iss": None, "before": None}, Revocation("ana", None, NOW)),
        ({"sub": "ana", "iss": ""}, Revocation("ana", "", NOW)),
        (
            {"sub": "ana", "iss": "https://id.example", "before": "2023-11-14T22:13:20.000Z"},
            Revocation("ana", "https://id.example", NOW - 250),
        ),
        (
            {"sub": "ana", "before": "2023-11-14T23:13:20.0004+01:00"},
            Revocation("ana", None, NOW - 250),
        ),
        (
            {"sub": "ana", "before": "2023-11-14T22:13:30.250Z"},
            Revocation("ana", None, NOW + 10_000),
        ),
    ],
)
def test_a_revocation_has_a_subject_and_may_have_more(message: Any, revocation: Revocation) -> None:
    """Without a time it counts from now. A producer's clock may be a little ahead."""
    assert parse_revocation(message, NOW) == revocation


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ({}, ["sub"]),
        ({"sub": ""}, ["sub"]),
        ({"sub": 5, "iss": 5, "before": 5}, ["sub", "iss", "before"]),
        ({"sub": "ana", "issuer": "x"}, ["issuer"]),
        ({"sub": "ana", "before": "2023-11-14T22:13:31.000Z"}, ["before"]),
        ({"sub": "ana", "before": "2023-11-14T22:13:20"}, ["before"]),
        ({"sub": "ana", "before": "2023-11-14"}, ["before"]),
        ({"sub": "ana", "before": "2023-W46-2T22:13:20Z"}, ["before"]),
        ({"sub": "ana", "before": "yesterday"}, ["before"]),
        ({"sub": "ana", "before": "0001-01-01T00:00:00+23:59"}, ["before"]),
        ({"sub": "ana", "before": "1969-12-31T23:59:59Z"}, ["before"]),
        ({"sub": "ana", "before": "2023-02-30T00:00:00Z"}, ["before"]),
        ({"sub": "ana", "before": "2023-11-14T22:13:20.000Z" + " " * 40}, ["before"]),
        ({"sub": "ana", "before": 1_700_000_000}, ["before"]),
    ],
)
def test_another_form_is_refused(message: Any, fields: list[str]) -> None:
    """The error names every field at fault. A field with another name does not mean more tokens."""
    with pytest.raises(InvalidMessage) as refusal:
        parse_revocation(message, NOW)
    assert [fault["field"] for fault in refusal.value.as_dict()["details"]] == fields


@pytest.mark.parametrize("message", [None, [], "ana", 5])
def test_a_revocation_is_an_object(message: Any) -> None:
    """Other JSON is refused."""
    with pytest.raises(InvalidMessage):
        parse_revocation(message, NOW)


def test_the_answer_has_the_subject_and_the_time() -> None:
    """The time has the form of every timestamp."""
    assert Revocation("ana", "x", NOW).as_dict() == {
        "sub": "ana",
        "before": "2023-11-14T22:13:20.250Z",
    }
