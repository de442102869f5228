"""The plan of an append: offsets, duplicates, conflicts, rooms and states, without any log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from sio_server.contract.errors import IdConflict
from sio_server.contract.events import Event, Offset, Receipt, Record, format_timestamp
from sio_server.eventlog.appending import AppendPlan, NewState, PieceState

MakeEvent = Callable[..., Event]

NOW = 1_700_000_000_250


def new_plan(
    records: dict[str, Record] | None = None, states: dict[str, PieceState] | None = None
) -> AppendPlan:
    """Plan an append to a log with seven events, of which these can be found."""
    return AppendPlan(
        Offset("e", 7),
        NOW,
        find=(records or {}).get,
        last_state=(states or {}).get,
    )


def test_new_events_follow_the_logs_end(event: MakeEvent) -> None:
    """Each event gets the next seq, and a record with its receipt's offset and timestamp."""
    plan = new_plan()
    events = [event("a"), event("b")]
    receipts = [plan.add(each) for each in events]
    timestamp = format_timestamp(NOW)
    assert receipts == [
        Receipt("a", Offset("e", 8), timestamp),
        Receipt("b", Offset("e", 9), timestamp),
    ]
    assert list(plan.records) == ["a", "b"]
    assert [record.offset.seq for record in plan.records.values()] == [8, 9]
    assert [record.body for record in plan.records.values()] == [
        each.body(timestamp) for each in events
    ]


def test_an_id_of_the_log_gets_the_first_receipt(event: MakeEvent) -> None:
    """The plan stays empty; the receipt carries the offset and timestamp of the first append."""
    first = event("a")
    record = Record(Offset("e", 3), first.type, (), first.body("2023-01-01T00:00:00.000Z"))
    plan = new_plan({"a": record})
    assert plan.add(event("a")) == Receipt(
        "a", Offset("e", 3), "2023-01-01T00:00:00.000Z", duplicate=True
    )
    assert isinstance(plan.add(event("a", nombre="Silla")), IdConflict)
    assert (plan.records, plan.states) == ({}, {})


def test_an_id_of_the_same_append_is_a_duplicate_or_a_conflict_too(event: MakeEvent) -> None:
    """A plan looks for an id among its own records first, and takes no seq for a repeated id."""
    plan = new_plan()
    first = plan.add(event("a"))
    repeated, conflict, other = map(plan.add, [event("a"), event("a", nombre="Silla"), event("b")])
    assert isinstance(first, Receipt)
    assert repeated == replace(first, duplicate=True)
    assert isinstance(conflict, IdConflict)
    assert isinstance(other, Receipt)
    assert other.offset.seq == 9


def test_a_record_has_the_rooms_of_the_last_state(event: MakeEvent) -> None:
    """The last state comes from the log for the first event, then from the plan itself."""
    plan = new_plan(states={"mesa": PieceState(("material:pino", "author:Juan"), '"pine"')})
    plan.add(event("a", material="roble"))
    plan.add(event("b", material="haya"))
    rooms = [set(record.rooms) for record in plan.records.values()]
    assert "material:pino" in rooms[0]
    assert "material:roble" in rooms[1]
    assert "material:pino" not in rooms[1]
    furniture = event(material="haya").furniture_json
    state = PieceState(("material:haya", "author:Juan"), furniture)
    assert plan.states == {"mesa": NewState(9, state)}


def test_a_record_has_the_former_state_if_it_left_a_room(event: MakeEvent) -> None:
    """Otherwise every consumer that may see the former state may see the event, too."""
    plan = new_plan(states={"mesa": PieceState(("material:pino", "author:Juan"), '"pine"')})
    plan.add(event("a", material="roble"))
    plan.add(event("b", material="roble", nombre="Silla"))
    plan.add(Event("furniture_deleted", event(autor_username="Ana").furniture, "c"))
    plan.add(event("d", material="haya"))
    former = [record.former for record in plan.records.values()]
    assert former == ['"pine"', None, event(material="roble", nombre="Silla").furniture_json, None]


def test_the_former_state_of_an_older_log_is_unknown(event: MakeEvent) -> None:
    """Its rooms are known."""
    plan = new_plan(states={"mesa": PieceState(("material:pino", "author:Juan"), None)})
    plan.add(event("a", material="roble"))
    assert "material:pino" in plan.records["a"].rooms
    assert plan.records["a"].former is None


def test_states_have_the_order_of_their_last_events(event: MakeEvent) -> None:
    """By this order a log knows which pieces are the longest unchanged."""
    plan = new_plan()
    for piece in ("a", "b", "c", "a"):
        plan.add(event(furniture_id=piece))
    assert [(piece, state.seq) for piece, state in plan.states.items()] == [
        ("b", 9),
        ("c", 10),
        ("a", 11),
    ]


def test_a_deleted_piece_has_no_state(event: MakeEvent) -> None:
    """The plan marks it as deleted, and its next event has no earlier rooms."""
    plan = new_plan(states={"mesa": PieceState(("material:pino",), None)})
    plan.add(Event("furniture_deleted", event().furniture, "a"))
    assert plan.states == {"mesa": NewState(8, None)}
    plan.add(event("b", material="haya"))
    assert "material:pino" not in plan.records["b"].rooms
    assert json.loads(plan.records["b"].body)["id"] == "b"
