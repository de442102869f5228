"""Revoked tokens, on each way in: connections end, and no door lets them in again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from tests.support.raw import TIMEOUT, Closed, plain, raw_socketio
from tests.support.server import Server
from tests.support.tokens import SECRET, token

KEY = "the-key-of-the-catalogue"
KEY_HEADER = {"Authorization": f"Bearer {KEY}"}

Start = Callable[..., Server]


@pytest.fixture
def server(start_server: Start) -> Server:
    """Return a server with tokens."""
    return start_server(producer_keys=KEY, jwt_secret=SECRET, require_auth="true")


async def revoke(
    server: Server, headers: dict[str, str] = KEY_HEADER, **message: Any
) -> tuple[int, dict[str, Any]]:
    """Revoke tokens; return the status and the answer."""
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.url}/api/revocations", json=message) as response,
    ):
        return response.status, await response.json()


async def test_a_revocation_ends_every_connection_of_its_tokens(server: Server) -> None:
    """As an expiry does, but for the code; the connections of other tokens stay."""
    revoked, other = token(), token(sub="eva")
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        plain(f"{server.url}/ws?token={revoked}") as websocket,
        raw_socketio(server.url, "websocket", {"token": revoked}) as socketio,
        raw_socketio(server.url, "polling", {"token": revoked}) as polling,
        aiohttp.ClientSession(connector=connector) as http,
        http.get(f"{server.url}/api/stream?token={revoked}") as stream,
        plain(f"{server.url}/ws?token={other}") as other_client,
    ):
        began = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        status, answer = await revoke(server, sub="ana")
        assert status == 201
        assert answer.keys() == {"sub", "before"}
        assert (answer["sub"], answer["before"] >= began) == ("ana", True)
        assert (await websocket.receive_type("error"))["code"] == "unauthorized"
        with pytest.raises(Closed) as closed:
            await websocket.receive()
        assert closed.value.code == 4401
        error = json.loads((await socketio.receive('42["error"'))[2:])[1]
        assert error["code"] == "unauthorized"
        for client in (socketio, polling):  # between two polls there is nothing to write to
            with pytest.raises(Closed):
                await client.receive("41")
        async with asyncio.timeout(TIMEOUT):
            text = (await stream.content.read()).decode()
        assert text.split("event: ")[-1].startswith('error\ndata: {"code":"unauthorized"')
        await other_client.send({"type": "ping"})
        assert (await other_client.receive())["type"] == "pong"


async def test_a_revoked_token_opens_nothing(server: Server) -> None:
    """Also a token without ``iat``. One that was issued later recovers the session."""
    revoked = token(iat=time.time() - 5)
    async with raw_socketio(server.url, "websocket", {"token": revoked}) as client:
        pid = client.connected["pid"]
    await revoke(server, sub="ana")
    for bad in (revoked, token(iat=None)):
        for auth in ({"token": bad}, {"token": bad, "pid": pid}):
            with pytest.raises(ConnectionRefusedError) as refused:
                async with raw_socketio(server.url, "websocket", auth):
                    pass
            assert refused.value.args[0]["data"]["code"] == "unauthorized"
        async with plain(f"{server.url}/ws?token={bad}") as websocket:
            assert (await websocket.receive())["code"] == "unauthorized"
        headers = {"Authorization": f"Bearer {bad}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            for path in ("events", "stream"):
                async with http.get(f"{server.url}/api/{path}") as response:
                    assert response.status == 401
    fresh = token(iat=time.time() + 1)
    async with raw_socketio(server.url, "websocket", {"token": fresh, "pid": pid}) as client:
        assert client.ready["recovered"] is True


async def test_a_token_of_another_issuer_stays(server: Server) -> None:
    """If the revocation names one."""
    mine, theirs = token(iss="https://id.example"), token(iss="https://other.example")
    async with (
        plain(f"{server.url}/ws?token={mine}") as revoked,
        plain(f"{server.url}/ws?token={theirs}") as other,
    ):
        await revoke(server, sub="ana", iss="https://id.example")
        assert (await revoked.receive())["code"] == "unauthorized"
        await other.send({"type": "ping"})
        assert (await other.receive())["type"] == "pong"


async def test_authenticate_with_a_later_token_outlives_a_revocation(server: Server) -> None:
    """A token that is revoked cannot replace another."""
    first, second = token(iat=time.time() - 60), token(iat=time.time())
    before = datetime.fromtimestamp(time.time() - 30, UTC).isoformat()
    async with plain(f"{server.url}/ws?token={first}") as client:
        await client.send({"type": "authenticate", "token": second, "ref": 1})
        assert (await client.receive())["ok"] is True
        await revoke(server, sub="ana", before=before)
        await client.send({"type": "authenticate", "token": first, "ref": 2})
        answer = await client.receive()
        assert (answer["code"], answer["ref"]) == ("unauthorized", 2)


@pytest.mark.parametrize(
    ("credential", "status", "code"),
    [
        (lambda: None, 401, "unauthorized"),
        (lambda: "another-key-of-the-catalogue", 401, "unauthorized"),
        (lambda: token(scope="publish subscribe"), 403, "forbidden"),
    ],
)
async def test_only_a_producer_key_revokes(
    server: Server, credential: Callable[[], str | None], status: int, code: str
) -> None:
    """A token may not, whatever its scope."""
    presented = credential()
    headers = {} if presented is None else {"Authorization": f"Bearer {presented}"}
    answered, answer = await revoke(server, headers, sub="ana")
    assert (answered, answer["code"]) == (status, code)
    async with plain(f"{server.url}/ws?token={token()}") as client:
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"


@pytest.mark.parametrize(
    "message", [{}, {"sub": ""}, {"sub": "ana", "before": "2999-01-01T00:00:00Z"}, {"user": "ana"}]
)
async def test_a_bad_revocation_is_refused(server: Server, message: dict[str, Any]) -> None:
    """With the contract's error."""
    status, answer = await revoke(server, **message)
    assert (status, answer["code"]) == (400, "invalid_message")
    assert answer["details"]


async def test_a_revocation_outlives_the_server(start_server: Start) -> None:
    """Also a ``kill -9`` right after the answer."""
    settings = {"producer_keys": KEY, "jwt_secret": SECRET, "event_log": "sqlite:///events.db"}
    server = start_server(**settings)
    revoked = token()
    assert (await revoke(server, sub="ana"))[0] == 201
    server.kill()
    server = start_server(**settings)
    async with plain(f"{server.url}/ws?token={revoked}") as client:
        assert (await client.receive())["code"] == "unauthorized"
