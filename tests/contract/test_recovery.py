"""Session recovery: which client may recover a session, and when a gap is announced."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.raw import Closed, RawSocketIO, raw_socketio
from tests.support.server import Server, wait_until

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


async def leave(client: RawSocketIO, server: Server) -> None:
    """End a transport, so that its client can recover, and wait until the server has noticed."""

    def disconnects() -> int:
        return sum(line["message"] == "disconnected" for line in server.log)

    before = disconnects()
    await client.send("1")
    await asyncio.to_thread(wait_until, lambda: disconnects() > before, "the client is gone")


async def test_a_connect_answer_carries_a_secret_pid(server: Server, transport: str) -> None:
    """It has at least 128 bits. No second client has it, and no log line shows it."""
    pids = []
    for _ in range(2):
        async with raw_socketio(server.url, transport) as client:
            pids.append(client.connected["pid"])
            assert client.ready["recovered"] is False
    assert pids[0] != pids[1]
    assert all(len(pid) >= 22 for pid in pids)
    assert not [line for line in server.raw if any(pid in line for pid in pids)]


async def test_a_client_that_refuses_recovery_gets_no_pid(server: Server, transport: str) -> None:
    """The handshake refuses it by ``recovery: false``."""
    async with raw_socketio(server.url, transport, {"recovery": False}) as client:
        assert client.connected.keys() == {"sid"}


async def test_offset_wins_over_since(server: Server, transport: str) -> None:
    """The rooms are the session's too: the handshake's rooms are ignored."""
    async with raw_socketio(server.url, transport) as client:
        offsets = await publish(server.url, 4)
        pid, sid = client.connected["pid"], client.connected["sid"]
    auth = {"pid": pid, "offset": offsets[1], "since": offsets[3], "rooms": ["author:nobody"]}
    async with raw_socketio(server.url, transport, auth) as client:
        assert client.connected == {"sid": sid, "pid": pid}
        assert client.ready["recovered"] is True
        assert (client.ready["replayed"], client.ready["rooms"]) == (2, ["catalog"])


@pytest.mark.parametrize("offset", [None, 5, "", "no offset", "zzzz-1", "before the start"])
async def test_an_offset_that_is_not_the_sessions_counts_as_none(
    server: Server, transport: str, offset: Any
) -> None:
    """The session continues from its start."""
    before, _ = await publish(server.url, 2)
    async with raw_socketio(server.url, transport) as client:
        pid = client.connected["pid"]
    await publish(server.url, 2)
    auth = {"pid": pid, "offset": before if offset == "before the start" else offset}
    async with raw_socketio(server.url, transport, auth) as client:
        assert (client.ready["recovered"], client.ready["replayed"]) == (True, 2)


async def test_a_session_starts_at_since(server: Server, transport: str) -> None:
    """A client that received no event of its replay receives all of it when it recovers."""
    offsets = await publish(server.url, 3)
    async with raw_socketio(server.url, transport, {"since": offsets[0]}) as client:
        assert client.ready["replayed"] == 2
        pid = client.connected["pid"]
    async with raw_socketio(server.url, transport, {"pid": pid}) as client:
        assert (client.ready["recovered"], client.ready["replayed"]) == (True, 2)


@pytest.mark.parametrize("pid", ["forged", "", 5, {"a": 1}])
async def test_an_unknown_pid_gets_a_fresh_session(
    server: Server, transport: str, pid: Any
) -> None:
    """A gap is announced, unless the client has the log's last event."""
    (offset,) = await publish(server.url)
    for last_offset, gap in ((None, True), ("x-1", True), (offset, False)):
        auth = {"pid": pid, "offset": last_offset}
        async with raw_socketio(server.url, transport, auth) as client:
            assert client.connected["pid"] != pid
            assert (client.ready["recovered"], client.ready["gap"]) == (False, gap)
            assert client.ready["position"] == offset


