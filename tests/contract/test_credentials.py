"""Each kind of credential on each way in: what it may do, and with which error it is refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_vectors
from tests.support.raw import TIMEOUT, Closed, plain, raw_socketio
from tests.support.server import Server
from tests.support.tokens import OLD_SECRET, SECRET, claims, pem, private_key, raw_token, token

GOOD = load_vectors("events.json")[0]["publish"]
OWN_ROOM = f"material:{GOOD['furniture']['material']}"
OTHER_ROOM = "material:another"
KEY, OLD_KEY = "the-key-of-the-catalogue", "the-former-key-of-the-catalogue"
AUDIENCE, ISSUER = "catalogue", "https://id.example"
RSA = private_key("RS256")
HS256 = {"alg": "HS256", "typ": "JWT"}

OK, UNAUTHORIZED, EXPIRED, FORBIDDEN = "ok", "unauthorized", "token_expired", "forbidden"
FRESH = "fresh session"
NOT_HERE = "not on this way in"
CONSUMING = ("own", "other", "catalog", "read")
ALL = ("publish", *CONSUMING, "recover", "authenticate", "revoke", "metrics")

Start = Callable[..., Server]


def good(key: Any = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """Return a token that the server accepts, but for the changes."""
    return token(key, algorithm, **{"aud": AUDIENCE, "iss": ISSUER, **changes})


def payload(**changes: Any) -> dict[str, Any]:
    """Return the claims of such a token."""
    return claims(**{"aud": AUDIENCE, "iss": ISSUER, **changes})


@dataclass(frozen=True)
class Case:
    """A credential and what it may do.

    Attributes:
        name: the name of the case.
        credential: presented as each way in expects it; None: none.
        refused: the code with which every attempt is refused; None: it depends on the attempt.
        expected: the result of each attempt; those that are not named are ``ok``.
        is_key: it is a producer key, which must not be in a URL.
    """

    name: str
    credential: str | None
    refused: str | None = None
    expected: dict[str, str] = field(default_factory=dict)
    is_key: bool = False

    def result(self, attempt: str, place: str) -> str:
        """Return the expected result of an attempt with the credential in this place."""
        if attempt == "metrics":  # of the server as a whole, for everybody
            return OK
        if self.refused is not None:
            return self.refused
        if self.is_key:
            if attempt == "authenticate":
                return FORBIDDEN  # another identity than the token's
            if place == "url":
                return UNAUTHORIZED
            return FRESH if attempt == "recover" else OK
        if attempt == "revoke":
            return FORBIDDEN
        return self.expected.get(attempt, OK)


NO_PUBLISH = {"publish": FORBIDDEN}
NO_ROOM = {**dict.fromkeys(CONSUMING, FORBIDDEN), "recover": FRESH}


def cases() -> list[Case]:
    """Return all cases, with tokens of now."""
    now = int(time.time())
    return [
        Case("none", None, UNAUTHORIZED),
        Case("key", KEY, is_key=True),
        Case("old key", OLD_KEY, is_key=True),
        Case("wrong key", "x" * 20, UNAUTHORIZED),
        Case("consumer", good(), expected=NO_PUBLISH),
        Case("producer", good(scope="publish"), expected=NO_ROOM),
        Case("both scopes", good(scope="subscribe publish")),
        Case("no scope", good(scope=""), expected={**NO_PUBLISH, **NO_ROOM}),
        Case("old secret", good(OLD_SECRET), expected=NO_PUBLISH),
        Case("RS256", good(RSA, "RS256"), expected=NO_PUBLISH),
        Case(
            "bounded",
            good(rooms=[OWN_ROOM]),
            expected={**NO_PUBLISH, "other": FORBIDDEN, "catalog": FORBIDDEN},
        ),
        Case("kind", good(rooms=["material:*"]), expected={**NO_PUBLISH, "catalog": FORBIDDEN}),
        Case("expired", good(exp=now - 1), EXPIRED),
        Case("not yet", good(nbf=now + 3600), UNAUTHORIZED),
        Case("issued later", good(iat=now + 3600), UNAUTHORIZED),
        Case("too long", good(exp=now + 90_000), UNAUTHORIZED),
        Case("endless", good(exp=None), UNAUTHORIZED),
        Case("nobody", good(sub=None), UNAUTHORIZED),
        Case("wrong secret", good("w" * 32), UNAUTHORIZED),
        Case("wrong key pair", good(private_key("RS256", "w"), "RS256"), UNAUTHORIZED),
        Case("wrong audience", good(aud="shop"), UNAUTHORIZED),
        Case("no audience", good(aud=None), UNAUTHORIZED),
        Case("wrong issuer", good(iss="https://evil.example"), UNAUTHORIZED),
        Case("bad rooms", good(rooms=["everything"]), UNAUTHORIZED),
        Case("tampered", good()[:-4] + "AAAA", UNAUTHORIZED),
        Case("none algorithm", good(None, "none"), UNAUTHORIZED),
        Case("public key as secret", raw_token(HS256, payload(), pem(RSA).encode()), UNAUTHORIZED),
        Case("crit", raw_token({**HS256, "crit": ["exp"]}, payload()), UNAUTHORIZED),
        Case("type", raw_token({**HS256, "typ": "dpop+jwt"}, payload()), UNAUTHORIZED),
        Case("9 KiB", good(text="x" * 9_000), UNAUTHORIZED),
        Case("no token", "a.b.c", UNAUTHORIZED),
    ]


class Visit:
    """What one client tries with its credential.

    Each attempt returns ``ok``, an error's code, or ``NOT_HERE``.
    """

    async def publish(self) -> str:
        """Publish an event."""
        return NOT_HERE

    async def room(self, name: str) -> str:
        """Ask for a room."""
        raise NotImplementedError

    async def read(self) -> str:
        """Consume without naming a room."""
        raise NotImplementedError

    async def recover(self) -> str:
        """Recover the session of a consumer with a good token."""
        return NOT_HERE

    async def authenticate(self) -> str:
        """Present the credential on the connection of a consumer with a good token."""
        return NOT_HERE

    async def revoke(self) -> str:
        """Revoke the tokens of somebody."""
        return NOT_HERE

    async def metrics(self) -> str:
        """Read the server's metrics."""
        return NOT_HERE


