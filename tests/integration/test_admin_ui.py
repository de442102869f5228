"""The namespace of the Socket.IO Admin UI, for one administrator."""

from __future__ import annotations

import asyncio
import json
import secrets as random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import socketio
from aiohttp import web
from socketio.exceptions import ConnectionError as Refused

from tests.support import secrets
from tests.support.browser import page
from tests.support.raw import raw_socketio
from tests.support.server import ROOT, TIMEOUT, Server, start_expecting_failure
from tests.support.website import serving

PASSWORD = "a-password-of-the-administrator"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
AUTH = {"username": "admin", "password": PASSWORD}

Start = Callable[..., Server]

COUNTED = (
    *("rawConnection", "rawDisconnection"),
    *("packetsIn", "packetsOut", "bytesIn", "bytesOut"),
)
"""The UI's names for what happens between two reports."""

UI = ROOT / "tests/node/node_modules/@socket.io/admin-ui/ui/dist"
"""The official UI, as its npm package has it."""


@pytest.fixture
def server(start_server: Start) -> Server:
    """Return a server with an administrator."""
    secrets.note(PASSWORD)
    return start_server(admin_username="admin", admin_password=HASH)


@pytest.fixture(params=["server's port", "operators' port"])
def places(start_server: Start, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the URLs of a server for its consumers and for its administrator."""
    secrets.note(PASSWORD)
    login = {"admin_username": "admin", "admin_password": HASH}
    if request.param == "server's port":
        url = start_server(**login).url
        return url, url
    server = start_server(**login, ops_port=0)
    port = server.wait_for_log("ops_listening")["port"]
    return server.url, f"http://127.0.0.1:{port}"


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

    async def wait_for(self, name: str, matches: Callable[..., bool] = lambda *_: True) -> Any:
        """Return the arguments of the first event of this name that matches; wait for one."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                for arguments in self.events.get(name, ()):
                    if matches(*arguments):
                        return arguments
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def admin_of(url: str, transport: str = "websocket") -> AsyncIterator[Admin]:
    """Connect the administrator."""
    admin = Admin()
    await admin.client.connect(url, auth=AUTH, namespaces=["/admin"], transports=[transport])
    try:
        yield admin
    finally:
        await admin.client.disconnect()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_the_administrator_sees_numbers_and_changes_nothing(
    places: tuple[str, str], transport: str
) -> None:
    """The clients of the server count, and their packets."""
    url, admin_url = places
    async with raw_socketio(url, "polling", {"rooms": []}) as consumer:
        async with admin_of(admin_url, transport) as admin:
            (config,) = await admin.wait_for("config")
            assert config == {"supportedFeatures": ["AGGREGATED_EVENTS", "ALL_EVENTS"]}
            (stats,) = await admin.wait_for("server_stats")
            others = 1 if url == admin_url else 0
            polling = others if transport == "polling" else 0
            assert stats["clientsCount"] == 1 + others
            assert stats["pollingClientsCount"] == 1 + polling
            assert stats["namespaces"] == [
                {"name": "/", "socketsCount": 1},
                {"name": "/admin", "socketsCount": 1},
            ]
            await admin.client.emit("_disconnect", ("/", True), namespace="/admin")
            await admin.client.emit("join", ("/", "catalog"), namespace="/admin")
            async with raw_socketio(url, "websocket"):
                pass
            for kind in COUNTED:
                await admin.wait_for(
                    "server_stats",
                    lambda stats, kind=kind: any(
                        it["type"] == kind and it["count"] > 0 for it in stats["aggregatedEvents"]
                    ),
                )
        assert (await consumer.call("ping", "0"))["type"] == "pong"
        assert (await consumer.call("subscribe", "[]"))["rooms"] == []


async def test_the_administrator_sees_clients_and_their_rooms(places: tuple[str, str]) -> None:
    """Now, and as they come, change and go."""
    url, admin_url = places
    key = "a-key-in-a-header-of-a-handshake"
    secrets.note(key)
    async with raw_socketio(url, "websocket", {"rooms": ["type:furniture_deleted"]}) as first:
        sid = first.connected["sid"]
        async with admin_of(admin_url) as admin:
            ((listed,),) = await admin.wait_for("all_sockets")
            handshake = listed.pop("handshake")
            assert listed == {
                "id": sid,
                "clientId": sid,
                "transport": "websocket",
                "nsp": "/",
                "data": {"identity": "anonymous"},
                "rooms": ["type:furniture_deleted"],
            }
            assert handshake.pop("issued") <= time.time() * 1000
            assert handshake.pop("time").endswith("Z")
            assert handshake == {
                "address": "127.0.0.1",
                "secure": False,
                "headers": {},
                "query": {},
            }
            await first.call("subscribe", '"material:roble"')
            await first.call("unsubscribe", '"type:furniture_deleted"')
            for event, room in (
                ("room_joined", "material:roble"),
                ("room_left", "type:furniture_deleted"),
            ):
                assert (await admin.wait_for(event))[:3] == ("/", room, sid)
            headers = {"X-Secret": key}
            async with raw_socketio(url, "polling", {}, headers=headers) as second:
                other = second.connected["sid"]
                socket, _ = await admin.wait_for("socket_connected")
                assert (socket["id"], socket["transport"]) == (other, "polling")
                await second.send("41")
            assert (await admin.wait_for("socket_disconnected"))[:2] == ("/", other)
            seen = json.dumps(admin.events)
            assert not [it for it in (key, first.eio_sid, second.eio_sid) if it in seen]


async def test_the_list_of_clients_is_bounded(start_server: Start) -> None:
    """The numbers still count the others. A client's list of rooms is bounded, too."""
    server = start_server(admin_username="admin", admin_password=HASH)
    rooms = [f"material:{number:0250}" for number in range(20)]
    async with AsyncExitStack() as clients:
        for _ in range(60):  # about 2.7 KB each
            client = raw_socketio(server.url, "websocket", {"rooms": rooms})
            await clients.enter_async_context(client)
        async with admin_of(server.url) as admin:
            (listed,) = await admin.wait_for("all_sockets")
            assert 40 < len(listed) < 50
            assert {len(it["rooms"]) for it in listed} == {10}
            (stats,) = await admin.wait_for("server_stats")
            assert stats["namespaces"][0]["socketsCount"] == 60


async def test_the_operators_port_has_no_other_namespace(start_server: Start) -> None:
    """And the server's port has no namespace for the administrator then."""
    server = start_server(admin_username="admin", admin_password=HASH, ops_port=0)
    port = server.wait_for_log("ops_listening")["port"]
    with pytest.raises(ConnectionRefusedError, match="Invalid namespace"):
        async with raw_socketio(f"http://127.0.0.1:{port}", "websocket"):
            pass
    with pytest.raises(Refused):
        await Admin().client.connect(server.url, auth=AUTH, namespaces=["/admin"])


async def test_the_official_ui_shows_the_clients(places: tuple[str, str]) -> None:
    """In a real browser, with the page of the npm package, served from another origin."""
    url, admin_url = places
    rooms = {"rooms": ["material:roble"]}
    async with raw_socketio(url, "websocket", rooms) as client, page() as ui, files(UI) as ui_url:
        await ui.goto(ui_url)
        form = ui.locator("form")
        for label, text in (
            ("Server URL", admin_url),
            ("Username", "admin"),
            ("Password", PASSWORD),
        ):
            await form.get_by_label(label).fill(text)
        await form.get_by_role("button", name="Connect").click()
        await ui.goto(f"{ui_url}#/sockets/")
        await ui.get_by_text(client.connected["sid"]).click()
        await ui.get_by_text("material:roble").wait_for()
        await ui.get_by_text("anonymous").wait_for()


@asynccontextmanager
async def files(folder: Path) -> AsyncIterator[str]:
    """Serve a folder; return the URL of its page."""
    app = web.Application()
    app.router.add_static("/", folder)
    async with serving(app) as url:
        yield f"{url}/index.html"


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
