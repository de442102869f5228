"""The start of a consumer: its position, whether it is recovered, and whether it has a gap.

One row for each sentence of the contract about gaps and connection state recovery. The log of the
tests keeps the events after 10 up to 20, and this server has delivered all of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sio_server.contract.events import Offset
from sio_server.delivery.resume import (
    GapCause,
    LastSeen,
    Result,
    ResumeRequest,
    SessionPast,
    Start,
    resume,
)
from sio_server.eventlog.contract import Bounds

OLDEST, HEAD = 10, 20


def at(seq: int, epoch: str = "epoch") -> Offset:
    """Return an offset."""
    return Offset(epoch, seq)


BOUNDS = Bounds(at(OLDEST), at(HEAD))
AT_HEAD = Start(at(HEAD))
GAP = Start(at(HEAD), gap=True)


class Row(NamedTuple):
    """A sentence of the contract, and one case of it."""

    sentence: str
    request: ResumeRequest
    session: SessionPast | None
    expected: Start


def since(seq: int, epoch: str = "epoch", **options: Any) -> ResumeRequest:
    """Ask for the events after an offset."""
    return ResumeRequest(since=at(seq, epoch), **options)


def claim(offset: object = None, **options: Any) -> ResumeRequest:
    """Present a ``pid``, and the offset of the last received event."""
    offset = str(at(offset)) if isinstance(offset, int) else offset
    return ResumeRequest(claims_session=True, last_offset=offset, **options)


def session(
    start: int,
    *,
    epoch: str = "epoch",
    gap: bool = False,
    seen: tuple[int, int] | None = None,
) -> SessionPast:
    """Return a session that began at ``start``. ``seen``: position and last event at its end."""
    last_seen = None if seen is None else LastSeen(at(seen[0], epoch), seen[1])
    return SessionPast(at(start, epoch), gap, last_seen)


def recovered(seq: int) -> Start:
    """Continue a session after an offset."""
    return Start(at(seq), recovered=True)


ROWS = [
    # Gap.
    Row("a client without a past starts at the head", ResumeRequest(), None, AT_HEAD),
    Row("an offset within the log is no gap", since(15), None, Start(at(15))),
    Row("the oldest kept offset is no gap", since(10), None, Start(at(10))),
    Row("the log's position is no gap", since(20), None, Start(at(20))),
    Row("an offset of another epoch is a gap", since(15, "other"), None, GAP),
    Row("an offset of the future is a gap", since(21), None, GAP),
    Row("an offset older than the oldest kept event is a gap", since(9), None, GAP),
    Row("without rooms there is nothing to miss", since(9, has_rooms=False), None, AT_HEAD),
    # Connection state recovery: a session that the store knows.
    Row("a session continues after the client's offset", claim(15), session(12), recovered(15)),
    Row("without an offset it continues from its start", claim(), session(12), recovered(12)),
    Row("a client that has everything has no gap", claim(20), session(12), recovered(20)),
    Row(
        "offset wins over since",
        ResumeRequest(since=at(11), claims_session=True, last_offset=str(at(15))),
        session(12),
        recovered(15),
    ),
    Row(
        "on a recovered connection since is ignored, even if it is a gap",
        ResumeRequest(since=at(1), claims_session=True),
        session(12),
        recovered(12),
    ),
    Row(
        "an offset of another epoch counts as none",
        claim(str(at(15, "other"))),
        session(12),
        recovered(12),
    ),
    Row(
        "an offset from before the session's start counts as none",
        claim(11),
        session(12),
        recovered(12),
    ),
    Row("an ill-formed offset counts as none", claim("no offset!"), session(12), recovered(12)),
    Row("an offset that is no text counts as none", claim(["x"]), session(12), recovered(12)),
    Row("a session of an epoch that is gone is lost", claim(), session(12, epoch="other"), GAP),
    Row("a session that began in the future is lost", claim(), session(21), GAP),
    Row("a claimed offset of the future is a gap", claim(21), session(12), GAP),
    Row(
        "a session that began with a gap tells it to a client that has no event of it",
        claim(),
        session(12, gap=True),
        GAP,
    ),
    Row(
        "a session that began with a gap continues after an event of it",
        claim(15),
        session(12, gap=True),
        recovered(15),
    ),
    # The retention has passed the client's offset.
    Row("the retention passed unknown events", claim(5), session(2), GAP),
    Row(
        "the retention passed only events that were not for the consumer",
        claim(5),
        session(2, seen=(14, 5)),
        recovered(14),
    ),
    Row(
        "the same without an offset, for a session that received nothing",
        claim(),
        session(2, seen=(14, 0)),
        recovered(14),
    ),
    Row(
        "the retention passed an event that was written, and that the client does not have",
        claim(5),
        session(2, seen=(14, 6)),
        GAP,
    ),
    Row(
        "the retention passed even the position at the disconnect",
        claim(5),
        session(2, seen=(9, 5)),
        GAP,
    ),
    Row(
        "the oldest kept offset at the disconnect is no gap",
        claim(5),
        session(2, seen=(10, 5)),
        recovered(10),
    ),
    # A session that the store does not know.
    Row("an unknown pid is a fresh session with a gap", claim(15), None, GAP),
    Row("an unknown pid without an offset is a gap", claim(), None, GAP),
    Row("unless the client's offset is the log's position", claim(20), None, AT_HEAD),
    Row("an offset of the future is not the position", claim(21), None, GAP),
    Row("an unknown pid without rooms is no gap", claim(has_rooms=False), None, AT_HEAD),
    Row(
        "an unknown pid with since starts there",
        ResumeRequest(since=at(15), claims_session=True, last_offset=str(at(12))),
        None,
        Start(at(15)),
    ),
    Row(
        "a lost session with since starts there",
        ResumeRequest(since=at(15), claims_session=True, last_offset=str(at(5))),
        session(2),
        Start(at(15)),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_the_start_follows_the_contract(row: Row) -> None:
    """Each sentence of the contract has its row."""
    assert resume(row.request, row.session, BOUNDS, at(HEAD)) == row.expected


def test_a_head_that_moves_meanwhile_is_a_gap_for_a_lost_session() -> None:
    """The offset was the log's position at the handshake, and an event came before the start."""
    assert resume(claim(HEAD), None, BOUNDS, at(HEAD + 1)) == Start(at(HEAD + 1), gap=True)


