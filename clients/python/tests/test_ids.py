"""Event ids are UUIDv7."""

import time
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from furniture_events._ids import new_event_id, uuid7


@given(milliseconds=st.integers(0, 2**48 - 1), randomness=st.binary(min_size=10, max_size=10))
def test_uuid7_has_version_variant_and_time(milliseconds: int, randomness: bytes) -> None:
    """Every id is a version 7 UUID whose first 48 bits are the time."""
    made = uuid7(milliseconds, randomness)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == milliseconds


def test_uuid7_keeps_74_random_bits() -> None:
    """All 74 random bits are in the id."""
    ones, zeros = uuid7(0, b"\xff" * 10), uuid7(0, b"\0" * 10)
    assert (ones.int ^ zeros.int).bit_count() == 74


def test_new_id_is_canonical_text_of_now() -> None:
    """A new id is canonical UUID text with the current time, and is unique."""
    before = time.time_ns() // 1_000_000
    made = [new_event_id() for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == 100
    assert all(str(UUID(id)) == id for id in made)
    assert all(before <= UUID(id).int >> 80 <= after for id in made)
