"""Reported issues about recovery and retries: their scenarios on ``socket.io``, and on our server.

Each scenario is written once, with an unmodified socket.io-client. A test of the kind ``node`` says
what ``socket.io`` does. If it fails after an upgrade, the issue may be fixed: then change the test
and its row in ``docs/compare.md``.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.socketio_issues.servers import FURNITURE, OurServer, Servers, away, result
from tests.support.node import node_client
from tests.support.proxy import proxied
from tests.support.server import ROOT

BOTH = pytest.mark.parametrize("kind", ["node", "ours"])
WEBSOCKET: dict[str, Any] = {"transports": ["websocket"]}

RECOVERED = (True, ["seen", "missed", "after"])
NEW_SESSION = (False, ["seen", "after"])
"""The page has a new session, and never receives the missed event."""


@pytest.mark.parametrize("kind", ["stock", "node", "ours"])
async def test_python_socketio_1258_recovery_in_a_python_server(
    kind: str, servers: Servers
) -> None:
    """After a short loss of its connection, a client has its session and the missed event.

    It is also the control of the other tests: ``socket.io`` passes it.
    """
    server = await servers.start()
    async with proxied(server.port) as proxy, node_client(proxy.url, **WEBSOCKET) as client:
        await client.wait_for("connect")
        await server.publish("seen")
        await client.wait_for("event", id="seen")
        async with away(server, proxy, client):
            await server.publish("missed")
        await server.publish("after")
        await client.wait_for("event", id="after")
        assert result(client) == (NEW_SESSION if kind == "stock" else RECOVERED)


@BOTH
async def test_socketio_5413_recovery_after_a_restart(kind: str, servers: Servers) -> None:
    """The server is killed and started again while the client is away."""
    server = await servers.start()
    async with proxied(server.port) as proxy, node_client(proxy.url, **WEBSOCKET) as client:
        await client.wait_for("connect")
        await server.publish("seen")
        await client.wait_for("event", id="seen")
        async with away(server, proxy, client):
            await server.kill()
            server = await servers.start(port=server.port)
            await server.publish("missed")
        await server.publish("after")
        await client.wait_for("event", id="after")
        assert result(client) == {"node": NEW_SESSION, "ours": RECOVERED}[kind]


@BOTH
async def test_socketio_5538_recovery_before_the_first_event(kind: str, servers: Servers) -> None:
    """The client loses its connection before the server has sent it any event."""
    server = await servers.start()
    async with proxied(server.port) as proxy, node_client(proxy.url, **WEBSOCKET) as client:
        await client.wait_for("connect")
        async with away(server, proxy, client):
            await server.publish("missed")
        await server.publish("after")
        await client.wait_for("event", id="after")
        expected = {"node": (False, ["after"]), "ours": (True, ["missed", "after"])}
        assert result(client) == expected[kind]


@BOTH
async def test_socketio_5282_recovery_long_after_the_last_event(
    kind: str, servers: Servers
) -> None:
    """The client's last event is deleted when it loses its connection, for a short time only."""
    server = await servers.start(forgets=True)
    async with proxied(server.port) as proxy, node_client(proxy.url, **WEBSOCKET) as client:
        await client.wait_for("connect")
        await server.publish("seen")
        await client.wait_for("event", id="seen")
        await server.forget()
        async with away(server, proxy, client):
            await server.publish("missed")
            if isinstance(server, OurServer):
                assert await server.kept() == ["missed"]
        await server.publish("after")
        await client.wait_for("event", id="after")
        assert result(client) == {"node": NEW_SESSION, "ours": RECOVERED}[kind]


