"""The text that the tables have for rooms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.contract.rooms import CATALOG
from sio_server.eventlog.sqlite import pieces

names = st.text(st.sampled_from('ab,"\\\n[]é:'), max_size=4)
rooms = st.builds("author:{}".format, names) | st.just(CATALOG)


@given(st.lists(rooms, min_size=1, max_size=4), st.frozensets(rooms, max_size=4))
def test_a_text_has_a_room_if_its_rooms_do(stored: list[str], wanted: frozenset[str]) -> None:
    """Names with quotes, backslashes, commas and brackets are compared like all others."""
    text = pieces.encode_rooms(tuple(stored))
    assert pieces.has_any(text, wanted) == (not wanted.isdisjoint(stored))


def test_ordinary_rooms_are_compared_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding takes most of the time of a read that looks for a rare room."""
    text = pieces.encode_rooms(("catalog", "material:ébano", "author:Juan"))
    monkeypatch.delattr(pieces, "decode_rooms")
    assert pieces.has_any(text, frozenset(["material:ébano"]))
    assert not pieces.has_any(text, frozenset(["material:roble", "author:nobody"]))
