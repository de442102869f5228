"""The open connections: counted, removed once, closed when superseded or when the server drains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sio_server.access.identity import ANONYMOUS
from sio_server.access.principals import Principal
from sio_server.access.rates import RateLimit
from sio_server.access.revocations import Revocations
from sio_server.access.sources import Source
from sio_server.delivery import connections as module
from sio_server.delivery.connections import Connection, Connections, Ends
from sio_server.delivery.cursor import Cursor
from sio_server.delivery.resume import Start
from sio_server.delivery.sessions import ConsumerSession
from sio_server.eventlog.session_contract import Superseded
from sio_server.metrics import Metrics
from tests.unit.delivery.node import Node, Outlet, offset

SOURCE = Source("127.0.0.1", "http://localhost", is_local=True)
PRINCIPAL = Principal(ANONYMOUS, may_publish=False, may_consume=True)


@pytest.fixture
def metrics() -> Metrics:
    """Return counters of the test's own."""
    return Metrics()


@pytest.fixture
async def connections(node: Node, metrics: Metrics) -> Connections:
    """Return a registry over the node's fan-out, without connections."""
    return Connections(node.fanout, metrics, Revocations(60))


def open_connection(
    connections: Connections, connection: Connection, close: Callable[[], None]
) -> None:
    """Open a connection whose consumer starts at the head."""
    connections.open(connection, Ends(close, lambda error: None), Start, lambda caught_up: None)


def make_connection(session: ConsumerSession | None = None) -> Connection:
    """Return a consumer's connection."""
    cursor = Cursor(Outlet(), ["catalog"], offset(0))
    return Connection("socketio", PRINCIPAL, SOURCE, cursor, RateLimit(100), session)


async def test_open_connections_are_counted(connections: Connections, metrics: Metrics) -> None:
    """A second removal does not count."""
    first, second = make_connection(), make_connection()
    for connection in (first, second):
        open_connection(connections, connection, lambda: None)
    assert len(connections) == 2
    for _ in range(2):
        connections.remove(first, "client disconnect")
    assert len(connections) == 1
    assert b'sio_connections{transport="socketio"} 1.0' in metrics.render()


async def test_a_removed_connection_receives_nothing(connections: Connections, node: Node) -> None:
    """Its cursor leaves the fan-out."""
    cursor, outlet = node.join()
    connection = Connection("sse", PRINCIPAL, SOURCE, cursor, RateLimit(100))
    open_connection(connections, connection, lambda: None)
    node.publish("catalog")
    connections.remove(connection, "transport close")
    assert node.publish("catalog") == 0
    assert outlet.seqs == [1]


async def test_a_superseded_connection_is_closed(connections: Connections) -> None:
    """Its session has another owner now. A connection that still owns its session stays open."""
    session = ConsumerSession("sid", "anonymous", offset(0), {})
    closed: list[str] = []
    open_connection(connections, make_connection(session), lambda: closed.append("session"))
    open_connection(connections, make_connection(), lambda: closed.append("none"))
    connections.close_superseded(
        [Superseded("unknown", "x"), Superseded(session.key, session.owner)]
    )
    assert closed == []
    connections.close_superseded([Superseded(session.key, "a later connection")])
    assert closed == ["session"]


async def test_the_older_connection_of_a_session_does_not_remove_the_newer(
    connections: Connections,
) -> None:
    """Both are on this server for a moment. The newer one is still found by its session."""
    session = ConsumerSession("sid", "anonymous", offset(0), {})
    older, newer = make_connection(session), make_connection(session)
    closed: list[str] = []
    open_connection(connections, older, lambda: closed.append("older"))
    open_connection(connections, newer, lambda: closed.append("newer"))
    connections.remove(older, "transport close")
    connections.close_superseded([Superseded(session.key, "a later connection")])
    assert closed == ["newer"]


async def test_a_drain_closes_every_connection(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses between them add up to the given time at most, for any number of connections."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    closed: list[int] = []
    for number in range(4):
        open_connection(connections, make_connection(), lambda number=number: closed.append(number))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(module, "DRAIN_PAUSE_SECONDS", 1.0)
    await connections.close_all(2.0)
    assert closed == [0, 1, 2, 3]
    assert pauses == [0.5] * 4


async def test_a_connection_that_opens_after_a_drain_is_closed_at_once(
    connections: Connections,
) -> None:
    """It was opening when the others were closed."""
    await connections.close_all(0)
    closed: list[bool] = []
    open_connection(connections, make_connection(), lambda: closed.append(True))
    assert closed == [True]