class Http(Visit):
    """A client of the HTTP API."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._server = url
        self._url = f"{url}/api/events"

    async def publish(self) -> str:
        """See ``Visit``."""
        async with self._http.post(self._url, json=GOOD) as response:
            if response.status in (401, 403):
                assert ("WWW-Authenticate" in response.headers) is (response.status == 401)
            return await self._result(response)

    async def room(self, name: str) -> str:
        """See ``Visit``."""
        async with self._http.get(self._url, params={"room": name}) as response:
            return await self._result(response)

    async def read(self) -> str:
        """See ``Visit``."""
        async with self._http.get(self._url) as response:
            return await self._result(response)

    async def revoke(self) -> str:
        """See ``Visit``."""
        url = f"{self._server}/api/revocations"
        async with self._http.post(url, json={"sub": "somebody"}) as response:
            return await self._result(response)

    async def metrics(self) -> str:
        """See ``Visit``."""
        async with self._http.get(f"{self._server}/metrics") as response:
            return OK if response.status == 200 else str(response.status)

    @staticmethod
    async def _result(response: aiohttp.ClientResponse) -> str:
        answer = await response.json(content_type=None)
        return OK if response.status < 300 else str(answer["code"])


class Stream(Visit):
    """A client of the event stream, with its credential in the header or in the URL."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, query: dict[str, str], headers: dict[str, str]
    ) -> None:
        self._http = http
        self._url = f"{url}/api/stream"
        self._query = query
        self._headers = headers

    async def room(self, name: str) -> str:
        """See ``Visit``."""
        return await self._open({"room": name})

    async def read(self) -> str:
        """See ``Visit``."""
        return await self._open({})

    async def _open(self, query: dict[str, str]) -> str:
        query |= self._query
        async with self._http.get(self._url, params=query, headers=self._headers) as response:
            if response.status != 200:
                return str((await response.json(content_type=None))["code"])
            assert b"ready" in await response.content.readuntil(b"\n\n")
            return OK


