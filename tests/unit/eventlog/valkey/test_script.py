"""The calls of the log's Lua script and its answers, as text, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sio_server.contract.errors import IdConflict
from sio_server.contract.events import Event, Offset, Receipt, format_timestamp
from sio_server.eventlog import reading, summaries
from sio_server.eventlog.contract import Page, Retention
from sio_server.eventlog.valkey.script import LogScript, LogState

MakeEvent = Callable[..., Event]

NOW = 1_700_000_000_250
FIRST_OWN_ARGUMENT = 4
"""The arguments before it are the same in every call: step, new epoch, seen epoch, seen seq."""


def new_script() -> LogScript:
    """Make a script of a node that has seen seven events."""
    script = LogScript("{p}", "node", Retention(60, 100), lambda: NOW / 1000)
    script.last_seen = Offset("e", 7)
    return script


def answer(**fields: Any) -> str:
    """Encode an answer to a read, from a log with the events 6 to 9."""
    return json.dumps({"epoch": "e", "start": 0, "oldest": 5, "last": 9, "events": [], **fields})


def head(event: Event) -> str:
    """Return the part of an event's body before its timestamp."""
    return event.body("").removesuffix('"}')


def test_every_call_names_the_last_event_that_the_node_has_seen() -> None:
    """The script needs it to notice a restored older state, and a new name for an epoch."""
    script = new_script()
    calls = [script.append_call(1, []), script.state_call(), script.sweep_call()]
    for call in calls:
        names = ("log", "events", "ids", "pieces", "piece_seqs", "states")
        assert call.keys[:6] == tuple(f"{{p}}:{name}" for name in names)
        assert call.arguments[2:FIRST_OWN_ARGUMENT] == ("e", 7)
    assert [call.arguments[0] for call in calls] == ["append", "read", "sweep"]
    assert len({call.arguments[1] for call in calls}) == 3


def test_an_append_sends_each_id_once(event: MakeEvent) -> None:
    """Six words an event: id, type, piece, rooms, state and the body before its timestamp."""
    events = [event("a"), event("a", nombre="Silla"), event("b")]
    call = new_script().append_call(3, events)
    assert call.keys[7:] == ("{p}:appended:node",)
    assert call.arguments[FIRST_OWN_ARGUMENT] == 3
    words = call.arguments[11:]
    assert (len(words), words[0], words[6]) == (12, "a", "b")
    assert words[1:3] == ("furniture_created", "mesa")
    assert str(words[4]).split("\n") == ['"material:roble"', '"author:Juan"']
    assert words[5] == head(events[0])


def test_a_deletion_sends_no_state(event: MakeEvent) -> None:
    """An empty state tells the script that the piece is deleted."""
    call = new_script().append_call(1, [Event("furniture_deleted", event().furniture, "a")])
    assert call.arguments[15] == ""


def test_the_answer_to_an_append_gives_each_event_its_result(event: MakeEvent) -> None:
    """New events follow each other; an earlier event makes a duplicate or a conflict."""
    earlier = event("b")
    events = [event("a"), event("b"), event("b", nombre="Silla"), event("c"), event("a")]
    appended = new_script().decode_append(
        events,
        json.dumps(
            {
                "epoch": "e",
                "first": 8,
                "at": NOW,
                "earlier": {"b": [3, NOW - 1_000, earlier.type, head(earlier)]},
            }
        ),
    )
    first, duplicate, conflict, second, repeated = appended.results
    assert first == Receipt("a", Offset("e", 8), format_timestamp(NOW))
    assert duplicate == Receipt("b", Offset("e", 3), format_timestamp(NOW - 1_000), duplicate=True)
    assert isinstance(conflict, IdConflict)
    assert second == Receipt("c", Offset("e", 9), format_timestamp(NOW))
    assert repeated == Receipt("a", Offset("e", 8), format_timestamp(NOW), duplicate=True)
    assert appended.last == Offset("e", 9)


def test_an_append_waits_for_a_later_duplicate(event: MakeEvent) -> None:
    """Its last event is the highest that its results refer to, even if another node appended it."""
    earlier = event("a")
    fields = {"a": [12, NOW, earlier.type, head(earlier)]}
    text = json.dumps({"epoch": "e", "first": 9, "at": NOW, "earlier": fields})
    assert new_script().decode_append([event("a")], text).last == Offset("e", 12)


def test_a_read_sends_only_the_rooms_that_select_events() -> None:
    """Every event is in the catalog, so that a read of it is a read of all rooms."""
    script = new_script()
    size, hashed = reading.PAGE_BYTES, b"".join(summaries.hashes(["material:ñ"]))
    for rooms, arguments in (
        (None, ("e", 5, 20, 20, size, 0, b"")),
        (["material:ñ"], ("e", 5, 20, 250, size, 100, hashed, '"material:\\u00f1"')),
        (["material:ñ", "catalog"], ("e", 5, 20, 20, size, 0, b"")),
        ([], ("e", 5, 0, 250, size, 0, b"")),
    ):
        call = script.read_call(Offset("e", 5), reading.selecting(rooms), 20)
        assert call.arguments[FIRST_OWN_ARGUMENT:] == arguments
    assert script.read_call(None, None, 20).arguments[FIRST_OWN_ARGUMENT:6] == ("", 0)


def test_the_answer_to_a_read_is_a_page(event: MakeEvent) -> None:
    """The page has the records of the answer, and ends at the last event that was examined."""
    found = event("a")
    rooms = '"catalog"\n"material:roble"'
    text = answer(examined=8, events=[[7, NOW, found.type, rooms, head(found), '{"former":1}']])
    page = new_script().decode_page(None, frozenset(["material:roble"]), 20, text)
    assert page.position == Offset("e", 8)
    assert not page.at_end
    (record,) = page.records
    assert record.offset == Offset("e", 7)
    assert record.rooms == ("catalog", "material:roble")
    assert record.body == found.body(format_timestamp(NOW))
    assert record.former == '{"former":1}'


def test_an_offset_outside_the_log_is_a_gap_whatever_the_answer_holds() -> None:
    """The script answers such a read with the log's state alone."""
    for after in (Offset("e", 4), Offset("e", 10), Offset("d", 7)):
        page = new_script().decode_page(after, None, 20, answer())
        assert page == Page([], Offset("e", 9), at_end=True, gap=True)


def test_the_state_is_part_of_every_answer_to_a_read() -> None:
    """Its bounds are the log's bounds."""
    state = LogScript.decode_state(answer(start=3))
    assert state == LogState("e", 3, 5, 9)
    assert state.bounds == reading.bounds("e", 5, 9)


def test_an_entry_of_the_stream_is_a_record(event: MakeEvent) -> None:
    """The order of the fields does not matter."""
    stored = event("a")
    fields = ["at", str(NOW), "id", "a", "head", head(stored), "rooms", '"catalog"', "type", "t"]
    record = new_script().decode_entry("e", ("12-0", fields))
    assert record.former is None
    moved = new_script().decode_entry("e", ("12-0", ["former", '{"former":1}', *fields]))
    assert moved.former == '{"former":1}'
    assert record.offset == Offset("e", 12)
    assert (record.type, record.rooms) == ("t", ("catalog",))
    assert record.body == stored.body(format_timestamp(NOW))


def test_a_sweep_removes_a_bounded_number_of_events_and_pieces() -> None:
    """Its arguments: the retention's bounds, how much it removes at most, blocks."""
    call = new_script().sweep_call()
    assert call.arguments[FIRST_OWN_ARGUMENT:] == (100, NOW - 60_000, 1_000_000, 500, "")