def test_an_offset_of_the_future_stays_a_gap_when_the_head_reaches_it() -> None:
    """The client cannot have that event: it claimed the offset before the event existed."""
    assert resume(claim(HEAD + 1), None, BOUNDS, at(HEAD + 1)) == Start(at(HEAD + 1), gap=True)


@pytest.mark.parametrize(
    ("request_", "past", "cause"),
    [
        (since(9), None, GapCause.RETENTION),
        (since(15, "other"), None, GapCause.EPOCH),
        (since(21), None, GapCause.FUTURE),
        (claim(), None, GapCause.NO_SESSION),
        (claim("?"), None, GapCause.NO_SESSION),
        (claim(15), None, GapCause.NO_SESSION),
        (claim(9), None, GapCause.RETENTION),
        (claim(str(at(15, "other"))), None, GapCause.EPOCH),
        (claim(), session(15, gap=True), GapCause.EARLIER_GAP),
        (claim(), session(5), GapCause.RETENTION),
        (claim(), session(15, epoch="other"), GapCause.EPOCH),
        (claim(), session(25), GapCause.FUTURE),
    ],
)
def test_every_gap_has_a_cause(
    request_: ResumeRequest, past: SessionPast | None, cause: GapCause
) -> None:
    """The metrics count it, so that an operator knows what to change."""
    start = resume(request_, past, BOUNDS, at(HEAD))
    assert (start.cause, start.result) == (cause, Result.GAP)


@pytest.mark.parametrize(
    ("request_", "past", "result"),
    [
        (ResumeRequest(), None, None),
        (claim(15), session(12), Result.RECOVERED),
        (since(15), None, Result.RESUMED),
        (claim(20), None, Result.RESUMED),
        (claim(has_rooms=False), None, Result.RESUMED),
        (since(5, has_rooms=False), None, Result.RESUMED),
    ],
)
def test_a_start_has_a_result(
    request_: ResumeRequest, past: SessionPast | None, result: Result | None
) -> None:
    """A consumer that says nothing about its past has none."""
    start = resume(request_, past, BOUNDS, at(HEAD))
    assert (start.result, start.cause) == (result, None)


seqs = st.integers(0, 25)
requests = st.builds(
    ResumeRequest,
    since=st.none() | st.builds(at, seqs),
    claims_session=st.booleans(),
    last_offset=st.none() | st.builds(lambda seq: str(at(seq)), seqs),
    has_rooms=st.booleans(),
)
pasts = st.none() | st.builds(
    SessionPast,
    st.builds(at, seqs),
    st.booleans(),
    st.none() | st.builds(LastSeen, st.builds(at, seqs), seqs),
)


@given(requests, pasts)
def test_a_start_without_a_gap_is_within_the_log(
    request: ResumeRequest, past: SessionPast | None
) -> None:
    """Events after such a start are all in the log, so that nothing is missed."""
    start = resume(request, past if request.claims_session else None, BOUNDS, at(HEAD))
    assert not (start.gap and start.recovered)
    assert not (start.gap and not request.has_rooms)
    assert start.gap == (start.cause is not None)
    assert (start.result is not None) == request.has_past
    if start.gap:
        assert start.position == at(HEAD)
    if start.recovered:
        assert past is not None
        assert start.position.seq >= OLDEST
    elif not start.gap:
        assert BOUNDS.has_all_after(start.position)
