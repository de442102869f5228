"""What a history is drawn from: few names, so that events and consumers meet."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from hypothesis import strategies as st

from sio_server.contract.events import EVENT_TYPES

CLIENTS = 3
PIECES, MATERIALS, AUTHORS = ("mesa", "silla"), ("roble", "pino"), ("ana", "eva")
ROOMS = (
    "catalog",
    *(f"furniture:{name}" for name in PIECES),
    *(f"material:{name}" for name in MATERIALS),
    *(f"author:{name}" for name in AUTHORS),
    *(f"type:{name}" for name in EVENT_TYPES),
)

Drawn = TypeVar("Drawn")


class Draft(NamedTuple):
    """An event to publish.

    Attributes:
        again: use the id of the event that came so long ago; None: a new one.
        same: it is that event once more, otherwise another one.
    """

    type: str
    piece: str
    material: str
    author: str
    again: int | None
    same: bool


class Point(NamedTuple):
    """A place to name: counted from the log's end or oldest, a session's start, or what was got."""

    of: str
    number: int


class How(NamedTuple):
    """How a client connects.

    Attributes:
        rooms: those that it names; None: none at all.
        recovery: it wants offsets and a ``pid``.
        bound: how many packets may be unread; None: it reads each at once.
        published_first: what is published meanwhile is sent earlier, not later.
    """

    rooms: list[str] | None
    recovery: bool
    bound: int | None
    published_first: bool


def rarely(strategy: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn | None]:
    """Draw None most of the time."""
    return st.integers(0, 5).flatmap(lambda number: strategy if number == 5 else st.none())


who = st.integers(0, CLIENTS - 1)
rooms = st.lists(st.sampled_from(ROOMS), max_size=3, unique=True)
draft = st.builds(
    Draft,
    st.sampled_from(EVENT_TYPES),
    st.sampled_from(PIECES),
    st.sampled_from(MATERIALS),
    st.sampled_from(AUTHORS),
    rarely(st.integers(1, 8)),
    st.booleans(),
)
drafts = st.lists(draft, min_size=1, max_size=5)
few_drafts = rarely(drafts).map(lambda drawn: drawn or [])
how = st.builds(
    How,
    st.none() | rooms | rooms,
    st.integers(0, 7).map(lambda number: number < 7),
    rarely(st.integers(0, 3)),
    st.booleans(),
)
share = st.sampled_from((0.6, 1.1))
_places = (
    st.builds(Point, st.just("end"), st.integers(0, 4))
    | st.builds(Point, st.just("oldest"), st.integers(-1, 1))
    | st.builds(Point, st.just("future"), st.integers(1, 3))
    | st.builds(Point, st.just("elsewhere"), st.integers(0, 3))
)
since = st.none() | st.none() | _places
claim = (
    st.builds(Point, st.just("got"), st.just(0))
    | st.builds(Point, st.just("got"), st.just(0))
    | st.builds(Point, st.just("got"), st.integers(0, 4))
    | st.builds(Point, st.just("start"), st.integers(-1, 0))
    | st.none()
    | _places
)