async def test_another_identity_gets_a_fresh_session(start_server: Start, transport: str) -> None:
    """The owner of the session notices nothing, and can recover it later."""
    server = start_server(producer_keys="k" * 32)
    token = {"token": "k" * 32}
    async with raw_socketio(server.url, transport, token) as owner:
        pid, sid = owner.connected["pid"], owner.connected["sid"]
        async with raw_socketio(server.url, transport, {"pid": pid}) as other:
            assert (other.ready["recovered"], other.ready["gap"]) == (False, True)
            assert other.connected["pid"] != pid
            assert other.connected["sid"] != sid
        answer = await owner.call("subscribe", '"author:Eva"')
        assert answer == {"ok": True, "rooms": ["author:Eva", "catalog"]}
    async with raw_socketio(server.url, transport, {"pid": pid}) as other:
        assert other.ready["recovered"] is False
    async with raw_socketio(server.url, transport, {"pid": pid, **token}) as owner:
        assert owner.connected == {"sid": sid, "pid": pid}
        assert owner.ready["recovered"] is True
        assert owner.ready["rooms"] == ["author:Eva", "catalog"]


async def test_without_space_for_sessions_a_consumer_gets_none(
    start_server: Start, transport: str
) -> None:
    """It is served as others are, with offsets, but it cannot recover. Sessions do not grow."""
    server = start_server(max_session_bytes=1_300)  # for one session
    async with raw_socketio(server.url, transport) as first:
        assert first.connected.keys() == {"sid", "pid"}
        refused = await first.call("subscribe", json.dumps([f"author:{'x' * 250}", "author:Eva"]))
        assert (refused["ok"], refused["error"]["code"]) == (False, "rate_limited")
        assert await first.call("unsubscribe", '"author:Eva"') == {"ok": True, "rooms": ["catalog"]}
        async with raw_socketio(server.url, transport) as second:
            assert second.connected.keys() == {"sid"}
            assert (second.ready["recovered"], second.ready["gap"]) == (False, False)
            (offset,) = await publish(server.url)
            assert (await second.receive("42")).endswith(f',"{offset}"]')
            answer = await second.call("subscribe", json.dumps([f"author:{'x' * 250}"]))
            assert answer["ok"] is True
            await leave(second, server)
        await leave(first, server)
    async with raw_socketio(server.url, transport) as third:
        assert third.connected.keys() == {"sid", "pid"}, "the first one has left"


async def test_brief_sessions_are_dropped_first(start_server: Start, transport: str) -> None:
    """Beyond their number, a consumer that has left gets a fresh session."""
    server = start_server(max_sessions=2)
    pids = []
    for _ in range(3):
        async with raw_socketio(server.url, transport) as client:
            pids.append(client.connected["pid"])
            await leave(client, server)
    for pid, recovered in zip(pids, (False, True, True), strict=True):
        async with raw_socketio(server.url, transport, {"pid": pid}) as client:
            assert (client.ready["recovered"], client.ready["gap"]) == (recovered, not recovered)
            await client.send("41")  # so that this session is not kept


async def test_an_offset_older_than_the_retention_is_a_gap(
    start_server: Start, transport: str
) -> None:
    """The session is fresh, and nothing is replayed."""
    server = start_server(retention_events=5)
    async with raw_socketio(server.url, transport) as client:
        (offset,) = await publish(server.url)
        pid = client.connected["pid"]
    (*_, last) = await publish(server.url, 7)
    async with raw_socketio(server.url, transport, {"pid": pid, "offset": offset}) as client:
        ready = client.ready
        assert (ready["recovered"], ready["gap"], ready["replayed"]) == (False, True, 0)
        assert ready["position"] == last