class WebSocketVisit(Visit):
    """A client of the plain WebSocket, with its credential in the header or in the URL."""

    def __init__(
        self, url: str, query: str, headers: dict[str, str], credential: str | None
    ) -> None:
        self._server = url
        self._url = f"{url}/ws?{query}"
        self._headers = headers
        self._credential = credential

    async def publish(self) -> str:
        """See ``Visit``."""
        return await self._ask({**GOOD, "ref": 1})

    async def room(self, name: str) -> str:
        """At the handshake and later. Both have the same result."""
        first = await self._ask({"type": "ping"}, f"&room={name}")
        later = await self._ask({"type": "subscribe", "rooms": name, "ref": 1})
        assert first == later
        return first

    async def read(self) -> str:
        """A client without rights may connect; it is in no room."""
        return await self._ask({"type": "ping"}, "&since=0")

    async def authenticate(self) -> str:
        """See ``Visit``."""
        if self._credential is None:
            return NOT_HERE
        async with plain(f"{self._server}/ws?token={good()}") as client:
            await client.send({"type": "authenticate", "token": self._credential, "ref": 1})
            answer = await client.receive_type("ack", "error")
            return OK if answer["type"] == "ack" else str(answer["code"])

    async def _ask(self, message: dict[str, Any], query: str = "") -> str:
        async with plain(self._url + query, headers=self._headers) as client:
            try:
                await client.send(message)
                answer = await client.receive_type("ack", "error", "pong", "ready")
            except (Closed, ConnectionError):
                return "closed"
            if answer["type"] != "error":
                return OK
            if "ref" not in answer and answer["code"] != FORBIDDEN:
                with pytest.raises(Closed) as closed:
                    await client.receive()
                assert closed.value.code == 4401
            return str(answer["code"])


class SocketIOVisit(Visit):
    """A client of Socket.IO, with its credential in ``auth`` or in the header."""

    def __init__(
        self,
        url: str,
        transport: str,
        auth: dict[str, Any],
        headers: dict[str, str],
        credential: str | None,
    ) -> None:
        self._credential = credential
        self._url = url
        self._transport = transport
        self._auth = auth
        self._headers = headers

    async def publish(self) -> str:
        """See ``Visit``."""
        async with self._open() as client:
            return await self._call(client, GOOD["type"], GOOD)

    async def room(self, name: str) -> str:
        """At the handshake and later. Both have the same result."""
        async with self._open(rooms=[]) as client:
            later = await self._call(client, "subscribe", name)
        try:
            async with self._open(rooms=[name]):
                first = OK
        except ConnectionRefusedError as error:
            first = error.args[0]["data"]["code"]
        assert first == later
        return first

    async def read(self) -> str:
        """A client without rights may connect; it is in no room."""
        async with self._open():
            return OK

    async def recover(self) -> str:
        """See ``Visit``."""
        async with self._owner() as client:
            pid, offset = client.connected["pid"], client.ready["position"]
            sid = client.connected["sid"]
        async with self._open(pid=pid, offset=offset) as client:
            assert client.ready["recovered"] is (client.connected["sid"] == sid)
            return OK if client.ready["recovered"] else FRESH

    async def authenticate(self) -> str:
        """See ``Visit``."""
        if self._credential is None:
            return NOT_HERE
        async with self._owner() as client:
            return await self._call(client, "authenticate", {"token": self._credential})

    @asynccontextmanager
    async def _owner(self) -> AsyncIterator[Any]:
        auth = {"token": good(), "rooms": [OWN_ROOM]}
        async with raw_socketio(self._url, self._transport, auth) as client:
            yield client

    @asynccontextmanager
    async def _open(self, **auth: Any) -> AsyncIterator[Any]:
        async with raw_socketio(
            self._url, self._transport, {**self._auth, **auth}, headers=self._headers
        ) as client:
            yield client

    @staticmethod
    async def _call(client: Any, event: str, argument: Any) -> str:
        answer = await client.call(event, json.dumps(argument))
        return OK if answer["ok"] else str(answer["error"]["code"])


