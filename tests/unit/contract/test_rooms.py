"""The grammar of room names, and the rooms of an event."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.contract.errors import UnknownRoom
from sio_server.contract.events import EVENT_TYPES, Event, Offset, Record
from sio_server.contract.rooms import (
    NO_ROOMS,
    RoomFilter,
    event_rooms,
    parse_room,
    parse_rooms,
    state_rooms,
)

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
def test_a_valid_room_name_is_not_changed(name: str) -> None:
    """Nothing is folded or trimmed: all text after the first colon is the value."""
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
    """Case and spaces count, a value is not empty, and a type is an event type."""
    with pytest.raises(UnknownRoom):
        parse_room(name)


def test_an_error_shows_a_bad_room_shortened_and_on_one_line() -> None:
    """The answer does not grow with the client's text, and stays on its line."""
    with pytest.raises(UnknownRoom) as caught:
        parse_room("\n\ud800" + "x" * 60_000)
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("requested", "rooms"),
    [
        ("catalog", {"catalog"}),
        ([], set()),
        (["catalog"], {"catalog"}),
        (["material:pino", "author:ana", "material:pino"], {"material:pino", "author:ana"}),
    ],
)
def test_rooms_are_one_name_or_a_list(requested: Any, rooms: set[str]) -> None:
    """A repeated name counts once, and an empty list means no room."""
    assert parse_rooms(requested) == rooms


@pytest.mark.parametrize(
    "requested", [None, 5, {}, "nowhere", ["catalog", "nowhere"], ["catalog", None], [["catalog"]]]
)
def test_one_bad_room_refuses_the_whole_list(requested: Any) -> None:
    """The valid rooms of the list are not used either."""
    with pytest.raises(UnknownRoom):
        parse_rooms(requested)


def test_an_event_goes_to_its_five_rooms() -> None:
    """They are the catalogue, the piece, the type, the material and the author."""
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
    """For example, a page of oak furniture learns that a table is pine now."""
    piece = {"furniture_id": "f1", "material": "pino", "autor_username": "Ana"}
    rooms = event_rooms(event_type, piece, state_rooms("roble", "Juan"))
    assert {"material:pino", "author:Ana", "material:roble", "author:Juan"} <= set(rooms)
    assert len(rooms) == 7


@given(names, names, names, names, names, st.sampled_from(EVENT_TYPES))
def test_every_room_of_an_event_is_a_valid_room(
    piece: str, material: str, author: str, old_material: str, old_author: str, event_type: str
) -> None:
    """Each comes once, for any names, whether or not material and author changed."""
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
def test_arbitrary_text_is_a_room_or_is_refused(name: str) -> None:
    """No other error is raised, and a room's name is never changed."""
    with suppress(UnknownRoom):
        assert parse_room(name) == name


@pytest.mark.parametrize(
    ("kind", "longest"), [("furniture", 128), ("material", 255), ("author", 255)]
)
def test_a_room_is_as_long_as_its_field_may_be(kind: str, longest: int) -> None:
    """Lengths are in code points. A longer room could never receive an event."""
    for letter in ("x", "é", "😀"):
        assert parse_room(f"{kind}:{letter * longest}")
        with pytest.raises(UnknownRoom):
            parse_room(f"{kind}:{letter * (longest + 1)}")


@pytest.mark.parametrize(
    ("patterns", "allowed", "refused"),
    [
        (["*"], ["catalog", "material:x", "type:furniture_deleted"], []),
        (["*", "material:x"], ["catalog", "author:y"], []),
        (["catalog"], ["catalog"], ["material:x", "author:catalog"]),
        (["material:x"], ["material:x"], ["catalog", "material:y", "material:xx", "author:x"]),
        (["material:*"], ["material:x", "material:*"], ["catalog", "author:material"]),
        (["material:x*"], ["material:x*"], ["material:xy"]),
        (["furniture:*", "type:*"], ["furniture:1", "type:furniture_created"], ["catalog"]),
        ([], [], ["catalog", "material:x"]),
    ],
)
def test_patterns_allow_rooms(patterns: list[str], allowed: list[str], refused: list[str]) -> None:
    """Only ``kind:*`` is a pattern. An asterisk in a name is part of the name."""
    rooms = RoomFilter.parse(patterns)
    assert [room for room in (*allowed, *refused) if rooms.allows(room)] == allowed
    assert rooms.allows_all(allowed)
    assert rooms.allows_all(refused) is not bool(refused)
    assert rooms.hides_nothing is rooms.allows("catalog")


@pytest.mark.parametrize(
    "pattern", ["", "**", "mat*", "material:", "wood:*", "catalog:*", ":*", "*:*", 5, None, ["*"]]
)
def test_other_text_is_no_pattern(pattern: Any) -> None:
    """Also beside the pattern that allows everything."""
    for patterns in ([pattern], ["*", pattern]):
        with pytest.raises(UnknownRoom):
            RoomFilter.parse(patterns)


def record(material: str, *former_rooms: str, former: str | None = '{"nombre":"Mesa"}') -> Record:
    """Return the update of a piece of Ana that left rooms."""
    piece = {"furniture_id": "f1", "material": material, "autor_username": "Ana"}
    event = Event("furniture_updated", piece, "an id")
    rooms = event_rooms(event.type, piece, former_rooms)
    return Record(Offset("e", 7), event.type, rooms, event.body("a time"), former)


@pytest.mark.parametrize(
    "patterns",
    [["*"], ["catalog"], ["material:pino"], ["author:*"], ["furniture:f1"], ["type:*"]],
)
def test_a_client_sees_an_event_as_it_is(patterns: list[str]) -> None:
    """It may be in one of the event's own rooms, whichever rooms the piece has left."""
    moved = record("pino", "material:roble", "author:Ana")
    assert RoomFilter.parse(patterns).view(moved) is moved


@pytest.mark.parametrize("patterns", [["material:roble"], ["author:Juan", "furniture:f2"]])
def test_a_client_that_may_not_see_the_new_state_sees_a_deletion(patterns: list[str]) -> None:
    """It has the former state, and the id, the time and the offset of the event."""
    moved = record("pino", "material:roble", "author:Juan")
    seen = RoomFilter.parse(patterns).view(moved)
    assert seen is not None
    assert (seen.offset, seen.type) == (moved.offset, "furniture_deleted")
    assert json.loads(seen.body) == {
        "type": "furniture_deleted",
        "furniture": {"nombre": "Mesa"},
        "id": "an id",
        "timestamp": "a time",
    }
    assert RoomFilter.parse(patterns).view(moved) is seen  # encoded once


@pytest.mark.parametrize("patterns", [[], ["material:haya"], ["type:furniture_deleted"]])
def test_a_client_does_not_see_what_none_of_its_rooms_has(patterns: list[str]) -> None:
    """Nor the deletion of a piece that it could not see before."""
    assert RoomFilter.parse(patterns).view(record("pino", "material:roble")) is None


def test_a_client_does_not_see_an_unknown_former_state() -> None:
    """A log of an earlier version has stored none."""
    moved = record("pino", "material:roble", former=None)
    assert RoomFilter.parse(["material:roble"]).view(moved) is None


def test_a_client_without_named_rooms_is_in_its_single_rooms() -> None:
    """Or in ``catalog``, if it may be there."""
    assert RoomFilter.parse(["*"]).default_rooms == {"catalog"}
    assert RoomFilter.parse(["catalog", "material:x"]).default_rooms == {"catalog"}
    assert RoomFilter.parse(["author:*", "material:x"]).default_rooms == {"material:x"}
    assert NO_ROOMS.default_rooms == frozenset()