async def test_trimmed_events_of_other_rooms_are_no_gap(
    start_server: Start, transport: str
) -> None:
    """The server saw the disconnect, so it knows that the client had every event of its rooms."""
    server = start_server(retention_events=5)
    rooms = ["material:haya", "author:Eva"]
    async with raw_socketio(server.url, transport, {"rooms": rooms}) as client:
        (offset,) = await publish(server.url, material="haya", autor_username="Ana")
        others = {"furniture_id": "other", "material": "pino", "autor_username": "Ana"}
        (*_, last) = await publish(server.url, 9, **others)
        pid = client.connected["pid"]
        await client.receive("42")
        # A batch is delivered in turns, and its answer does not wait for them.
        await asyncio.to_thread(server.wait_for_log, "delivered", last=last)
        await client.send("1")
        await asyncio.to_thread(server.wait_for_log, "disconnected")
    await publish(server.url, 3, furniture_id="other", material="pino", autor_username="Ana")
    (missed,) = await publish(server.url, furniture_id="new", material="haya")
    auth = {"pid": pid, "offset": offset}
    async with raw_socketio(server.url, transport, auth) as client:
        ready = client.ready
        assert (ready["recovered"], ready["gap"], ready["replayed"]) == (True, False, 1)
        assert ready["position"] == missed


async def test_a_newer_connection_takes_over_the_session(server: Server, transport: str) -> None:
    """The older connection is closed without a DISCONNECT packet."""
    async with raw_socketio(server.url, transport) as older:
        auth = {"pid": older.connected["pid"]}
        async with raw_socketio(server.url, transport, auth) as newer:
            assert newer.connected == older.connected
            with pytest.raises(Closed):
                await older.receive("41")
            answer = await newer.call("subscribe", '"author:Eva"')
            assert answer["rooms"] == ["author:Eva", "catalog"]


async def test_rooms_count_from_their_subscribe(server: Server, transport: str) -> None:
    """This also holds for a client that recovers from an offset before the subscribe."""
    async with raw_socketio(server.url, transport, {"rooms": ["author:Eva"]}) as client:
        (offset,) = await publish(server.url, autor_username="Eva")
        await publish(server.url, furniture_id="pine", material="pino")
        await client.call("subscribe", '"material:pino"')
        pid = client.connected["pid"]
    await publish(server.url, furniture_id="pine", material="pino")
    async with raw_socketio(server.url, transport, {"pid": pid, "offset": offset}) as client:
        assert client.ready["rooms"] == ["author:Eva", "material:pino"]
        assert client.ready["replayed"] == 1


async def test_a_room_that_the_client_left_is_not_recovered(server: Server, transport: str) -> None:
    """An unsubscribe is stored like a subscribe."""
    rooms = ["author:Eva", "material:pino"]
    async with raw_socketio(server.url, transport, {"rooms": rooms}) as client:
        await client.call("unsubscribe", '"material:pino"')
        pid = client.connected["pid"]
    await publish(server.url, furniture_id="left", material="pino", autor_username="Ana")
    async with raw_socketio(server.url, transport, {"pid": pid}) as client:
        assert (client.ready["rooms"], client.ready["replayed"]) == (["author:Eva"], 0)


async def test_a_gap_is_announced_until_the_client_has_an_event(
    server: Server, transport: str
) -> None:
    """A client that recovers without an offset may have missed the first ``ready``."""
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
async def test_after_a_gap_a_session_starts_at_the_announced_position(
    server: Server, transport: str, since: str
) -> None:
    """Later events belong to the session, so no second gap is announced."""
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


async def test_a_session_without_rooms_starts_without_a_gap(server: Server, transport: str) -> None:
    """There is no gap to announce again when the client recovers without an offset."""
    auth = {"pid": "forged", "rooms": []}
    async with raw_socketio(server.url, transport, auth) as client:
        assert client.ready["gap"] is False
        await client.call("subscribe", '"catalog"')
        pid = client.connected["pid"]
    await publish(server.url)
    async with raw_socketio(server.url, transport, {"pid": pid}) as client:
        assert (client.ready["recovered"], client.ready["replayed"]) == (True, 1)


async def test_trimmed_events_from_before_a_subscribe_are_no_gap(
    start_server: Start, transport: str
) -> None:
    """A room counts from its subscribe, so earlier events were never for this client."""
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