WAYS = (
    "http",
    "sse header",
    "sse url",
    "websocket header",
    "websocket url",
    "polling auth",
    "polling header",
    "socketio auth",
    "socketio header",
)


@asynccontextmanager
async def visit(way: str, url: str, credential: str | None) -> AsyncIterator[Visit]:
    """Return a client that comes in this way."""
    kind, _, place = way.partition(" ")
    headers = {"Authorization": f"Bearer {credential}"} if credential is not None else {}
    query = {"token": credential} if credential is not None else {}
    if place in ("url", "auth"):
        headers = {}
    if place == "header":
        query = {}
    async with aiohttp.ClientSession() as http:
        if kind == "http":
            http.headers.update(headers)
            yield Http(http, url)
        elif kind == "sse":
            yield Stream(http, url, query, headers)
        elif kind == "websocket":
            text = "&".join(f"{k}={v}" for k, v in query.items())
            yield WebSocketVisit(url, text, headers, credential)
        else:
            transport = "polling" if kind == "polling" else "websocket"
            yield SocketIOVisit(url, transport, query, headers, credential)


@pytest.fixture
def guarded(start_server: Start) -> Server:
    """Return a server that requires a credential, with all kinds of keys."""
    return start_server(
        open_publish="off",
        require_auth="true",
        producer_keys=f"django:{OLD_KEY},django:{KEY}",
        jwt_secret=f"{OLD_SECRET},{SECRET}",
        jwt_public_key=pem(RSA),
        jwt_audience=AUDIENCE,
        jwt_issuer=ISSUER,
        rate_limit=100_000,
        connect_rate=0,
    )


@pytest.mark.parametrize("way", WAYS)
async def test_a_credential_gives_the_same_rights_on_each_way_in(guarded: Server, way: str) -> None:
    """Each attempt with each credential. Nothing of a credential is logged."""
    found, expected = {}, {}
    # Who may not consume may connect all the same, and is in no room.
    may_connect = not way.startswith(("http", "sse"))
    tried = cases()
    for case in tried:
        async with visit(way, guarded.url, case.credential) as client:
            for attempt in ALL:
                result = await _try(client, attempt)
                if result == NOT_HERE:
                    continue
                key = f"{case.name}: {attempt}"
                found[key] = result
                expected[key] = case.result(attempt, way.partition(" ")[2])
                if attempt == "read" and expected[key] == FORBIDDEN and may_connect:
                    expected[key] = OK
    assert found == expected
    credentials = [case.credential for case in tried if case.credential is not None]
    assert not [line for line in guarded.raw if any(it in line for it in credentials)]


async def _try(client: Visit, attempt: str) -> str:
    attempts = {
        "publish": client.publish,
        "own": partial(client.room, OWN_ROOM),
        "other": partial(client.room, OTHER_ROOM),
        "catalog": partial(client.room, "catalog"),
        "read": client.read,
        "recover": client.recover,
        "authenticate": client.authenticate,
        "revoke": client.revoke,
        "metrics": client.metrics,
    }
    try:
        async with asyncio.timeout(TIMEOUT):
            return await attempts[attempt]()
    except ConnectionRefusedError as error:
        return str(error.args[0]["data"]["code"])
