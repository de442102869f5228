"""The strategies of the rules: few clients, rooms and pieces, so that events and consumers meet."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar

from hypothesis import strategies as st

from sio_server.contract.events import EVENT_TYPES
from tests.histories.model import EVERYTHING, Sight

CLIENTS = 3
PIECES, MATERIALS, AUTHORS = ("mesa", "silla"), ("roble", "pino"), ("ana", "eva")
ROOMS = (
    "catalog",
    *(f"furniture:{name}" for name in PIECES),
    *(f"material:{name}" for name in MATERIALS),
    *(f"author:{name}" for name in AUTHORS),
    *(f"type:{name}" for name in EVENT_TYPES),
)

Value = TypeVar("Value")


class Draft(NamedTuple):
    """An event to publish.

    Attributes:
        reuses_id: take the id of the event this many places before the end; None: a new id.
        repeats: with the id, take the whole event, so that it is a duplicate and no conflict.
    """

    type: str
    piece: str
    material: str
    author: str
    reuses_id: int | None
    repeats: bool


class OffsetChoice(NamedTuple):
    """An offset that a client sends, before the history tells its value.

    Attributes:
        base: the log's end or its oldest offset; a place in the future or in another epoch; an
            event that the client received; the start of its session.
        number: the distance from that, or the place in another epoch.
    """

    base: Literal["end", "oldest", "future", "another epoch", "received", "session start"]
    number: int


class ConnectOptions(NamedTuple):
    """How a client connects.

    Attributes:
        rooms: the rooms in its handshake; None: the handshake names no rooms.
        recovery: it wants offsets and a ``pid``.
        max_unread: the most unread packets within its buffer; None: it reads at once.
        publish_first: events are published right before it connects, and not right after.
    """

    rooms: list[str] | None
    recovery: bool
    max_unread: int | None
    publish_first: bool


def rarely(strategy: st.SearchStrategy[Value]) -> st.SearchStrategy[Value | None]:
    """Draw a value of the strategy in one of six cases, and None in the others."""
    return st.integers(0, 5).flatmap(lambda number: strategy if number == 5 else st.none())


sights: st.SearchStrategy[Sight] = st.sampled_from(
    (
        EVERYTHING,
        ("material:roble",),
        ("material:roble", "author:ana"),
        ("furniture:mesa", "material:pino"),
        ("author:*",),
        ("type:furniture_created", "author:eva"),
    )
)
client_indexes = st.integers(0, CLIENTS - 1)
room_lists = st.lists(st.sampled_from(ROOMS), max_size=3, unique=True)
drafts = st.builds(
    Draft,
    st.sampled_from(EVENT_TYPES),
    st.sampled_from(PIECES),
    st.sampled_from(MATERIALS),
    st.sampled_from(AUTHORS),
    rarely(st.integers(1, 8)),
    st.booleans(),
)
draft_lists = st.lists(drafts, min_size=1, max_size=5)
mostly_no_drafts = rarely(draft_lists).map(lambda drawn: drawn or [])
connect_options = st.builds(
    ConnectOptions,
    st.none() | room_lists | room_lists,
    st.integers(0, 7).map(lambda number: number < 7),
    rarely(st.integers(0, 3)),
    st.booleans(),
)
lifetime_shares = st.sampled_from((0.6, 1.1))
_log_offsets = (
    st.builds(OffsetChoice, st.just("end"), st.integers(0, 4))
    | st.builds(OffsetChoice, st.just("oldest"), st.integers(-1, 1))
    | st.builds(OffsetChoice, st.just("future"), st.integers(1, 3))
    | st.builds(OffsetChoice, st.just("another epoch"), st.integers(0, 3))
)
since_choices = st.none() | st.none() | _log_offsets
claims = (
    st.builds(OffsetChoice, st.just("received"), st.just(0))
    | st.builds(OffsetChoice, st.just("received"), st.just(0))
    | st.builds(OffsetChoice, st.just("received"), st.integers(0, 4))
    | st.builds(OffsetChoice, st.just("session start"), st.integers(-1, 0))
    | st.none()
    | _log_offsets
)
