"""Producer keys: names, rotation, and a comparison that tells nothing."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from sio_server.access.keys import MIN_KEY_CHARACTERS, ProducerKeys

KEYS = ("django:" + "a" * 16, "django:" + "b" * 16, "cron:" + "c:" * 8, "d" * 16, "ключ" * 4)


def test_each_key_has_a_name() -> None:
    """Several may share it. What follows the first colon is the key."""
    keys = ProducerKeys(KEYS)
    assert len(keys) == 5
    named = {"a" * 16: "django", "b" * 16: "django", "c:" * 8: "cron", "d" * 16: "default"}
    assert {key: keys.name_of(key) for key in named} == named
    assert keys.name_of("ключ" * 4) == "default"


@pytest.mark.parametrize(
    "presented", ["", "a", "a" * 15, "a" * 17, "A" * 16, KEYS[0], "a" * 16 + " ", "\ud800", "ñ"]
)
def test_nothing_else_is_a_key(presented: str) -> None:
    """Neither is a key together with its name."""
    assert ProducerKeys(KEYS).name_of(presented) is None
    assert ProducerKeys().name_of(presented) is None


@pytest.mark.parametrize(
    "entry", ["k" * (MIN_KEY_CHARACTERS - 1), "name:" + "k" * 15, ":" + "k" * 20, "name:"]
)
def test_a_short_key_or_an_empty_name_is_refused(entry: str) -> None:
    """The error shows neither."""
    ProducerKeys(["k" * MIN_KEY_CHARACTERS])
    with pytest.raises(ValueError, match="at least 16 characters") as caught:
        ProducerKeys([KEYS[0], entry])
    assert "kkk" not in str(caught.value)


@pytest.mark.parametrize("presented", [*"abd", "x"])
def test_every_key_is_compared_even_after_a_match(
    presented: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the time would tell which one matches. All digests are equally long."""
    compared: list[int] = []
    compare = hmac.compare_digest

    def spy(a: Any, b: Any) -> bool:
        compared.extend((len(a), len(b)))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    ProducerKeys(KEYS).name_of(presented * 16)
    assert compared == [32] * 2 * len(KEYS)
