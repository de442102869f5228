"""Tokens in an open connection: expiry, a fresh one, and a recovery."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from furniture_events import Producer

from tests.conftest import load_vectors
from tests.support.raw import TIMEOUT, Closed, plain, raw_socketio
from tests.support.server import Server
from tests.support.tokens import SECRET, token

GOOD = load_vectors("events.json")[0]["publish"]
KEY = "the-key-of-the-catalogue"

Start = Callable[..., Server]


@pytest.fixture
def server(start_server: Start) -> Server:
    """Return a server with tokens."""
    return start_server(producer_keys=KEY, jwt_secret=SECRET, require_auth="true")


@pytest.fixture
def publish(server: Server) -> Callable[[dict[str, Any]], str]:
    """Return a function that publishes an event, and returns its offset."""

    def publish(event: dict[str, Any]) -> str:
        with Producer(server.url, key=KEY) as producer:
            return producer.publish(event).offset

    return publish


def expiring(seconds: float = 1.5, **changes: Any) -> str:
    """Return a token that expires soon."""
    return token(exp=time.time() + seconds, **changes)


async def test_an_expired_token_closes_a_plain_websocket(server: Server) -> None:
    """After an error, with 4401: the same token would be refused."""
    began = time.monotonic()
    async with plain(f"{server.url}/ws?token={expiring()}") as client:
        assert (await client.receive_type("error"))["code"] == "token_expired"
        with pytest.raises(Closed) as closed:
            await client.receive()
    assert closed.value.code == 4401
    assert 1 < time.monotonic() - began < 1.5 + 5


async def test_an_expired_token_ends_a_stream(server: Server) -> None:
    """With an event, because a stream has no other way to say why."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/api/stream?token={expiring()}") as response,
    ):
        async with asyncio.timeout(TIMEOUT):
            text = (await response.content.read()).decode()
    assert text.split("event: ")[-1].startswith('error\ndata: {"code":"token_expired"')


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_recovers_with_a_fresh_token(
    server: Server, publish: Callable[[dict[str, Any]], str], transport: str
) -> None:
    """The server sends no DISCONNECT, which would end the session."""
    async with raw_socketio(server.url, transport, {"token": expiring()}) as client:
        error = json.loads((await client.receive('42["error"'))[2:])[1]
        assert error["code"] == "token_expired"
        with pytest.raises(Closed):
            await client.receive("41")
        pid = client.connected["pid"]
    publish(GOOD)
    auth = {"token": token(), "pid": pid}
    async with raw_socketio(server.url, transport, auth) as client:
        assert client.ready["recovered"] is True
        assert (client.ready["gap"], client.ready["replayed"]) == (False, 1)
    for other in ({"sub": "eva"}, {"iss": "https://id.example"}, {"rooms": ["material:pino"]}):
        auth = {"token": token(**other), "pid": pid}
        async with raw_socketio(server.url, transport, auth) as client:
            assert client.ready["recovered"] is False
            assert client.connected["pid"] != pid
    async with raw_socketio(server.url, transport, {"token": token(), "pid": pid}) as client:
        assert client.ready["recovered"] is True


async def test_authenticate_replaces_a_token(server: Server) -> None:
    """By another one of the same identity. The connection leaves rooms that it does not allow."""
    first = f"{server.url}/ws?token={expiring(2.5)}&room=material:roble&room=author:ana"
    async with plain(first) as client, plain(first) as other_client:
        for other in (token(sub="eva"), token(iss="me"), KEY):
            await client.send({"type": "authenticate", "token": other, "ref": 1})
            assert (await client.receive())["code"] == "forbidden"
        await client.send({"type": "authenticate", "token": expiring(-1), "ref": 2})
        assert (await client.receive())["code"] == "token_expired"
        expires = int(time.time()) + 60
        fresh = token(exp=expires, rooms=["material:*"])
        await client.send({"type": "authenticate", "token": fresh, "ref": 3})
        answer = await client.receive()
        assert answer["rooms"] == ["material:roble"]
        assert answer["expires"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(expires))
        await client.send({"type": "subscribe", "rooms": "author:ana", "ref": 4})
        assert (await client.receive())["code"] == "forbidden"
        assert (await other_client.receive())["code"] == "token_expired"
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"
