"""Identities: none equals another kind, and a log line shows them safely."""

from __future__ import annotations

from itertools import combinations

import pytest

from sio_server.access.identity import ANONYMOUS, MAX_SHOWN_CHARACTERS, Identity

IDENTITIES = (
    ANONYMOUS,
    Identity("key", "default"),
    Identity("key", "anonymous"),
    Identity("token", "anonymous"),
    Identity("token", "default"),
    Identity("token", "default", ""),
    Identity("token", "a", "b"),
    Identity("token", "b", "a"),
    Identity("token", 'a", "b'),
    Identity("token", "a@b"),
)


def test_different_identities_have_different_texts() -> None:
    """A token can never be taken for a key, nor one issuer for another."""
    for one, other in combinations(IDENTITIES, 2):
        assert one != other
        assert one.text != other.text
    assert Identity("token", "a", "b").text == Identity("token", "a", "b").text


@pytest.mark.parametrize(
    ("identity", "shown"),
    [
        (ANONYMOUS, "anonymous"),
        (Identity("key", "django"), "key:django"),
        (Identity("token", "42"), "token:42"),
        (Identity("token", "42", "https://id.example"), "token:42@https://id.example"),
        (Identity("token", "a\n\x1b[31m\u2028"), r"token:a\n\u001b[31m\u2028"),
    ],
)
def test_a_log_line_shows_it_in_printable_characters(identity: Identity, shown: str) -> None:
    """Whatever its issuer has signed."""
    assert str(identity) == shown


def test_a_long_name_is_cut() -> None:
    """A token may have 8 KB."""
    assert len(str(Identity("token", "x" * 8_000))) == MAX_SHOWN_CHARACTERS
