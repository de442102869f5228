"""The namespace of the Socket.IO Admin UI, for one administrator."""

from __future__ import annotations

import asyncio
import json
import secrets as random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import socketio
from socketio.exceptions import ConnectionError as Refused

from tests.support import secrets
from tests.support.raw import raw_socketio
from tests.support.server import TIMEOUT, Server, start_expecting_failure

PASSWORD = "a-password-of-the-administrator"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
AUTH = {"username": "admin", "password": PASSWORD}

Start = Callable[..., Server]


@pytest.fixture
def server(start_server: Start) -> Server:
    """Return a server with an administrator."""
    secrets.note(PASSWORD)
    return start_server(admin_username="admin", admin_password=HASH)


class Admin:
    """A client of the Admin UI, and the events that it has received."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.events: dict[str, list[Any]] = {}
        self._changed = asyncio.Event()
        self.client.on("*", self._add, namespace="/admin")

    def _add(self, name: str, *arguments: Any) -> None:
        self.events.setdefault(name, []).append(arguments)
        self._changed.set()

    async def wait_for(self, name: str) -> Any:
        """Return the first argument of the last event of this name; wait for one."""
        async with asyncio.timeout(TIMEOUT):
            while name not in self.events:
                self._changed.clear()
                await self._changed.wait()
        return self.events[name][-1][0]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_the_administrator_sees_numbers(server: Server, transport: str) -> None:
    """Of clients and packets. It may change nothing, and sees no client."""
    admin = Admin()
    async with raw_socketio(server.url, "websocket", {"rooms": []}) as consumer:
        await admin.client.connect(
            server.url, auth=AUTH, namespaces=["/admin"], transports=[transport]
        )
        assert await admin.wait_for("config") == {"supportedFeatures": ["AGGREGATED_EVENTS"]}
        stats = await admin.wait_for("server_stats")
        assert stats["clientsCount"] == 2
        assert {"rawConnection", "packetsIn"} <= {it["type"] for it in stats["aggregatedEvents"]}
        await admin.client.emit("_disconnect", ("/", True), namespace="/admin")
        assert (await consumer.call("ping", "0"))["type"] == "pong"
        assert admin.events.keys() == {"config", "server_stats"}
        await admin.client.disconnect()
        assert (await consumer.call("ping", "0"))["type"] == "pong"


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        {"username": "admin"},
        {"username": "admin", "password": "wrong"},
        {"username": "another", "password": PASSWORD},
        {"username": "admin", "password": HASH},
        {"username": 5, "password": [PASSWORD]},
        {"username": "admin", "password": PASSWORD + "x" * 100},
    ],
)
async def test_nobody_else_does(server: Server, auth: dict[str, Any] | None) -> None:
    """The UI gets a refusal, and the log a line without the password."""
    admin = Admin()
    with pytest.raises(Refused):
        await admin.client.connect(server.url, auth=auth, namespaces=["/admin"])
    line = await asyncio.to_thread(server.wait_for_log, "credential_refused")
    assert line["reason"] == "not the administrator's"
    assert admin.events == {}


async def test_guessing_is_slow(start_server: Start) -> None:
    """After too many refusals of an address, nothing is looked at."""
    server = start_server(admin_username="admin", admin_password=HASH, rate_limit=3)
    for _ in range(5):
        with pytest.raises(Refused):
            wrong = {"username": "admin", "password": random.token_hex()}
            await Admin().client.connect(server.url, auth=wrong, namespaces=["/admin"])
    with pytest.raises(Refused):
        await Admin().client.connect(server.url, auth=AUTH, namespaces=["/admin"])


async def test_without_an_administrator_there_is_no_such_namespace(start_server: Start) -> None:
    """As for any other name."""
    server = start_server()
    async with raw_socketio(server.url, "websocket", {"rooms": []}) as client:
        await client.send("40/admin," + json.dumps(AUTH))
        assert await client.receive("44/admin,") == '44/admin,{"message":"Invalid namespace"}'


@pytest.mark.parametrize(
    "settings",
    [
        {"admin_username": "admin"},
        {"admin_password": HASH},
        {"admin_username": "admin", "admin_password": PASSWORD},
        {"admin_username": "", "admin_password": HASH},
    ],
)
def test_a_setting_that_lets_nobody_in_stops_the_start(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """A password in the clear is not shown."""
    message = start_expecting_failure(tmp_path, **settings)
    assert "SIO_ADMIN_" in message
    assert PASSWORD not in message
