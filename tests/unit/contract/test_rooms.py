"""The grammar of rooms, and where an event goes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.contract.errors import UnknownRoom
from sio_server.contract.events import EVENT_TYPES
from sio_server.contract.rooms import event_rooms, parse_room, parse_rooms, state_rooms

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    "name",
    [
        "catalog",
        "furniture:673a2f1b8e4d2a1c3b5e6f7a",
        "material:roble",
        "material:Roble Macizo",
        "material::",
        "material:a:b",
        "material: ",
        "author:juan",
        "author:ñ😀",
        "type:furniture_created",
        "type:furniture_updated",
        "type:furniture_deleted",
    ],
)
def test_a_room_of_the_grammar_is_its_own_name(name: str) -> None:
    """Nothing is folded or trimmed: what stands after the first colon is the value."""
    assert parse_room(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Catalog",
        "catalog ",
        "catalog:",
        "catalog:x",
        "catalogue",
        "furniture",
        "furniture:",
        "material:",
        "author:",
        "type:",
        "type:furniture_sold",
        "type:Furniture_created",
        "Material:roble",
        " material:roble",
        "room:1",
        ":roble",
        "*",
        None,
        5,
        True,
        b"catalog",
        ["catalog"],
        {"room": "catalog"},
    ],
)
def test_any_other_name_is_no_room(name: Any) -> None:
    """Case, spaces and empty values count; a type is one of the three."""
    with pytest.raises(UnknownRoom):
        parse_room(name)


def test_a_bad_room_is_shown_within_bounds_and_on_one_line() -> None:
    """The answer does not grow with what the client wrote, nor break its line."""
    with pytest.raises(UnknownRoom) as caught:
        parse_room("\n\ud800" + "x" * 60_000)
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("asked", "rooms"),
    [
        ("catalog", {"catalog"}),
        ([], set()),
        (["catalog"], {"catalog"}),
        (["material:pino", "author:ana", "material:pino"], {"material:pino", "author:ana"}),
    ],
)
def test_rooms_are_one_name_or_a_list(asked: Any, rooms: set[str]) -> None:
    """Named twice is named once; an empty list means none."""
    assert parse_rooms(asked) == rooms


@pytest.mark.parametrize(
    "asked", [None, 5, {}, "nowhere", ["catalog", "nowhere"], ["catalog", None], [["catalog"]]]
)
def test_one_bad_room_spoils_the_list(asked: Any) -> None:
    """Then none of them counts."""
    with pytest.raises(UnknownRoom):
        parse_rooms(asked)


def test_an_event_goes_to_its_five_rooms() -> None:
    """The catalogue, the piece, the type, the material, the author."""
    piece = {"furniture_id": "f1", "material": "roble", "autor_username": "Juan"}
    assert set(event_rooms("furniture_created", piece)) == {
        "catalog",
        "furniture:f1",
        "type:furniture_created",
        "material:roble",
        "author:Juan",
    }


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_event_goes_to_the_rooms_of_the_last_state_too(event_type: str) -> None:
    """Whatever its type: a page of oak learns that the table is pine now."""
    piece = {"furniture_id": "f1", "material": "pino", "autor_username": "Ana"}
    rooms = event_rooms(event_type, piece, state_rooms("roble", "Juan"))
    assert {"material:pino", "author:Ana", "material:roble", "author:Juan"} <= set(rooms)
    assert len(rooms) == 7


@given(names, names, names, names, names, st.sampled_from(EVENT_TYPES))
def test_every_room_of_an_event_can_be_asked_for(
    piece: str, material: str, author: str, old_material: str, old_author: str, event_type: str
) -> None:
    """Each is in the grammar and there once, whatever the names hold and whether they changed."""
    furniture = {"furniture_id": piece, "material": material, "autor_username": author}
    rooms = event_rooms(event_type, furniture, state_rooms(old_material, old_author))
    assert list(map(parse_room, rooms)) == list(rooms)
    assert len(set(rooms)) == len(rooms)
    assert set(rooms) == {
        "catalog",
        f"furniture:{piece}",
        f"type:{event_type}",
        *(f"material:{name}" for name in (material, old_material)),
        *(f"author:{name}" for name in (author, old_author)),
    }


@given(st.text() | st.builds("{}:{}".format, st.sampled_from(["material", "type", "x"]), names))
def test_arbitrary_text_is_a_room_or_an_unknown_one(name: str) -> None:
    """Nothing else comes out, and a room is never changed."""
    with suppress(UnknownRoom):
        assert parse_room(name) == name
