"""Who may come back to a session, and what it is told where it can't."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.raw import Closed, raw_socketio
from tests.support.server import Server

pytestmark = pytest.mark.parametrize("transport", ["websocket", "polling"])

FURNITURE: dict[str, Any] = load_vectors("events.json")[0]["publish"]["furniture"]
Start = Callable[..., Server]


async def publish(url: str, count: int = 1, **fields: object) -> list[str]:
    """Publish events; return their offsets."""
    event = {"type": "furniture_updated", "furniture": FURNITURE | fields}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/events/batch", json={"events": [event] * count}) as answer,
    ):
        return [result["offset"] for result in (await answer.json())["results"]]


async def test_the_answer_carries_a_secret(server: Server, transport: str) -> None:
    """Of at least 128 bits, which no log line and no second client has."""
    pids = []
    for _ in range(2):
        async with raw_socketio(server.url, transport) as client:
            pids.append(client.connected["pid"])
            assert client.ready["recovered"] is False
    assert pids[0] != pids[1]
    assert all(len(pid) >= 22 for pid in pids)
    assert not [line for line in server.raw if any(pid in line for pid in pids)]


async def test_without_recovery_there_is_none(server: Server, transport: str) -> None:
    """``recovery: false`` gets no ``pid``."""
    async with raw_socketio(server.url, transport, {"recovery": False}) as client:
        assert client.connected.keys() == {"sid"}


async def test_offset_wins_over_since(server: Server, transport: str) -> None:
    """And the rooms are the session's, whatever the handshake names."""
    async with raw_socketio(server.url, transport) as client:
        offsets = await publish(server.url, 4)
        pid, sid = client.connected["pid"], client.connected["sid"]
    auth = {"pid": pid, "offset": offsets[1], "since": offsets[3], "rooms": ["author:nobody"]}
    async with raw_socketio(server.url, transport, auth) as client:
        assert client.connected == {"sid": sid, "pid": pid}
        assert client.ready["recovered"] is True
        assert (client.ready["replayed"], client.ready["rooms"]) == (2, ["catalog"])


@pytest.mark.parametrize("offset", [None, 5, "", "no offset", "zzzz-1", "BEFORE"])
async def test_an_offset_that_is_not_the_sessions_counts_as_none(
    server: Server, transport: str, offset: Any
) -> None:
    """It goes on from where the session began."""
    (before,) = await publish(server.url)
    async with raw_socketio(server.url, transport) as client:
        pid = client.connected["pid"]
    await publish(server.url, 2)
    auth = {"pid": pid, "offset": before.replace("-", "-0") if offset == "BEFORE" else offset}
    async with raw_socketio(server.url, transport, auth) as client:
        assert (client.ready["recovered"], client.ready["replayed"]) == (True, 2)


async def test_since_is_where_a_session_begins(server: Server, transport: str) -> None:
    """A client that has got nothing of its replay gets it all when it comes back."""
    offsets = await publish(server.url, 3)
    async with raw_socketio(server.url, transport, {"since": offsets[0]}) as client:
        assert client.ready["replayed"] == 2
        pid = client.connected["pid"]
    async with raw_socketio(server.url, transport, {"pid": pid}) as client:
        assert (client.ready["recovered"], client.ready["replayed"]) == (True, 2)


@pytest.mark.parametrize("pid", ["forged", "", 5, {"a": 1}])
async def test_an_unknown_session_is_a_fresh_one(server: Server, transport: str, pid: Any) -> None:
    """It is told a gap, unless it has got the log's last event."""
    (offset,) = await publish(server.url)
    for got, gap in ((None, True), ("x-1", True), (offset, False)):
        auth = {"pid": pid, "offset": got}
        async with raw_socketio(server.url, transport, auth) as client:
            assert client.connected["pid"] != pid
            assert (client.ready["recovered"], client.ready["gap"]) == (False, gap)
            assert client.ready["position"] == offset


async def test_another_identity_is_a_fresh_session(start_server: Start, transport: str) -> None:
    """And the session has ended."""
    server = start_server(producer_keys="k" * 32)
    async with raw_socketio(server.url, transport, {"token": "k" * 32}) as client:
        pid = client.connected["pid"]
    for _ in range(2):
        async with raw_socketio(server.url, transport, {"pid": pid}) as client:
            assert client.ready["recovered"] is False
    async with raw_socketio(server.url, transport, {"pid": pid, "token": "k" * 32}) as client:
        assert client.ready["recovered"] is False


async def test_past_the_retention_there_is_a_gap(start_server: Start, transport: str) -> None:
    """A fresh session, and nothing replayed."""
    server = start_server(retention_events=5)
    async with raw_socketio(server.url, transport) as client:
        (offset,) = await publish(server.url)
        pid = client.connected["pid"]
    (*_, last) = await publish(server.url, 7)
    async with raw_socketio(server.url, transport, {"pid": pid, "offset": offset}) as client:
        ready = client.ready
        assert (ready["recovered"], ready["gap"], ready["replayed"]) == (False, True, 0)
        assert ready["position"] == last