@BOTH
async def test_socketio_4880_recovery_more_than_once(kind: str, servers: Servers) -> None:
    """At the second loss, the server notices the end of the old connection after the reconnect.

    ``socket.io`` then removes the new connection from all rooms, because both have the same id. The
    client is connected, and gets answers, but no event any more.
    """
    server = await servers.start()
    async with (
        proxied(server.port) as proxy,
        node_client(proxy.url, **WEBSOCKET) as client,
        node_client(server.url, **WEBSOCKET) as witness,
    ):
        await client.wait_for("connect")
        await witness.wait_for("connect")
        await server.publish("seen")
        await client.wait_for("event", id="seen")
        async with away(server, proxy, client):
            await server.publish("missed")
        await client.wait_for("event", id="missed")
        proxy.silence()
        await client.do("drop")
        assert (await client.wait_for("connect", 3))["recovered"]
        proxy.cut_silent()
        await server.notice(2)
        await server.publish("after")
        await witness.wait_for("event", id="after")
        if kind == "node":
            await client.call("ping", {})  # its answer would come after the event
        else:
            await client.wait_for("event", id="after")
        expected = {"node": (True, ["seen", "missed"]), "ours": RECOVERED}
        assert result(client) == expected[kind]


@BOTH
async def test_redis_streams_adapter_27_recovery_on_another_server(
    kind: str, servers: Servers, own_valkey: str
) -> None:
    """Two servers share a Valkey. The client's server is killed; it reconnects to the other one."""
    first, second = [await servers.start(valkey=own_valkey) for _ in range(2)]
    async with proxied(first.port) as proxy, node_client(proxy.url, **WEBSOCKET) as client:
        await client.wait_for("connect")
        await first.publish("seen")
        await client.wait_for("event", id="seen")
        proxy.open = False
        await first.kill()
        await client.wait_for("disconnect")
        await second.publish("missed")
        proxy.target = second.port
        proxy.open = True
        await client.wait_for("connect", 2)
        await second.publish("after")
        await client.wait_for("event", id="after")
        assert result(client) == {"node": NEW_SESSION, "ours": RECOVERED}[kind]


@BOTH
@pytest.mark.parametrize("first_event", [True, False], ids=["an event", "no event"])
async def test_redis_streams_adapter_48_recovery_after_some_heartbeats(
    kind: str, servers: Servers, own_valkey: str, first_event: bool
) -> None:
    """As in the report, the connection is older than a heartbeat, and there was no event.

    On ``socket.io`` the missing event is the reason: with an event, the age does no harm.
    """
    server = await servers.start(valkey=own_valkey, heartbeat=0.5)
    async with proxied(server.port) as proxy, node_client(proxy.url, **WEBSOCKET) as client:
        await client.wait_for("connect")
        if first_event:
            await server.publish("seen")
            await client.wait_for("event", id="seen")
        await client.wait_for("heartbeat", 2)
        async with away(server, proxy, client):
            await server.publish("missed")
        await server.publish("after")
        await client.wait_for("event", id="after")
        recovered = first_event or kind == "ours"
        expected = ["seen"] * first_event + ["missed"] * recovered + ["after"]
        assert result(client) == (recovered, expected)


@BOTH
async def test_socketio_5334_retries_repeat_no_event(kind: str, servers: Servers) -> None:
    """The server is frozen, so that its answer comes after the client has sent the event again."""
    server = await servers.start()
    options = {"ackTimeout": 500, "retries": 3, **WEBSOCKET}
    async with node_client(server.url, **options) as client:
        await client.wait_for("connect")
        server.send_signal(signal.SIGSTOP)
        event = {"id": "once", "furniture": FURNITURE}
        await client.do("emit", event="furniture_updated", argument=event)
        await client.wait_for("sent", 2)
        server.send_signal(signal.SIGCONT)
        await client.wait_for("ack")
        await server.publish("after")
        await client.wait_for("event", id="after")
        times = {"node": len(client.all("sent")), "ours": 1}[kind]
        assert result(client) == (False, ["once"] * times + ["after"])


def test_the_page_has_a_row_for_each_test() -> None:
    """``docs/compare.md`` names the tests of this file, and no others."""
    page = (ROOT / "docs/compare.md").read_text()
    tests = {name for name in globals() if name.startswith("test_") and "_the_page_" not in name}
    assert {word for word in page.split("`") if word.startswith("test_")} == tests