async def test_events_for_others_make_no_gap(start_server: Start, transport: str) -> None:
    """A consumer of quiet rooms got all of them, where the server saw it go."""
    server = start_server(retention_events=5)
    rooms = ["material:haya", "author:Eva"]
    async with raw_socketio(server.url, transport, {"rooms": rooms}) as client:
        (offset,) = await publish(server.url, material="haya", autor_username="Ana")
        await publish(server.url, 9, furniture_id="other", material="pino", autor_username="Ana")
        pid = client.connected["pid"]
        await client.receive("42")
        await client.send("1")
        await asyncio.to_thread(server.wait_for_log, "disconnected")
    await publish(server.url, 3, furniture_id="other", material="pino", autor_username="Ana")
    (missed,) = await publish(server.url, furniture_id="new", material="haya")
    auth = {"pid": pid, "offset": offset}
    async with raw_socketio(server.url, transport, auth) as client:
        ready = client.ready
        assert (ready["recovered"], ready["gap"], ready["replayed"]) == (True, False, 1)
        assert ready["position"] == missed


async def test_the_newest_connection_has_the_session(server: Server, transport: str) -> None:
    """The older one ends without a DISCONNECT, and can't change the rooms any more."""
    async with raw_socketio(server.url, transport) as older:
        auth = {"pid": older.connected["pid"]}
        async with raw_socketio(server.url, transport, auth) as newer:
            assert newer.connected == older.connected
            with pytest.raises(Closed):
                await older.receive("41")
            answer = await newer.call("subscribe", '"author:Eva"')
            assert answer["rooms"] == ["author:Eva", "catalog"]


async def test_rooms_count_from_their_subscribe(server: Server, transport: str) -> None:
    """Also for a client that comes back to before it."""
    async with raw_socketio(server.url, transport, {"rooms": ["author:Eva"]}) as client:
        (offset,) = await publish(server.url, autor_username="Eva")
        await publish(server.url, furniture_id="pine", material="pino")
        await client.call("subscribe", '"material:pino"')
        pid = client.connected["pid"]
    await publish(server.url, furniture_id="pine", material="pino")
    async with raw_socketio(server.url, transport, {"pid": pid, "offset": offset}) as client:
        assert client.ready["rooms"] == ["author:Eva", "material:pino"]
        assert client.ready["replayed"] == 1


async def test_rooms_that_were_left_stay_left(server: Server, transport: str) -> None:
    """An unsubscribe is kept like a subscribe."""
    rooms = ["author:Eva", "material:pino"]
    async with raw_socketio(server.url, transport, {"rooms": rooms}) as client:
        await client.call("unsubscribe", '"material:pino"')
        pid = client.connected["pid"]
    await publish(server.url, furniture_id="left", material="pino", autor_username="Ana")
    async with raw_socketio(server.url, transport, {"pid": pid}) as client:
        assert (client.ready["rooms"], client.ready["replayed"]) == (["author:Eva"], 0)


async def test_a_gap_is_told_until_it_is_known_to_have_been(server: Server, transport: str) -> None:
    """Who comes back without having got anything may not have seen the first ``ready``."""
    await publish(server.url)
    async with raw_socketio(server.url, transport, {"pid": "forged"}) as client:
        assert client.ready["gap"] is True
        pid = client.connected["pid"]
    async with raw_socketio(server.url, transport, {"pid": pid}) as client:
        assert (client.ready["recovered"], client.ready["gap"]) == (False, True)
        pid = client.connected["pid"]
        (offset,) = await publish(server.url)
    async with raw_socketio(server.url, transport, {"pid": pid, "offset": offset}) as client:
        assert (client.ready["recovered"], client.ready["gap"]) == (True, False)


@pytest.mark.parametrize("since", ["elsewhere-1", "FUTURE"])
async def test_after_a_gap_a_session_begins_where_it_was_told(
    server: Server, transport: str, since: str
) -> None:
    """What its client gets from then on counts as its own, and is no reason for another gap."""
    (offset,) = await publish(server.url)
    epoch = offset.rpartition("-")[0]
    auth = {"since": since.replace("FUTURE", f"{epoch}-999999")}
    async with raw_socketio(server.url, transport, auth) as client:
        assert (client.ready["gap"], client.ready["position"]) == (True, offset)
        pid = client.connected["pid"]
        (offset,) = await publish(server.url)
    await publish(server.url)
    async with raw_socketio(server.url, transport, {"pid": pid, "offset": offset}) as client:
        ready = client.ready
        assert (ready["recovered"], ready["gap"], ready["replayed"]) == (True, False, 1)


async def test_without_rooms_there_was_no_gap(server: Server, transport: str) -> None:
    """A session that began so is none that its client may have to be told of."""
    auth = {"pid": "forged", "rooms": []}
    async with raw_socketio(server.url, transport, auth) as client:
        assert client.ready["gap"] is False
        await client.call("subscribe", '"catalog"')
        pid = client.connected["pid"]
    await publish(server.url)
    async with raw_socketio(server.url, transport, {"pid": pid}) as client:
        assert (client.ready["recovered"], client.ready["replayed"]) == (True, 1)


async def test_what_came_before_a_subscribe_makes_no_gap(
    start_server: Start, transport: str
) -> None:
    """A room counts from its subscribe: what others in it got before is no event of its own."""
    server = start_server(retention_events=5)
    async with raw_socketio(server.url, transport, {"rooms": ["material:pino"]}):
        async with raw_socketio(server.url, transport, {"rooms": ["material:haya"]}) as client:
            await publish(server.url, furniture_id="pine", material="pino")
            await client.call("subscribe", '"material:pino"')
            await publish(server.url, 9, furniture_id="other", material="roble")
            pid = client.connected["pid"]
            await client.send("1")
            await asyncio.to_thread(server.wait_for_log, "disconnected")
        async with raw_socketio(server.url, transport, {"pid": pid}) as client:
            ready = client.ready
            assert (ready["recovered"], ready["gap"], ready["replayed"]) == (True, False, 0)
